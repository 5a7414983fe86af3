"""pix3d.json: one entry per image, checked before images are loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, is_number, read_json, records_of
from scenekit.ops.rotations import is_rotation
from scenekit.structures.geometry import Size
from scenekit_datasets.roots import Faulty, located_file, report

FLAGS = ("truncated", "occluded", "slightly_occluded")

FILM = 32.0
"""Width of the film in millimetres that `focal_length` refers to."""


@dataclass(frozen=True, eq=False)
class Entry:
    """An image and its one annotated object.

    A point of the model is at rotation @ point + translation in Pix3D's camera frame (x left, y up, z forward).
    """

    place: int
    """Position of the entry in the file."""
    name: str
    """Name of the image in the file."""
    category: str
    """Category of the object."""
    image: Path
    """The image file."""
    mask: Path
    """The mask file."""
    model: Path
    """The mesh file."""
    voxels: Path | None
    """The file of its occupancy grid, None without one."""
    size: Size
    """(height, width) of the image in pixels."""
    box: tuple[float, ...]
    """Box, xyxy in pixels."""
    rotation: Float[Tensor, "3 3"]
    """Rotation, camera from model."""
    translation: Float[Tensor, " 3"]
    """Translation in units of the model."""
    focal: float
    """Focal length in pixels."""
    flags: frozenset[str]
    """Flags of the image."""


@dataclass(frozen=True)
class Index:
    """The valid entries of a file that are in a split."""

    path: Path
    """The file."""
    entries: Sequence[Entry]
    """The entries."""
    categories: Sequence[str]
    """Categories that occur in the whole file."""


def read_index(root: Path, name: str, faulty: Faulty) -> Index:
    """Index pix3d.json.

    Args:
        root: Folder of the data set.
        name: Name of the file.
        faulty: Whether to refuse faulty entries or to skip them.

    Returns:
        The index.

    Raises:
        InputError: If the file cannot be read, no entry is left, or entries are faulty and refused.
    """
    path = root / name
    if not root.is_dir():
        raise InputError(f"{root} is not a Pix3D root: expected {name}, img/, mask/ and model/; name it with root=")
    entries, issues = [], []
    for record in records_of(read_json(path), path, "image"):
        try:
            entries.append(_entry(record, root))
        except InputError as error:
            issues.append(str(error))
    report(issues, faulty)
    if not entries:
        raise InputError(f"{path} lists no image that can be used")
    return Index(path, entries, sorted({entry.category for entry in entries}))


def _entry(record: Record, root: Path) -> Entry:
    width, height = (int(number) for number in record.numbers("img_size", 2))
    focal = record.number("focal_length")
    if focal <= 0 or min(width, height) < 1:
        raise InputError(f"{record}: focal_length and img_size must be above 0, got {focal:g} and {[width, height]}")
    x0, y0, x1, y1 = map(float, record.numbers("bbox", 4))
    if x1 <= x0 or y1 <= y0:
        raise InputError(f"{record}: 'bbox' must be x1, y1, x2, y2 with some area, got {brief(record.data['bbox'])}")
    image, mask, model = (_file(record, name, root) for name in ("img", "mask", "model"))
    return Entry(
        place=record.index,
        name=record.text("img"),
        category=record.text("category"),
        image=image,
        mask=mask,
        model=model,
        voxels=_file(record, "voxel", root) if record.data.get("voxel") else None,
        size=(height, width),
        box=(x0, y0, x1, y1),
        rotation=_rotation(record),
        translation=torch.tensor(record.numbers("trans_mat", 3), dtype=torch.float64),
        focal=focal / FILM * width,
        flags=frozenset(flag for flag in FLAGS if record.flag(flag)),
    )


def _file(record: Record, name: str, root: Path) -> Path:
    """Return a file that exists and is not empty."""
    try:
        path = located_file(record.text(name), root)
    except InputError as error:
        raise InputError(f"{record}: its {name!r} is missing: {error}") from None
    if path.stat().st_size == 0:
        raise InputError(f"{record}: its {name!r} is empty: {path} has 0 bytes")
    return path


def _rotation(record: Record) -> Float[Tensor, "3 3"]:
    rows = record.get("rot_mat")
    shaped = isinstance(rows, list) and len(rows) == 3 and all(isinstance(row, list) and len(row) == 3 for row in rows)
    if not shaped or not all(is_number(value) for row in rows for value in row):
        raise InputError(f"{record}: 'rot_mat' must be 3 rows of 3 finite numbers, not {brief(rows)}")
    matrix = torch.tensor(rows, dtype=torch.float64)
    if not bool(is_rotation(matrix, atol=1e-3)):
        volume = float(torch.linalg.det(matrix))
        kind = "left-handed" if math.isclose(volume, -1, abs_tol=1e-2) else "not orthonormal"
        raise InputError(f"{record}: 'rot_mat' is not a rotation but {kind} (determinant {volume:.3g})")
    return matrix
