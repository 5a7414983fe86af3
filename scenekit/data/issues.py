"""What looks wrong in a sample: boxes, masks, points and references that can't be right or are at odds with each other.

Letters: N regions of one image, K keypoints.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import compress
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.data.shape_checks import mesh_faults, open_meshes
from scenekit.data.value_checks import mended, repeats, row_name
from scenekit.fields.semantic import IGNORE
from scenekit.keys import AMODAL_MASKS, BOXES3D, DEPTH, OBJECTS, SEMANTIC, Key
from scenekit.ops.boxes import intersection_over_area
from scenekit.ops.boxes3d import project_cuboids
from scenekit.scene import Objects, Scene, find_faults
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.captions import Captions
from scenekit.structures.keypoints import ABSENT, Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.meshes import Meshes
from scenekit.structures.panoptic import Panoptic

SLACK, RELATIVE_SLACK = 2.0, 0.05
"""How far a mask or a point may be out of its box: pixels, or the share of the box's longer side if that is more."""

LEAST_INSIDE = 0.5
"""What an object shows lies within its 3D box: so does at least this share of the box around it."""

Fault = tuple[str, str]
"""A kind of fault, and where in the sample it is."""


def faults_of(sample: Sample) -> Iterator[Fault]:
    """Everything that looks wrong; kinds are phrases in the plural, as `empty masks`."""
    yield from _image_faults(sample)
    scene = sample.scene
    for stream, regions in scene.streams.items():
        things = len(scene.vocabulary.things) if stream == OBJECTS else None
        known = find_faults(regions, scene.size, things)
        for row, fault in known.items():
            yield f"boxes that are {fault}", row_name(stream, regions, row)
        for kind, row in _box_doubts(scene, regions, stream == OBJECTS):
            if row not in known:
                yield kind, row_name(stream, regions, row)
    for key, value in scene.values.items():
        yield from ((fault.kind, fault.where) for fault in mended(scene, key).faults)
        yield from ((kind, f"{key.name} {where}".rstrip()) for kind, where in _value_faults(scene, key, value))


def notes_of(sample: Sample) -> Iterator[Fault]:
    """What is right but may surprise: texts that not every tokenizer can spell, meshes that are not closed."""
    scene = sample.scene
    for key, value in scene.values.items():
        if isinstance(value, Meshes) and key.of is not None:
            faulty = mesh_faults(value)
            sound = [row for row in _rows(scene.rows_with(key)) if row not in faulty]
            for row in compress(sound, open_meshes(value[sound]).tolist()):
                yield "meshes that are not closed", f"{key.name} of {row_name(key.of, scene.regions(key.of), row)}"
        if isinstance(value, Captions) and key.of is not None:
            for row in _rows(scene.rows_with(key)):
                where = f"{key.name} of {row_name(key.of, scene.regions(key.of), row)}"
                yield from ((kind, where) for kind in _surprises(" ".join(value.texts[row])))


def _surprises(text: str) -> Iterator[str]:
    """Kinds of signs beyond plain letters, figures and punctuation."""
    if text.isascii():
        return
    if any(unicodedata.category(sign) == "So" for sign in text):
        yield "texts with emoji or other symbols, which a tokenizer of words leaves out"
    if any(sign.isalpha() and not unicodedata.name(sign, "").startswith("LATIN") for sign in text):
        yield "texts in other scripts than Latin"


def _image_faults(sample: Sample) -> Iterator[Fault]:
    scene, claims = sample.scene, sample.supervision
    if tuple(scene.size) != tuple(sample.image.shape[1:]):
        yield "annotations for another size of image", f"{list(scene.size)} for {list(sample.image.shape[1:])}"
    if not claims.keys and not claims.streams:
        yield "images that supervise nothing", ""
    elif not any(map(len, scene.streams.values())) and not any(key.of is None for key in scene.values):
        yield "images without labels", ""
    if BOXES3D in scene and scene.camera is None and bool(scene.rows_with(BOXES3D).any()):
        yield "3D boxes without a camera", ""
    if bool((sample.image == sample.image[:, :1, :1]).all()):
        yield "images of a single color", ""


def _box_doubts(scene: Scene, regions: Objects, labelled: bool) -> Iterator[tuple[str, int]]:
    """Boxes over the border, and labelled boxes that occur twice."""
    boxes = regions.boxes
    border = boxes.new_tensor([scene.size[1], scene.size[0]])
    over = ((boxes[:, :2] < -SLACK) | (boxes[:, 2:] > border + SLACK)).any(dim=1)
    yield from (("boxes that reach over the border", row) for row in _rows(over))
    if not labelled:
        return
    same = torch.cat((boxes.round(), regions.labels[:, None]), dim=1)
    yield from (("boxes that repeat another one", row) for row, _ in repeats(same))


def _value_faults(scene: Scene, key: Key[Any, Any], value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Panoptic):
        present = set(torch.unique(value.ids).tolist())
        yield from (("segments without a pixel", f"{s.id}") for s in value.segments if s.id not in present)
    elif key == SEMANTIC:
        if bool(((value >= len(scene.vocabulary.labels)) | (value < IGNORE)).any()):
            yield "maps with an unknown label", ""
    elif key == DEPTH:
        yield from _depth_faults(value)
    elif key.of is not None:
        regions = scene.regions(key.of)
        for kind, rows in _row_faults(key, value, regions.boxes):
            found = _rows(rows & scene.rows_with(key))
            yield from ((kind, f"of {row_name(key.of, regions, row)}") for row in found)
        if isinstance(value, Boxes3D):
            found = _rows(_astray(scene, value, regions.boxes) & scene.rows_with(key))
            yield from (("3D boxes away from their 2D box", f"of {row_name(key.of, regions, row)}") for row in found)


def _row_faults(
    key: Key[Any, Any], value: Any, boxes: Float[Tensor, "N 4"]
) -> Iterator[tuple[str, Bool[Tensor, " N"]]]:
    """Kinds of faults, and the rows that have them."""
    if isinstance(value, Masks):
        empty = value.area == 0
        yield "empty masks", empty
        if key != AMODAL_MASKS:  # whose hidden parts lie outside the box of what is seen
            yield "masks that do not fit their box", ~empty & ((value.boxes - boxes).abs() > _slack(boxes)).any(dim=1)
    elif isinstance(value, Keypoints):
        low, high = value.xy - boxes[:, None, :2], value.xy - boxes[:, None, 2:]
        out = ((low < -_slack(boxes)[:, None]) | (high > _slack(boxes)[:, None])).any(dim=2)
        yield "points outside their box", (out & (value.visibility != ABSENT)).any(dim=1)


def _depth_faults(depth: Float[Tensor, "H W"]) -> Iterator[tuple[str, str]]:
    """NaN is what nobody measured, as most of a laser scan's map."""
    if bool(depth.isnan().all()):
        yield "depth maps without a value", ""
    elif bool(((depth <= 0) | depth.isinf()).any()):
        yield "depth maps with values that are infinite or not above 0", ""


def _astray(scene: Scene, value: Boxes3D, boxes: Float[Tensor, "N 4"]) -> Bool[Tensor, " N"]:
    """Which 3D boxes are not where their 2D box is; those that reach behind the camera cannot be told."""
    if scene.camera is None:
        return torch.zeros(len(value), dtype=torch.bool)
    seen = project_cuboids(value.corners, scene.camera.matrix, scene.size)
    inside = intersection_over_area(boxes, seen.boxes.to(boxes)).diagonal()
    return value.valid & ~seen.behind & (inside < LEAST_INSIDE)


def _slack(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 1"]:
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return (RELATIVE_SLACK * longer).clamp(min=SLACK)


def _rows(chosen: Bool[Tensor, " N"]) -> list[int]:
    rows: list[int] = chosen.nonzero()[:, 0].tolist()
    return rows
