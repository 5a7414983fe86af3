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
from torch import Tensor

from scenekit.errors import InputError, nearest, warn_once
from scenekit.io.coco_masks import RunLengths, run_lengths
from scenekit.io.coco_records import area_of
from scenekit.io.records import Record, brief
from scenekit.keys import AMODAL_MASKS, ATTRIBUTES, BOXES3D, CAPTIONS, KEYPOINTS, MASKS, Key
from scenekit.scene import Objects
from scenekit.structures import Boxes3D, Captions, Keypoints, Masks
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary

_log = logging.getLogger(__name__)


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


def objects_of(rows: Sequence[Row], size: Size) -> Objects:
    """Create objects from annotations; areas are the file's where it has them, else those of masks or boxes.

    Args:
        rows: The annotations.
        size: (height, width) of the image in pixels.

    Returns:
        The objects.

    Raises:
        InputError: If a field is missing or invalid.
    """
    records = [row.record for row in rows]
    boxes = torch.tensor([record.numbers("bbox", 4) for record in records], dtype=torch.float64).reshape(-1, 4)
    boxes = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), dim=1).float()
    return Objects(
        boxes,
        torch.tensor([row.label for row in rows], dtype=torch.int64),
        ids=torch.tensor([record.integer("id") for record in records], dtype=torch.int64),
        crowd=torch.tensor([record.flag("iscrowd") for record in records], dtype=torch.bool),
        ignore=torch.tensor([record.flag("ignore") for record in records], dtype=torch.bool),
        area=torch.tensor([area_of(row.record, _mask(row, size)) for row in rows], dtype=torch.float32),
    )


def _mask(row: Row, size: Size) -> RunLengths | None:
    return run_lengths(row.record, "segmentation", size) if row.has("segmentation") else None


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
    """Create keypoints from x, y, v of each point, at the places that the vocabulary gives the points of its class.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.

    Returns:
        The keypoints; absent where an object has none, or another class has them.

    Raises:
        InputError: If a field is invalid.
    """
    count = 0 if frame.vocabulary.skeleton is None else len(frame.vocabulary.skeleton.points)
    triplets = torch.zeros((len(rows), count, 3))
    for triplet, row in zip(triplets, rows, strict=True):
        if has_keypoints(row):
            places = frame.vocabulary.points_of(frame.vocabulary.labels[row.label])
            numbers = torch.tensor(row.record.numbers("keypoints", 3 * len(places)), dtype=torch.float32)
            triplet[list(places)] = numbers.reshape(-1, 3)
    return Keypoints(triplets[..., :2].contiguous(), triplets[..., 2].long())


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
    """Create attributes: a list names all that hold, an object has the flags of some.

    Args:
        rows: The annotations.
        frame: Size and vocabulary.

    Returns:
        1 and 0, NaN where unknown.

    Raises:
        InputError: If a name is unknown.
    """
    names = frame.vocabulary.attributes
    out = torch.full((len(rows), len(names)), torch.nan)
    for place, row in zip(out, rows, strict=True):
        held = row.record.data.get("attributes")
        if isinstance(held, list):
            place[:] = 0.0
            held = dict.fromkeys(map(str, held), 1)
        for name, holds in (held or {}).items():
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
            center[n], size[n], rotation[n] = box3d_of(row.record)
    return Boxes3D(center, size, rotation)


def box3d_of(record: Record) -> tuple[Tensor, Tensor, Tensor]:
    """Read one 3D box.

    Args:
        record: The annotation.

    Returns:
        (center, size, rotation).

    Raises:
        InputError: If a field is invalid.
    """
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


def has_points(data: dict[str, Any]) -> bool:
    """Return whether an annotation has keypoints; COCO's persons without any have zeros and `num_keypoints` 0.

    Args:
        data: The annotation; its visibilities count where `num_keypoints` contradicts them.

    Returns:
        True if so.
    """
    points = data.get("keypoints")
    return bool(points) and (data.get("num_keypoints") != 0 or contradicts_points(data))


def contradicts_points(data: dict[str, Any]) -> bool:
    """Return whether `num_keypoints` is 0 while there are keypoints.

    Args:
        data: The annotation.

    Returns:
        True if so.
    """
    points = data.get("keypoints")
    return data.get("num_keypoints") == 0 and isinstance(points, list) and any(points[2::3])
