"""The labels of one image, created from its records when it is loaded.

Letters: N objects, K keypoints, A attributes, H W pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from pycocotools import mask as coco_mask
from torch import Tensor

from scenekit.errors import InputError, nearest, warn_once
from scenekit.io.records import Record, brief, is_number
from scenekit.keys import AMODAL_MASKS, ATTRIBUTES, BOXES3D, CAPTIONS, KEYPOINTS, MASKS, Key
from scenekit.scene import Objects
from scenekit.structures import Boxes3D, Captions, Keypoints, Masks
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.columns import contradicts_points, has_points

_log = logging.getLogger(__name__)

FARTHEST = 1e6
"""Largest coordinate of a polygon in pixels; an edge is drawn point by point, so that a stray vertex would fill the
memory."""


@dataclass(frozen=True)
class Row:
    """One annotation."""

    record: Record
    """Its entry."""
    label: int
    """Its label: that of a thing, or len(things) and more for stuff."""

    def has(self, *fields: str) -> bool:
        """Return whether one of the fields has a value.

        Args:
            fields: Names of fields.

        Returns:
            True if so.
        """
        return any(self.record.data.get(field) is not None for field in fields)


@dataclass(frozen=True)
class Frame:
    """What the labels of an image refer to."""

    size: Size
    """(height, width) of the image in pixels."""
    vocabulary: Vocabulary
    """The names."""


def objects_of(rows: Sequence[Row]) -> Objects:
    """Create objects from annotations; areas are the file's where it has them.

    Args:
        rows: The annotations.

    Returns:
        The objects.

    Raises:
        InputError: If a field is missing or invalid.
    """
    records = [row.record for row in rows]
    boxes = torch.tensor([record.numbers("bbox", 4) for record in records], dtype=torch.float64).reshape(-1, 4)
    boxes = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), dim=1).float()
    annotated = [record.number("area") if record.data.get("area") is not None else torch.nan for record in records]
    area = torch.tensor(annotated, dtype=torch.float32)
    return Objects(
        boxes,
        torch.tensor([row.label for row in rows], dtype=torch.int64),
        ids=torch.tensor([record.integer("id") for record in records], dtype=torch.int64),
        crowd=torch.tensor([record.flag("iscrowd") for record in records], dtype=torch.bool),
        ignore=torch.tensor([record.flag("ignore") for record in records], dtype=torch.bool),
        area=torch.where(area.isnan(), (boxes[:, 2:] - boxes[:, :2]).prod(1), area),
    )


def masks_of(rows: Sequence[Row], frame: Frame, field: str = "segmentation") -> Masks:
    """Create masks from polygons or run lengths; an object without them has an empty mask.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.
        field: Field that holds the mask.

    Returns:
        One mask per annotation.

    Raises:
        InputError: If a field is invalid.
    """
    empty = Masks.empty(1, frame.size).rles[0]
    return Masks(
        tuple(run_lengths(row.record, field, frame.size) if row.has(field) else empty for row in rows), frame.size
    )


def keypoints_of(rows: Sequence[Row], frame: Frame) -> Keypoints:
    """Create keypoints from x, y, v of each point; absent where an object has none.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.

    Returns:
        The keypoints.

    Raises:
        InputError: If a field is invalid.
    """
    count = 0 if frame.vocabulary.skeleton is None else len(frame.vocabulary.skeleton.points)
    triplets = torch.zeros((len(rows), count, 3))
    for place, row in zip(triplets, rows, strict=True):
        if has_keypoints(row):
            place[:] = torch.tensor(row.record.numbers("keypoints", 3 * count)).reshape(count, 3)
    flags = triplets[..., 2]
    if not bool(((flags == 0) | (flags == 1) | (flags == 2)).all()):
        row = rows[int((flags.frac().abs() + (flags < 0) + (flags > 2)).amax(1).argmax())]
        raise InputError(f"{row.record}: 'keypoints' must have visibilities of 0, 1 or 2")
    return Keypoints(triplets[..., :2].contiguous(), flags.long())


def has_keypoints(row: Row) -> bool:
    """Return whether an annotation has keypoints; COCO's persons without any have zeros and `num_keypoints` 0.

    Args:
        row: The annotation.

    Returns:
        True if so.
    """
    if contradicts_points(row.record.data):
        warn_once(
            _log, f"{row.record.path}: 'num_keypoints' is 0 where 'keypoints' has labelled points, which are used"
        )
    return has_points(row.record.data)


def attributes_of(rows: Sequence[Row], frame: Frame) -> Float[Tensor, "N A"]:
    """Create attributes: a list names all that hold, an object says of each whether it holds.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.

    Returns:
        1 and 0, NaN where unknown.

    Raises:
        InputError: If a field is invalid.
    """
    names = frame.vocabulary.attributes
    out = torch.full((len(rows), len(names)), torch.nan)
    for place, row in zip(out, rows, strict=True):
        held = row.record.data.get("attributes")
        if isinstance(held, list):
            place[:] = 0.0
            held = dict.fromkeys(map(str, held), 1)
        elif held is not None and not isinstance(held, dict):
            raise InputError(f"{row.record}: 'attributes' must be a list of names or an object, not {brief(held)}")
        for name, holds in (held or {}).items():
            if holds not in (0, 1):
                raise InputError(f"{row.record}: 'attributes' has {name!r} as {brief(holds)}; expected 0 or 1")
            place[place_of(name, names, row.record, "attributes")] = float(holds)
    return out


def captions_of(rows: Sequence[Row], frame: Frame) -> Captions:
    """Create captions.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.

    Returns:
        The texts of each object.
    """
    return Captions(tuple(texts_of(row.record) for row in rows))


def texts_of(record: Record) -> tuple[str, ...]:
    """Return the field `captions`, a list of texts, or `caption`, one text.

    Args:
        record: The entry.

    Returns:
        The texts.

    Raises:
        InputError: If the field is invalid.
    """
    texts = record.data.get("captions")
    if texts is None:
        texts = [] if record.data.get("caption") is None else [record.data["caption"]]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{record}: 'captions' must be a list of texts, not {brief(texts)}")
    return tuple(texts)


def boxes3d_of(rows: Sequence[Row], frame: Frame) -> Boxes3D:
    """Create 3D boxes from `center`, `size` and `rotation`, or from `bbox_3d` with `Boxes3D.parameters`.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.

    Returns:
        The boxes, NaN where absent.

    Raises:
        InputError: If a field is invalid.
    """
    center, size = (torch.full((len(rows), 3), torch.nan) for _ in range(2))
    rotation = torch.full((len(rows), 3, 3), torch.nan)
    for n, row in enumerate(rows):
        if row.has("center", "bbox_3d"):
            center[n], size[n], rotation[n] = _box3d(row.record)
    return Boxes3D(center, size, rotation)


def _box3d(record: Record) -> tuple[Tensor, Tensor, Tensor]:
    if record.data.get("bbox_3d") is not None:
        numbers = torch.tensor(record.numbers("bbox_3d", 9), dtype=torch.float32)
        center, size, rotation = numbers[:3], numbers[3:6], rotation_of(*numbers[6:].tolist())
    else:
        center, size = (torch.tensor(record.numbers(name, 3), dtype=torch.float32) for name in ("center", "size"))
        rotation = matrix_of(record, "rotation")
    if not bool((size > 0).all()):
        raise InputError(f"{record}: a 3D box needs width, height and length above 0, not {size.tolist()}")
    if not torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-3) or torch.linalg.det(rotation) < 0:
        raise InputError(f"{record}: 'rotation' is not a rotation (orthogonal, determinant +1)")
    return center, size, rotation


def rotation_of(roll: float, pitch: float, yaw: float) -> Float[Tensor, "3 3"]:
    """Return Ry(yaw) Rz(pitch) Rx(roll), the inverse of `Boxes3D.roll_pitch_yaw`.

    Args:
        roll: Angle in radians.
        pitch: Angle in radians.
        yaw: Angle in radians.

    Returns:
        The rotation matrix.
    """

    def turn(angle: float, a: int, b: int) -> Tensor:
        matrix = torch.eye(3)
        sine, cosine = torch.tensor(angle).sin(), torch.tensor(angle).cos()
        matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = cosine, -sine, sine, cosine
        return matrix

    return turn(yaw, 2, 0) @ turn(pitch, 0, 1) @ turn(roll, 1, 2)


def matrix_of(record: Record, field: str) -> Float[Tensor, "3 3"]:
    """Read a list of three rows of three numbers.

    Args:
        record: The entry.
        field: Name of the field.

    Returns:
        The matrix.

    Raises:
        InputError: If the field is invalid.
    """
    rows = record.get(field)
    if not isinstance(rows, list) or len(rows) != 3:
        raise InputError(f"{record}: {field!r} must be three rows of three numbers, not {brief(rows)}")
    named = [Record({**record.data, field: row}, record.path, record.noun, record.index) for row in rows]
    return torch.tensor([row.numbers(field, 3) for row in named], dtype=torch.float32)


def run_lengths(record: Record, field: str, size: Size) -> dict[str, Any]:
    """Convert polygons, lists of run lengths or compressed ones to COCO's compressed run lengths.

    Args:
        record: The entry.
        field: Name of the field.
        size: (height, width) of the image in pixels.

    Returns:
        The run lengths.

    Raises:
        InputError: If the field is invalid.
    """
    value = record.get(field)
    if isinstance(value, dict):
        return _compressed(record, field, value, size)
    if not _are_polygons(value):
        raise InputError(f"{record}: {field!r} must be polygons or run lengths, not {brief(value)}")
    if not value:
        return dict(Masks.empty(1, size).rles[0])
    merged: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(value, *size))
    return merged


def _compressed(record: Record, field: str, rle: Mapping[str, Any], size: Size) -> dict[str, Any]:
    counts = rle.get("counts")
    if rle.get("size") != list(size):
        got = brief(rle.get("size"))
        raise InputError(f"{record}: {field!r} is of size {got}, the image of {list(size)} (height, width)")
    if isinstance(counts, str) and counts.isascii():
        try:
            return dict(Masks.from_json([rle], size).rles[0])
        except InputError as error:
            raise InputError(f"{record}: {field!r}: {error}") from None
    runs = counts if isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts) else []
    if sum(runs) != size[0] * size[1]:
        raise InputError(f"{record}: the run lengths {brief(counts)} of {field!r} do not fill a mask of {list(size)}")
    packed: dict[str, Any] = coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size)
    return packed


def _are_polygons(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(is_number(number) and abs(number) <= FARTHEST for number in polygon)
        for polygon in value
    )


def place_of(name: str, known: Sequence[str], record: Record, field: str) -> int:
    """Return the index of a name.

    Args:
        name: The name.
        known: All names.
        record: The entry, for the error message.
        field: Name of its field.

    Returns:
        The index.

    Raises:
        InputError: If the name is unknown.
    """
    if name not in known:
        raise InputError(f"{record}: {field!r} has {name!r}{nearest(name, known)}")
    return known.index(name)


@dataclass(frozen=True)
class RowLabel:
    """How a key is created from the annotations of an image."""

    fields: tuple[str, ...]
    """Fields that hold it."""
    make: Callable[[Sequence[Row], Frame], Any]
    """Function that creates the value."""
    carries: Callable[[Row], bool]
    """Function that returns whether an annotation has the label."""


def _by_field(*fields: str) -> Callable[[Row], bool]:
    return lambda row: row.has(*fields)


ROW_LABELS: Mapping[Key[Any, Any], RowLabel] = {
    MASKS: RowLabel(("segmentation",), masks_of, lambda row: bool(row.record.data.get("segmentation"))),
    AMODAL_MASKS: RowLabel(
        ("amodal_segmentation",),
        lambda rows, frame: masks_of(rows, frame, "amodal_segmentation"),
        _by_field("amodal_segmentation"),
    ),
    KEYPOINTS: RowLabel(("keypoints",), keypoints_of, has_keypoints),
    ATTRIBUTES: RowLabel(("attributes",), attributes_of, _by_field("attributes")),
    CAPTIONS: RowLabel(("caption", "captions"), captions_of, lambda row: bool(texts_of(row.record))),
    BOXES3D: RowLabel(("bbox_3d", "center"), boxes3d_of, _by_field("bbox_3d", "center")),
}
"""Labels that annotations of objects may have beside their box."""


def carried(key: Key[Any, Any], rows: Sequence[Row]) -> Bool[Tensor, " N"]:
    """Return which annotations have a label.

    Args:
        key: Key of the label.
        rows: The annotations.

    Returns:
        True for each annotation with it.
    """
    return torch.tensor([ROW_LABELS[key].carries(row) for row in rows], dtype=torch.bool)
