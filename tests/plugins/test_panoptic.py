"""Panoptic merging, worked by hand on an image of 10 x 10 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.semantic import IGNORE
from scenekit.keys import MASKS, OBJECTS, SEMANTIC
from scenekit.scene import Objects, Scene
from scenekit.structures import Geometry, Masks, Panoptic
from scenekit_plugins.panoptic import PanopticConfig, PanopticHead
from tests.plugins.kit import CORE, CUP, FLOOR, PERSON, VOCABULARY, WALL

SIZE = (10, 10)
Window = tuple[int, int, int, int]


def area(window: Window) -> Tensor:
    """x0, y0, x1, y1 as a bitmap."""
    x0, y0, x1, y1 = window
    bitmap = torch.zeros(SIZE, dtype=torch.bool)
    bitmap[y0:y1, x0:x1] = True
    return bitmap


def scene(things: Sequence[tuple[Window, int, float]], semantic: Tensor | int = FLOOR) -> Scene:
    """Things are (window, label, score); one label is everywhere unless a map is given."""
    boxes = torch.tensor([window for window, _, _ in things], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([label for _, label, _ in things], dtype=torch.int64)
    objects = Objects(boxes, labels, torch.tensor([score for _, _, score in things]))
    masks = [area(window) for window, _, _ in things]
    dense = torch.stack(masks) if masks else torch.zeros(0, *SIZE, dtype=torch.bool)
    labels_map = torch.full(SIZE, semantic) if isinstance(semantic, int) else semantic
    return Scene(SIZE, VOCABULARY, {OBJECTS: objects}, {MASKS: Masks.from_dense(dense), SEMANTIC: labels_map})


def merge(given: Scene, **options: Any) -> Panoptic:
    return PanopticHead(CORE, PanopticConfig(**options)).finish(None, given, Geometry.resize(SIZE, SIZE))


def labels(panoptic: Panoptic) -> Tensor:
    """The map in labels, -1 where nothing is said."""
    result = torch.full(SIZE, -1)
    for segment in panoptic.segments:
        result[panoptic.ids == segment.id] = segment.label
    return result


def check_consistent(panoptic: Panoptic) -> None:
    """Ids are unique, above 0, and all of them are in the map."""
    ids = [segment.id for segment in panoptic.segments]
    assert len(set(ids)) == len(ids) and min(ids, default=1) > 0
    assert set(panoptic.ids.unique().tolist()) - {0} == set(ids)


def test_things_lie_on_stuff() -> None:
    semantic = torch.full(SIZE, FLOOR)
    semantic[:4] = WALL
    merged = merge(scene([((2, 2, 6, 6), CUP, 0.9)], semantic))
    expected = semantic.clone()
    expected[2:6, 2:6] = CUP
    check_consistent(merged)
    assert torch.equal(labels(merged), expected)
    (thing,) = [segment for segment in merged.segments if segment.is_thing]
    assert (thing.label, thing.object) == (CUP, 0) and abs((thing.score or 0) - 0.9) < 1e-6


def test_the_better_score_keeps_the_shared_pixels() -> None:
    """The second object is the better one; the first keeps 24 of its 32 pixels."""
    merged = merge(scene([((0, 0, 8, 4), PERSON, 0.6), ((6, 0, 10, 4), CUP, 0.8)]))
    check_consistent(merged)
    assert [segment.object for segment in merged.segments if segment.is_thing] == [1, 0]
    assert (labels(merged)[:4, 6:] == CUP).all() and (labels(merged)[:4, :6] == PERSON).all()


def test_equal_scores_keep_the_order_of_the_objects() -> None:
    merged = merge(scene([((0, 0, 4, 4), PERSON, 0.7), ((2, 0, 6, 4), CUP, 0.7)]))
    assert [segment.object for segment in merged.segments if segment.is_thing] == [0, 1]
    assert (labels(merged)[:4, 2:4] == PERSON).all()


def test_a_mask_that_is_taken_by_more_than_the_overlap_is_dropped() -> None:
    """Of the 16 pixels of the worse object 8, then 12, belong to the better one: half is allowed, more is not."""
    half = merge(scene([((0, 0, 4, 4), CUP, 0.9), ((2, 0, 6, 4), PERSON, 0.8)]))
    more = merge(scene([((0, 0, 4, 4), CUP, 0.9), ((1, 0, 5, 4), PERSON, 0.8)]))
    assert [segment.object for segment in half.segments if segment.is_thing] == [0, 1]
    assert [segment.object for segment in more.segments if segment.is_thing] == [0]
    assert (labels(more)[:4, 4] == FLOOR).all()


def test_overlap_is_an_option() -> None:
    objects = scene([((0, 0, 4, 4), CUP, 0.9), ((1, 0, 5, 4), PERSON, 0.8)])
    assert len([s for s in merge(objects, overlap=0.75).segments if s.is_thing]) == 2
    hidden = scene([((0, 0, 4, 4), CUP, 0.9), ((1, 1, 3, 3), PERSON, 0.8)])
    assert len([s for s in merge(hidden, overlap=1.0).segments if s.is_thing]) == 1


def test_low_scores_and_empty_masks_are_no_segments() -> None:
    merged = merge(scene([((0, 0, 4, 4), CUP, 0.4), ((5, 5, 5, 9), PERSON, 0.9)]))
    assert [segment.label for segment in merged.segments] == [FLOOR]
    assert [s.label for s in merge(scene([((0, 0, 4, 4), CUP, 0.4)]), score_threshold=0.3).segments] == [CUP, FLOOR]


def test_small_stuff_and_things_of_the_semantic_map_stay_void() -> None:
    semantic = torch.full(SIZE, FLOOR)
    semantic[0, :3] = WALL
    semantic[5, :] = CUP
    merged = merge(scene([], semantic), stuff_area=0.05)
    check_consistent(merged)
    assert [segment.label for segment in merged.segments] == [FLOOR]
    assert (merged.ids[0, :3] == 0).all() and (merged.ids[5] == 0).all()
    assert [s.label for s in merge(scene([], semantic), stuff_area=0.03).segments] == [FLOOR, WALL]


def test_stuff_area_counts_only_what_things_leave() -> None:
    semantic = torch.full(SIZE, FLOOR)
    semantic[:1] = WALL
    merged = merge(scene([((0, 0, 8, 5), CUP, 0.9)], semantic), stuff_area=0.05)
    assert [segment.label for segment in merged.segments] == [CUP, FLOOR]


def test_no_objects_and_no_stuff() -> None:
    assert [segment.label for segment in merge(scene([])).segments] == [FLOOR]
    nothing = merge(scene([], CUP))
    assert nothing.segments == () and not nothing.ids.any()


def test_stuff_may_need_a_number_of_pixels() -> None:
    """A floor of 60 pixels and a wall of 40; where the label is open, nothing is said."""
    semantic = torch.full(SIZE, FLOOR)
    semantic[:, 6:] = WALL
    assert [segment.label for segment in merge(scene([], semantic), stuff_pixels=40).segments] == [FLOOR, WALL]
    assert [segment.label for segment in merge(scene([], semantic), stuff_pixels=41).segments] == [FLOOR]
    semantic[:, :6] = IGNORE
    found = merge(scene([], semantic), stuff_area=0.0)
    assert [segment.label for segment in found.segments] == [WALL]
    assert (labels(found)[:, :6] == -1).all()
