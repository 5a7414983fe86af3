"""Which face of a mesh is seen at each pixel: a depth buffer, in numpy.

Letters: F faces, G faces after clipping, S rows of pixels that faces span, P pixels that they cover, h w image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

MOST_PIXELS = 2_000_000
"""Covered pixels that are held at a time; a memory bound."""


def visible_faces(triangles: Float[np.ndarray, "F 3 3"], size: tuple[int, int]) -> Int[np.ndarray, "h w"]:
    """Return the visible face at the middle of each pixel, -1 where there is none; `size` is (height, width).

    Corners are (x, y, 1 / depth): pixels, and the nearer the larger. Inverse depth is linear over the image. Both
    sides of a face are seen; faces of no area are not.
    """
    height, width = size
    owner, nearest = np.full(height * width, -1), np.zeros(height * width)
    planes = inverse_depth_planes(triangles)
    for face, row, left, right in spans(triangles, size):
        count = right - left
        column = within_runs(count) + np.repeat(left, count)
        face, row = np.repeat(face, count), np.repeat(row, count)
        depth = planes[face, 0] * (column + 0.5) + planes[face, 1] * (row + 0.5) + planes[face, 2]
        pixel = row * width + column
        closer = np.flatnonzero(depth > nearest[pixel])
        closer = closer[np.argsort(depth[closer])]  # of those that go to one pixel the last, the nearest, stays
        nearest[pixel[closer]], owner[pixel[closer]] = depth[closer], face[closer]
    return owner.reshape(size)


def spans(triangles: Float[np.ndarray, "F 3 3"], size: tuple[int, int]) -> Iterator[tuple[Int[np.ndarray, " S"], ...]]:
    """Return (face, row, first column, column behind the last) of the pixels whose middle is in a face, in parts."""
    height, width = size
    y = triangles[:, :, 1]
    first = np.ceil(y.min(axis=1) - 0.5).clip(0, height).astype(int)
    count = np.ceil(y.max(axis=1) - 0.5).clip(0, height).astype(int) - first
    for faces in parts(count * width):
        face = np.repeat(faces, count[faces])
        row = within_runs(count[faces]) + np.repeat(first[faces], count[faces])
        left, right = (np.ceil(x - 0.5).clip(0, width).astype(int) for x in crossings(triangles[face], row + 0.5))
        there = right > left
        for part in parts(np.where(there, right - left, 0)):
            part = part[there[part]]
            yield face[part], row[part], left[part], right[part]


def crossings(
    triangles: Float[np.ndarray, "S 3 3"], y: Float[np.ndarray, " S"]
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """Return the columns where horizontal lines enter and leave triangles that they cross."""
    low, high = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for i in range(3):
        (xa, ya), (xb, yb) = triangles[:, i, :2].T, triangles[:, i - 1, :2].T
        crossed = (ya <= y) != (yb <= y)
        x = xa + (xb - xa) * (y - ya) / np.where(crossed, yb - ya, 1.0)
        low, high = np.where(crossed, np.minimum(low, x), low), np.where(crossed, np.maximum(high, x), high)
    return low, high


def inverse_depth_planes(triangles: Float[np.ndarray, "F 3 3"]) -> Float[np.ndarray, "F 3"]:
    """Return a, b, c of each face with inverse depth = a x + b y + c; 0 for faces seen from the edge."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    flat = normal[:, 2] != 0
    slope = -normal[:, :2] / np.where(flat, normal[:, 2], 1.0)[:, None] * flat[:, None]
    offset = (triangles[:, 0, 2] - (slope * triangles[:, 0, :2]).sum(axis=1)) * flat
    planes: Float[np.ndarray, "F 3"] = np.concatenate((slope, offset[:, None]), axis=1)
    return planes


def parts(sizes: Int[np.ndarray, " n"]) -> Iterator[Int[np.ndarray, " m"]]:
    """Return numbers of entries in runs whose sizes sum up to about MOST_PIXELS."""
    run = sizes.cumsum() // MOST_PIXELS
    if len(run):
        yield from np.split(np.arange(len(run)), np.flatnonzero(np.diff(run)) + 1)


def within_runs(counts: Int[np.ndarray, " n"]) -> Int[np.ndarray, " P"]:
    """Return 0, 1, ... counts[0] - 1, 0, 1, ... counts[1] - 1, ..."""
    ends = counts.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    places: Int[np.ndarray, " P"] = np.arange(total) - np.repeat(ends - counts, counts)
    return places


def clip_near(
    triangles: Float[np.ndarray, "F 3 3"], near: float
) -> tuple[Float[np.ndarray, "G 3 3"], Int[np.ndarray, " G"]]:
    """Return the parts of faces at depth z >= `near`, as triangles, and the number of the face of each part."""
    before = triangles[:, :, 2] >= near
    count = before.sum(axis=1)
    whole, one, two = (np.flatnonzero(count == n) for n in (3, 1, 2))
    a, b, c = turned(triangles[one], before[one].argmax(axis=1))  # a alone is before the camera
    tips = np.stack((a, on_plane(a, b, near), on_plane(a, c, near)), axis=1)
    a, b, c = turned(triangles[two], before[two].argmin(axis=1))  # a alone is not
    ab, ac = on_plane(a, b, near), on_plane(a, c, near)
    halves = (np.stack((ab, b, c), axis=1), np.stack((ab, c, ac), axis=1))
    return np.concatenate((triangles[whole], tips, *halves)), np.concatenate((whole, one, two, two))


def turned(triangles: Float[np.ndarray, "F 3 3"], first: Int[np.ndarray, " F"]) -> tuple[Float[np.ndarray, "F 3"], ...]:
    """Return the corners of each face in their order, from the `first` on."""
    rows = np.arange(len(triangles))
    return tuple(triangles[rows, (first + step) % 3] for step in range(3))


def on_plane(a: Float[np.ndarray, "F 3"], b: Float[np.ndarray, "F 3"], near: float) -> Float[np.ndarray, "F 3"]:
    """Return where the lines from a to b cross depth `near`."""
    share = (near - a[:, 2]) / (b[:, 2] - a[:, 2])
    crossing: Float[np.ndarray, "F 3"] = a + share[:, None] * (b - a)
    return crossing
