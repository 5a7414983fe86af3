"""KITTI's calibration files: projections from the frames of labels and scans to the left color camera.

A file has one matrix per line: P2 [3 4] projects the rectified frame of camera 0 to pixels of camera 2, R0_rect [3 3]
is the rectification, Tr_velo_to_cam [3 4] leads from the laser scanner to camera 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.io.records import brief, is_number
from scenekit.structures import Camera


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration of one image.

    The origin of labels is camera 0, 6 cm beside camera 2: P2 = K [1 | shift], and points moved by `shift` are
    projected by K alone.
    """

    camera: Camera
    """Camera of the image."""
    shift: Float[Tensor, " 3"]
    """Translation from the frame of labels to the camera's, in metres."""
    scanner: Float[Tensor, "3 4"] | None
    """Transform from the laser scanner to the camera; None where the file lacks it."""


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Args:
        path: The file.

    Returns:
        The calibration.

    Raises:
        InputError: If a matrix is missing or invalid; the message names the file and the line.
    """
    rows = _rows(path)
    projection = _matrix(rows, path, "P2", 4)
    matrix = projection[:, :3]
    if not bool((matrix[2] == torch.tensor([0.0, 0.0, 1.0])).all()) or bool(matrix[[1, 0], [0, 1]].any()):
        raise InputError(f"{path}: P2 must be fx 0 cx . 0 fy cy . 0 0 1 ., as that of a rectified camera")
    try:
        camera = Camera(matrix.float())
    except InputError as error:
        raise InputError(f"{path}: P2: {error}") from None
    shift = torch.linalg.inv(matrix) @ projection[:, 3]
    scanner = None
    if "Tr_velo_to_cam" in rows:
        scanner = _matrix(rows, path, "R0_rect", 3) @ _matrix(rows, path, "Tr_velo_to_cam", 4)
        scanner[:, 3] += shift
    return Calibration(camera, shift.float(), None if scanner is None else scanner.float())


def _rows(path: Path) -> Mapping[str, list[str]]:
    """Return the values of each line, by the name before the colon."""
    split = (line.partition(":") for line in read_text(path).splitlines() if line.strip())
    return {name.strip(): words.split() for name, _, words in split}


def _matrix(rows: Mapping[str, list[str]], path: Path, name: str, columns: int) -> Float[Tensor, "3 _"]:
    if name not in rows:
        known = ", ".join(rows) or "nothing"
        raise InputError(f"{path} has no line {name!r}; expected P2, R0_rect and Tr_velo_to_cam, got {known}")
    try:
        numbers = [float(word) for word in rows[name]]
    except ValueError:
        raise InputError(f"{path}: {name} must be numbers, not {brief(' '.join(rows[name]))}") from None
    if len(numbers) != 3 * columns or not all(map(is_number, numbers)):
        raise InputError(
            f"{path}: {name} must be {3 * columns} finite numbers, got {len(numbers)}: {brief(' '.join(rows[name]))}"
        )
    return torch.tensor(numbers, dtype=torch.float64).reshape(3, columns)
