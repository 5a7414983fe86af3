"""Laser scans as depth maps of the image.

Letters: P points of a scan, H W pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures import Camera
from scenekit.structures.geometry import Size

POINT_BYTES = 16
"""Bytes of x, y, z and reflectance as float32."""


def read_scan(path: Path) -> Float[Tensor, "P 3"]:
    """Read a laser scan.

    Args:
        path: The file.

    Returns:
        Points in the scanner's frame, in metres: x forward, y left, z up.

    Raises:
        InputError: If the file is empty or truncated.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if not content or len(content) % POINT_BYTES:
        raise InputError(
            f"{path} has {len(content)} bytes; expected x, y, z and reflectance as float32, {POINT_BYTES} bytes per"
            " point; download it again, or omit depth with keys="
        )
    points = np.frombuffer(content, dtype="<f4").reshape(-1, 4)
    return torch.from_numpy(points[:, :3].copy())


def depth_of(
    points: Float[Tensor, "P 3"], to_camera: Float[Tensor, "3 4"], camera: Camera, size: Size
) -> Float[Tensor, "H W"]:
    """Project points to a depth map.

    Args:
        points: Points in metres. Those that are not finite or not in front of the camera are ignored.
        to_camera: Transform from the points' frame to the camera's.
        camera: The camera.
        size: (height, width) of the image in pixels.

    Returns:
        Metres along the optical axis of the nearest point at each pixel, NaN without points.
    """
    return camera.depth(points @ to_camera[:, :3].T + to_camera[:, 3], size)
