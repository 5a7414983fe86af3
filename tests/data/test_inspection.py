"""Counts, ranges and every kind of fault, on samples with exactly one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.inspection import UNREADABLE, inspect, size_name, spread
from scenekit.data.issues import issues_of
from scenekit.fields.semantic import IGNORE
from scenekit.keys import OBJECTS
from scenekit.structures import Panoptic, Relations, Segment
from scenekit.visualization.report.dataset import write_data_report

VOCABULARY = sk.Vocabulary(things=("cat", "dog"), stuff=("sky",), predicates=("on", "near"))
SIZE = (40, 60)


def good() -> sk.Sample:
    """Two objects with labels of many kinds, all of them sound."""
    boxes = torch.tensor([[5.0, 6, 25, 36], [30, 10, 50, 30]])
    dense = torch.zeros(2, *SIZE, dtype=torch.bool)
    dense[0, 6:36, 5:25] = dense[1, 10:30, 30:50] = True
    ids = dense[0] * 1 + dense[1] * 2
    points = sk.Keypoints(torch.tensor([[[6.0, 7.0]], [[0.0, 0.0]]]), torch.tensor([[2], [0]]))
    centers, sizes = torch.tensor([[-1.5, 0.1, 4], [1, 0, 4]]), torch.tensor([[0.1, 3, 2], [0.1, 2, 2]])
    boxes3d = sk.Boxes3D(centers, sizes, torch.eye(3).expand(2, 3, 3))
    values: dict[Any, Any] = {
        sk.MASKS: sk.Masks.from_dense(dense),
        sk.AMODAL_MASKS: sk.Masks.from_dense(torch.ones(2, *SIZE, dtype=torch.bool)),
        sk.KEYPOINTS: points,
        sk.CAPTIONS: sk.Captions((("a cat", "the big cat"), ("a dog",))),
        sk.BOXES3D: boxes3d,
        sk.RELATIONS: Relations(*torch.tensor([[0], [1], [1]])),
        sk.PANOPTIC: Panoptic(ids, (Segment(1, 0, True, 0), Segment(2, 1, True, 1))),
        sk.SEMANTIC: torch.full(SIZE, IGNORE),
    }
    camera = sk.Camera(torch.tensor([[40.0, 0, 30], [0, 40, 20], [0, 0, 1]]))
    scene = sk.Scene(SIZE, VOCABULARY, {OBJECTS: sk.Objects(boxes, torch.tensor([0, 1]))}, values, camera=camera)
    image = torch.arange(3 * SIZE[0] * SIZE[1]).reshape(3, *SIZE).to(torch.uint8)
    return sk.Sample(image, scene, sk.Supervision(frozenset(values)), 7)


def with_value(key: Any, value: Any) -> sk.Sample:
    sample = good()
    return replace(sample, scene=replace(sample.scene, values={**sample.scene.values, key: value}))


def with_boxes(*boxes: list[float], labels: list[int]) -> sk.Sample:
    """Boxes alone; what would follow them is not there."""
    sample = good()
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    objects = sk.Objects(corners, torch.tensor(labels, dtype=torch.int64))
    return replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects}, values={}))


def with_box3d(**changes: Any) -> sk.Sample:
    """The first object's 3D box is changed."""
    boxes = good().scene[sk.BOXES3D]
    columns = {name: value.clone() for name, value in vars(boxes).items() if value is not None}
    for name, value in changes.items():
        columns[name][0] = torch.tensor(value)
    return with_value(sk.BOXES3D, sk.Boxes3D(**columns))


def moved_masks() -> sk.Masks:
    dense = good().scene[sk.MASKS].dense
    return sk.Masks.from_dense(torch.stack((dense[0], dense[1].roll(4, dims=1))))


FAULTS: dict[tuple[str, str], Callable[[], sk.Sample]] = {
    ("boxes that are empty", "objects 0"): lambda: with_boxes([5, 6, 5, 9], labels=[0]),
    ("boxes that are outside the image", "objects 0"): lambda: with_boxes([70, 6, 75, 9], labels=[0]),
    ("boxes that are of an unknown label", "objects 0"): lambda: with_boxes([5, 6, 9, 9], labels=[2]),
    ("boxes that reach over the border", "objects 0"): lambda: with_boxes([5, 6, 69, 9], labels=[0]),
    ("boxes that repeat another one", "objects 2"): lambda: with_boxes(
        [5, 6, 9, 9], [5, 6, 9, 9], [5, 6, 9, 9], labels=[0, 1, 0]
    ),
    ("empty masks", "masks of objects 0"): lambda: with_value(sk.MASKS, sk.Masks.empty(1, SIZE)[[0, 0]]),
    ("masks that do not fit their box", "masks of objects 1"): lambda: with_value(sk.MASKS, moved_masks()),
    ("points outside their box", "keypoints of objects 1"): lambda: with_value(
        sk.KEYPOINTS, sk.Keypoints(torch.tensor([[[6.0, 7.0]], [[0.0, 0.0]]]), torch.tensor([[2], [1]]))
    ),
    ("empty texts", "captions of objects 1"): lambda: with_value(sk.CAPTIONS, sk.Captions((("a cat",), (" ",)))),
    ("3D boxes behind the camera", "boxes3d of objects 0"): lambda: with_box3d(center=[0.0, 0, -4]),
    ("3D boxes away from their 2D box", "boxes3d of objects 0"): lambda: with_box3d(center=[1.5, 0, 4]),
    ("3D boxes without volume or rotation", "boxes3d of objects 0"): lambda: with_box3d(size=[1.0, 0, 1]),
    ("3D boxes without a camera", "boxes3d"): lambda: replace(good(), scene=replace(good().scene, camera=None)),
    ("depth maps without a value", "depth"): lambda: with_value(sk.DEPTH, torch.full(SIZE, torch.nan)),
    ("depth maps with values that are infinite or not above 0", "depth"): lambda: with_value(
        sk.DEPTH, torch.arange(SIZE[0] * SIZE[1]).reshape(SIZE).float()
    ),
    ("relations of an object to itself", "relations 0"): lambda: with_value(
        sk.RELATIONS, Relations(*torch.tensor([[1], [1], [0]]))
    ),
    ("segments without a pixel", "panoptic 9"): lambda: with_value(
        sk.PANOPTIC, Panoptic(torch.zeros(SIZE, dtype=torch.int64), (Segment(9, 0, True),))
    ),
    ("maps with an unknown label", "semantic"): lambda: with_value(sk.SEMANTIC, torch.full(SIZE, 3)),
    ("images without labels", ""): lambda: with_boxes(labels=[]),
    ("images of a single color", ""): lambda: replace(good(), image=torch.full((3, *SIZE), 9, dtype=torch.uint8)),
    ("images that supervise nothing", ""): lambda: replace(good(), supervision=sk.Supervision(streams=frozenset())),
    ("annotations for another size of image", "[40, 60] for [40, 30]"): lambda: replace(
        good(), image=good().image[:, :, :30]
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0])
def test_each_fault_is_found_alone(fault: tuple[str, str]) -> None:
    found = list(issues_of(FAULTS[fault]()))
    assert fault in found
    if fault[0] != "empty masks":  # where both are
        assert found == [fault]


def test_a_sound_sample_has_none() -> None:
    assert list(issues_of(good())) == []


def test_ids_of_the_data_set_are_told() -> None:
    sample = with_boxes([5, 6, 5, 9], labels=[0])
    objects = replace(sample.scene.objects, ids=torch.tensor([41]))
    sample = replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects}))
    assert list(issues_of(sample)) == [("boxes that are empty", "objects 0 (id 41)")]


class Data:
    """Four samples: a sound one twice, one that cannot be read, one without objects of its own."""

    vocabulary = VOCABULARY

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> sk.Sample:
        if index == 2:
            raise sk.InputError("photo.jpg: no such file")
        return replace(with_boxes(labels=[]), id=9) if index == 3 else good()


def test_counts_and_ranges() -> None:
    seen = []
    found = inspect(Data(), on_sample=lambda done, sample: seen.append((done, sample is not None)))
    data = found.to_json()
    assert seen == [(1, True), (2, True), (3, False), (4, True)]
    assert (data["length"], data["looked_at"]) == (4, 4)
    assert data["things"] == {"cat": {"objects": 2, "images": 2}, "dog": {"objects": 2, "images": 2}}
    assert data["sizes"] == {"small": 4, "medium": 0, "large": 0} and data["shapes"] == {"60 × 40": 3}
    assert data["labels"]["masks"] == {"images": 2, "supervised": 2, "rows": 4}
    assert data["labels"]["objects"] == {"images": 3, "supervised": 3, "rows": 4}
    assert data["names"] == {"predicates": {"near": 2}}
    assert data["ranges"]["box width, px"] == {"count": 4, "min": 20, "mean": 20, "max": 20}
    assert data["ranges"]["boxes3d: height, m"] == {"count": 4, "min": 2, "mean": 2.5, "max": 3}
    assert data["ranges"]["captions: words a text"] == {"count": 6, "min": 2, "mean": pytest.approx(7 / 3), "max": 3}
    assert data["ranges"]["objects an image"]["mean"] == pytest.approx(4 / 3)
    assert {kind: found["count"] for kind, found in data["findings"].items()} == {
        UNREADABLE: 1,
        "ids that several samples have": 1,
        "images without labels": 1,
    }
    assert data["findings"][UNREADABLE]["places"] == ["number 2: photo.jpg: no such file"]


def test_whatever_a_data_set_stumbles_over_is_told() -> None:
    class Broken(Data):
        def __getitem__(self, index: int) -> sk.Sample:
            return {}[index]

    found = inspect(Broken())
    assert found.findings[UNREADABLE].places[1] == "number 1: KeyError: 1"


def test_classes_without_objects() -> None:
    found = inspect([replace(with_boxes([5, 6, 9, 9], labels=[1]), id=n) for n in range(2)] and Dogs())
    assert found.findings["classes without objects"].places == ["cat"]


class Dogs(Data):
    """A data set without cats."""

    def __getitem__(self, index: int) -> sk.Sample:
        return replace(with_boxes([5, 6, 9, 9], labels=[1]), id=index)


def test_places_are_limited_and_counted() -> None:
    found = inspect(Data())
    for number in range(30):
        found.find("something", f"{number}")
    assert found.findings["something"].count == 30 and len(found.findings["something"].places) == 20


def test_spread() -> None:
    assert list(spread(3, None)) == list(spread(3, 5)) == [0, 1, 2]
    assert list(spread(100, 4)) == [0, 25, 50, 75] and list(spread(100, 0)) == []


def test_sizes_are_those_of_coco() -> None:
    names = [size_name(float(area)) for area in (0, 1023, 1024, 9215, 9216)]
    assert names == ["small", "small", "medium", "medium", "large"]


def test_page(tmp_path: Path) -> None:
    found = inspect(Data())
    found.find("<odd>", "a & b")
    write_data_report(tmp_path / "new" / "page.html", found, [good()], title="<T>", facts={"data set": "x"})
    page = (tmp_path / "new" / "page.html").read_text()
    assert "&lt;odd&gt;" in page and "a &amp; b" in page and "<T>" not in page
    bare = page.replace("http-equiv", "").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert page.count('<article class="card"') == 1 and "http" not in bare
    for text in ("Issues", UNREADABLE, "photo.jpg", "captions: words a text", "near", "image 7"):
        assert text in page
