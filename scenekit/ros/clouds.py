"""Points of a message PointCloud2. Letters: P points."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from scenekit.errors import InputError, listed

KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""Types of a field by the number that a message PointField has for them."""


def cloud_points(message: Any, name: str) -> Float[np.ndarray, "P 3"]:
    """Decode the coordinates of a point cloud; points that are not finite are dropped.

    Args:
        message: A PointCloud2, with rows of any length, in either byte order.
        name: Name of the cloud in errors.

    Returns:
        Points in the frame of the cloud, in metres.

    Raises:
        InputError: The cloud has no x, y and z, or fewer bytes than points.
    """
    height, width, step, row = (int(message.height), int(message.width), int(message.point_step), int(message.row_step))
    if height * width == 0:
        return np.zeros((0, 3))
    data = np.frombuffer(bytes(message.data), np.uint8)
    row = row if height > 1 else max(row, width * step)
    if row < width * step or len(data) < (height - 1) * row + width * step:
        raise InputError(
            f"{name}: {height} x {width} points of {step} bytes in rows of {row} need more than {len(data)} bytes"
        )
    shape, strides = (height, width), (row, step)
    columns = [
        np.ndarray(shape, kind, data, offset, strides).astype(float).reshape(-1)
        for kind, offset in coordinates(message, name)
    ]
    points = np.stack(columns, axis=1)
    finite: np.ndarray = points[np.isfinite(points).all(axis=1)]
    return finite


def coordinates(message: Any, name: str) -> list[tuple[str, int]]:
    """Return the type and the offset of x, y and z within a point.

    Args:
        message: A PointCloud2.
        name: Name of the cloud in errors.

    Returns:
        (NumPy's name of the type, offset in bytes) of each.

    Raises:
        InputError: One of them is absent, of an unknown type, or outside the point.
    """
    fields = {str(field.name): (int(field.offset), int(field.datatype)) for field in message.fields}
    if not {"x", "y", "z"} <= fields.keys():
        raise InputError(f"{name}: a cloud needs the fields x, y and z, got {listed(fields, 20) or 'none'}")
    order = "<>"[bool(message.is_bigendian)]
    found = []
    for axis in "xyz":
        offset, kind = fields[axis]
        if kind not in KINDS or offset + int(KINDS[kind][1]) > message.point_step:
            raise InputError(
                f"{name}: the field {axis} of type {kind} at byte {offset} does not fit a point of"
                f" {message.point_step} bytes; expected types 1 to 8"
            )
        found.append((order + KINDS[kind], offset))
    return found
