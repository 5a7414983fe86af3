"""The labels of one image, created from its annotations when it is loaded.

Letters: N objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.records import Record, is_number
from scenekit.keys import BOXES3D, TRUNCATION, VISIBILITY, Key
from scenekit.metrics.omni3d.average_precision import Omni3DFilter
from scenekit.metrics.omni3d.files import KINDS, Boxes2D, box_of, is_ignored, matched_box
from scenekit.ops.rotations import is_rotation
from scenekit.scene import Objects
from scenekit.structures.geometry import Size
from scenekit_datasets.image_labels import Box3D, Labels, boxes3d_of, clipped
from scenekit_datasets.omni3d.index import matrix_of

ABSENT = -1
"""Omni3D's value for anything unknown."""


@dataclass(frozen=True)
class Rules:
    """How labels are created."""

    boxes: Boxes2D
    """Kind of the 2D boxes."""
    ignored: Omni3DFilter
    """Which objects are ignored."""
    keys: frozenset[Key[Any, Any]]
    """Labels to load."""


@dataclass(frozen=True)
class Row:
    """One annotation."""

    record: Record
    """Its entry."""
    label: int
    """Its label."""
    region: bool = False
    """Whether it is a region that may contain any object."""


@dataclass(frozen=True)
class _Object:
    """An annotation with its boxes; `box3d` is None without a usable one."""

    row: Row
    box: tuple[float, float, float, float]
    ignore: bool
    box3d: Box3D | None


def labels_of(rows: Sequence[Row], size: Size, rules: Rules) -> Labels:
    """Create objects from annotations whose 2D box meets the image.

    Args:
        rows: The annotations.
        size: (height, width) of the image in pixels.
        rules: How labels are created.

    Returns:
        Objects and labels.
    """
    issues: list[str] = []
    objects = [_object(row, size, rules, issues) for row in rows]
    kept = [entry for entry in objects if entry is not None]
    records = [entry.row.record for entry in kept]
    there = torch.tensor([entry.box3d is not None for entry in kept], dtype=torch.bool)
    values = {
        BOXES3D: boxes3d_of([entry.box3d for entry in kept]),
        TRUNCATION: torch.tensor([_share(record, "truncation") for record in records], dtype=torch.float32),
        VISIBILITY: torch.tensor([_share(record, "visibility") for record in records], dtype=torch.float32),
    }
    values = {key: value for key, value in values.items() if key in rules.keys}
    return Labels(_objects(kept), values, {BOXES3D: there} if BOXES3D in values else {}, issues)


def _object(row: Row, size: Size, rules: Rules, issues: list[str]) -> _Object | None:
    """Return None for an annotation outside the image; one with a faulty 3D box is ignored."""
    try:
        flat = _flat_box(row.record, rules.boxes)
    except InputError as error:
        issues.append(str(error))
        return None
    inside = clipped(flat, size)
    if inside is None:
        return None
    box = (flat[0], flat[1], flat[2], flat[3]) if rules.boxes == "proj" else inside
    if row.region:
        return _Object(row, box, ignore=True, box3d=None)
    try:
        box3d = box3d_of(row.record) if row.record.flag("valid3D", required=True) else None
        return _Object(row, box, _ignored(row.record, size, rules), box3d)
    except InputError as error:
        issues.append(str(error))
        return _Object(row, box, ignore=True, box3d=None)


def _flat_box(record: Record, kind: Boxes2D) -> list[float | int]:
    """Return the 2D box, of finite numbers."""
    try:
        box = matched_box(record.data, kind) if any(f"bbox2D_{other}" in record.data for other in KINDS) else None
    except TypeError:
        box = None
    if box is None:
        raise InputError(f"{record} has no 2D box; expected 'bbox2D_tight', 'bbox2D_trunc' or 'bbox2D_proj'")
    named = Record({"id": record.data.get("id"), "2D box": box}, record.path, record.noun, record.index)
    return named.numbers("2D box", 4)


def _ignored(record: Record, size: Size, rules: Rules) -> bool:
    try:
        return is_ignored(record.data, box_of(record.data, rules.boxes), size[0], rules.ignored)
    except KeyError as error:
        raise InputError(f"{record} has no {error}, which Omni3D's annotations have") from None
    except (TypeError, IndexError, ValueError) as error:
        raise InputError(f"{record} is not as Omni3D has them: {error}") from None


def box3d_of(record: Record) -> Box3D | None:
    """Read `center_cam`, `dimensions` (width, height, length) and `R_cam`.

    Args:
        record: The entry.

    Returns:
        Center, size and rotation; None for a box behind the camera.

    Raises:
        InputError: If the box has no volume, or the matrix is not a rotation.
    """
    center, size = (torch.tensor(record.numbers(name, 3)).float() for name in ("center_cam", "dimensions"))
    rotation = matrix_of(record, "R_cam").float()
    if not bool((size > 0).all()):
        raise InputError(f"{record}: 'dimensions' must be a width, height and length above 0, not {_plain(size)}")
    if not bool(is_rotation(rotation, atol=1e-3)):
        turned = "it is left-handed" if float(torch.linalg.det(rotation)) < 0 else "its columns are not orthonormal"
        raise InputError(f"{record}: 'R_cam' must be a rotation from the object's axes to the camera's, but {turned}")
    in_front = not record.flag("behind_camera") and float(center[2]) > 0
    return (center, size, rotation) if in_front else None


def _plain(values: Tensor) -> str:
    return ", ".join(f"{value:g}" for value in values.tolist())


def _share(record: Record, name: str) -> float:
    """Return a value from 0 to 1, NaN where it is unknown."""
    value: Any = record.data.get(name)
    if not is_number(value) or value == ABSENT:
        return float("nan")
    return min(max(float(value), 0.0), 1.0)


def _objects(entries: Sequence[_Object]) -> Objects:
    return Objects(
        torch.tensor([entry.box for entry in entries], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([entry.row.label for entry in entries], dtype=torch.int64),
        ids=torch.tensor([entry.row.record.integer("id") for entry in entries], dtype=torch.int64),
        crowd=torch.tensor([entry.row.region for entry in entries], dtype=torch.bool),
        ignore=torch.tensor([entry.ignore for entry in entries], dtype=torch.bool),
    )
