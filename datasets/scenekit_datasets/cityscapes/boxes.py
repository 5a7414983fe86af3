"""Cityscapes 3D (Gählert et al. 2020): boxes of vehicles, and the camera.

Boxes are in the frame of the car (ISO 8855: x forward, y left, z up, the origin on the ground below the rear axle);
`sensor_T_ISO_8855` leads to the place of the camera, with the same directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, read_json, read_records
from scenekit.ops.rotations import is_rotation, quaternion_to_matrix
from scenekit.structures import Camera
from scenekit_datasets.cityscapes.classes import VOCABULARY
from scenekit_datasets.image_labels import Box3D

FORMAT = "CRS_ISO8855"
"""The frame of the boxes, as the files name it."""

CAMERA_FROM_ISO = ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))
"""Right is -y, down is -z, forward is x."""

ISO_FROM_OBJECT = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
"""The axes of `Boxes3D` (forward, down, along the width) in a box that faces along x with z up."""


@dataclass(frozen=True, eq=False)
class Vehicle:
    """A vehicle of the file, or a region of vehicles without a 3D box."""

    id: int | None
    """Its number in the map of instances; None where it has none."""
    label: int | None
    """Its label; None for a region of any class, and for classes that are not evaluated."""
    box: tuple[float, float, float, float]
    """Its visible part, xyxy in pixels."""
    box3d: Box3D | None = None
    """Its 3D box; None for a region that is ignored, and behind the camera."""
    truncation: float = float("nan")
    """Share beyond the border of the image."""
    occlusion: float = float("nan")
    """Share that other things hide."""


@dataclass(frozen=True, eq=False)
class VehicleFile:
    """The vehicles of an image."""

    camera: Camera
    """The camera."""
    vehicles: Sequence[Vehicle]
    """Vehicles with a 3D box."""
    ignored: Sequence[Vehicle]
    """Regions that evaluation ignores."""
    issues: Sequence[str]
    """Problems of the entries, one message each."""


def read_vehicles(path: Path) -> VehicleFile:
    """Read a file of 3D boxes.

    Args:
        path: The file.

    Returns:
        Its camera and vehicles.

    Raises:
        InputError: If the file or its camera is invalid.
    """
    data = read_json(path)
    sensor = _object(data, "sensor", path)
    pose = _pose(sensor)
    issues: list[str] = []
    vehicles = _read(data, path, "objects", lambda record: _vehicle(record, pose), issues)
    ignored = _read(data, path, "ignore", _ignored, issues)
    return VehicleFile(_camera(sensor), vehicles, ignored, issues)


def read_camera(path: Path) -> Camera:
    """Read a file of a camera.

    Args:
        path: The file.

    Returns:
        The camera.

    Raises:
        InputError: If it is invalid.
    """
    return _camera(_object(read_json(path), "intrinsic", path))


def _read(data: Any, path: Path, name: str, read: Any, issues: list[str]) -> list[Vehicle]:
    entries = read_records(data, path, name, f"entry of {name!r}") if name in data or name == "objects" else []
    vehicles = []
    for record in entries:
        try:
            vehicles.append(read(record))
        except InputError as error:
            issues.append(str(error))
    return vehicles


def _object(data: Any, name: str, path: Path) -> Record:
    value = data.get(name) if isinstance(data, Mapping) else None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with {name!r}, as Cityscapes' files have it, got {brief(data)}")
    return Record(value, path, name, 0, f"{path}: {name!r}")


def _camera(record: Record) -> Camera:
    fx, fy, u, v = (record.number(name) for name in ("fx", "fy", "u0", "v0"))
    try:
        return Camera(torch.tensor([[fx, 0.0, u], [0.0, fy, v], [0.0, 0.0, 1.0]]))
    except InputError as error:
        raise InputError(f"{record}: {error}") from None


def _pose(sensor: Record) -> Float[Tensor, "3 4"]:
    """Return the transform from the car to the camera, with the camera's axes."""
    rows = sensor.get("sensor_T_ISO_8855")
    flat = [value for row in rows for value in row] if _is_matrix(rows) else rows
    values = torch.tensor(sensor.with_data({"sensor_T_ISO_8855": flat}).numbers("sensor_T_ISO_8855", 12)).double()
    pose = values.reshape(3, 4)
    if not bool(is_rotation(pose[:, :3], atol=1e-3)):
        raise InputError(f"{sensor}: 'sensor_T_ISO_8855' must be a rotation and a translation, [3, 4]")
    return torch.tensor(CAMERA_FROM_ISO, dtype=torch.float64) @ pose


def _is_matrix(rows: Any) -> bool:
    return isinstance(rows, list) and all(isinstance(row, list) for row in rows)


def _vehicle(record: Record, pose: Float[Tensor, "3 4"]) -> Vehicle:
    flat = _part(record, "2d")
    box3d = _box3d(_part(record, "3d"), pose)
    shares = (_share(record, name) for name in ("truncation", "occlusion"))
    return Vehicle(*_identity(record), _xyxy(flat, "modal" if "modal" in flat.data else "amodal"), box3d, *shares)


def _ignored(record: Record) -> Vehicle:
    return Vehicle(*_identity(record), _xyxy(record, "2d"))


def _identity(record: Record) -> tuple[int | None, int | None]:
    """Return number and label."""
    name, id = record.data.get("label"), record.data.get("instanceId", -1)
    label = VOCABULARY.things.index(name) if name in VOCABULARY.things else None
    return (id if isinstance(id, int) and id >= 0 else None), label


def _part(record: Record, name: str) -> Record:
    value = record.get(name)
    if not isinstance(value, dict):
        raise InputError(f"{record}: {name!r} must be an object, not {brief(value)}")
    return Record(value, record.path, record.noun, record.index, f"{record}: {name!r}")


def _xyxy(record: Record, name: str) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, record.numbers(name, 4))
    return x, y, x + width, y + height


def _box3d(record: Record, pose: Float[Tensor, "3 4"]) -> Box3D | None:
    """Convert a box to the camera's frame; None for one behind the camera."""
    if (frame := record.data.get("format", FORMAT)) != FORMAT:
        raise InputError(f"{record}: expected the format {FORMAT!r}, got {brief(frame)}")
    length, width, height = record.numbers("dimensions", 3)
    if min(length, width, height) <= 0:
        raise InputError(f"{record}: 'dimensions' must be a length, width and height above 0")
    center = pose[:, :3] @ torch.tensor(record.numbers("center", 3)).double() + pose[:, 3]
    quaternion = torch.tensor(record.numbers("rotation", 4)).double()
    if not float(quaternion.norm()):
        raise InputError(f"{record}: 'rotation' must be a quaternion, not 0 0 0 0")
    rotation = pose[:, :3] @ quaternion_to_matrix(quaternion) @ torch.tensor(ISO_FROM_OBJECT).double()
    box = (center.float(), torch.tensor([width, height, length]).float(), rotation.float())
    return box if float(center[2]) > 0 else None


def _share(record: Record, name: str) -> float:
    value = record.number(name) if record.data.get(name) is not None else float("nan")
    return min(max(value, 0.0), 1.0) if value == value else value
