"""Occupancy grids: targets in frustums, and the meshes around predicted cells.

Letters: N regions, V cells a side of the grids of objects, S cells a side of those in frustums. Grids in frustums have
dimensions z (away from the camera), y (down), x (right), as in `cubify`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures import Boxes3D, Meshes
from scenekit_plugins.meshes.frustum import Frustums, depths_at
from scenekit_plugins.meshes.ops import cubify

Align = Literal["corner", "topleft"]

LEAST_PART = 0.03
"""Cells of a part of a shape that is kept, relative to its largest part."""


def cell_centers(side: int, align: Align) -> Float[Tensor, " S"]:
    """Return the centers of the cells along an axis of the cube, as in `cubify`.

    Args:
        side: Cells per side.
        align: As in `cubify`.

    Returns:
        The coordinates.
    """
    return (2 * torch.arange(side) + 1) / (side if align == "corner" else max(side - 1, 1)) - 1


def grids_in_frustums(
    voxels: Shaped[Tensor, "N V V V"], boxes: Boxes3D, frustums: Frustums, side: int, align: Align
) -> Float[Tensor, "N S S S"]:
    """Resample the grids of objects in frustums.

    Args:
        voxels: Occupancy of the cells of `boxes`, along width, height and length from cell (0, 0, 0), where all are
            least.
        boxes: 3D boxes of the objects.
        frustums: The frustums.
        side: Cells per side of the result.
        align: As in `cubify`.

    Returns:
        Occupancy of the frustums' cells: interpolated between cell centers, 0 outside of the box.
    """
    places = places_in_boxes(boxes, frustums, side, align)
    sampled = F.grid_sample(voxels[:, None].to(places), places, padding_mode="border", align_corners=False)[:, 0]
    return sampled * (places.abs() <= 1).all(dim=-1)


def places_in_boxes(boxes: Boxes3D, frustums: Frustums, side: int, align: Align) -> Float[Tensor, "N S S S 3"]:
    """Compute where the centers of the cells of frustums are in the frames of 3D boxes.

    Args:
        boxes: 3D boxes.
        frustums: The frustum of each.
        side: Cells per side.
        align: As in `cubify`.

    Returns:
        x y z along length, height and width, in half sides of the box.
    """
    steps = cell_centers(side, align).to(frustums.boxes)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    cells = torch.stack((x, y, torch.ones_like(x)), dim=-1).reshape(-1, 3)  # all cells at one depth
    # From rays of the camera to axes of the object, x y z along its length, height and width, in half sides of its box.
    own = boxes.rotation / (boxes.size.flip(-1) / 2)[:, None]
    rays, center = cells @ (frustums.rays.mT @ own), boxes.center[:, None] @ own
    depths = depths_at(steps, frustums.depths[:, None])
    places = depths[..., None, None] * rays[:, None] - center[:, None]
    return places.reshape(len(frustums), side, side, side, 3)


def solid(probabilities: Float[Tensor, "N S S S"], threshold: float) -> Bool[Tensor, "N S S S"]:
    """Convert occupancy grids to solid cells by a threshold.

    In a grid without solid cells, those at least half as likely as its best one are solid.

    So no grid is empty. One without any information is solid throughout: a block with the size of the box.

    Args:
        probabilities: Probabilities of the cells.
        threshold: Smallest probability of a solid cell.

    Returns:
        Which cells are solid.
    """
    best = probabilities.amax(dim=(1, 2, 3), keepdim=True)
    return probabilities >= torch.where(best < threshold, best / 2, threshold)


def whole(cells: Bool[Tensor, "N S S S"], probabilities: Float[Tensor, "N S S S"]) -> Bool[Tensor, "N S S S"]:
    """Return the large connected parts of each grid, without cells that only touch along an edge.

    Small parts are noise around a shape; large ones belong to it, such as the shade of a lamp on a thin pole.
    Where two solid cells touch along an edge, the surface has an edge of four faces and encloses no clear volume: the
    more likely one of the two empty cells beside them becomes solid.

    Args:
        cells: Which cells are solid; some of each grid are.
        probabilities: Probabilities of the cells.

    Returns:
        Which cells are solid then. The mesh around them is closed, with two faces at each edge.
    """
    likely = probabilities.cpu().numpy()
    solids = np.array([_without_specks(grid) for grid in cells.cpu().numpy()], dtype=bool).reshape(cells.shape)
    while len(added := _beside_diagonals(solids, likely)):
        solids.reshape(-1)[added] = True
    return torch.from_numpy(solids).to(cells.device)


def _without_specks(cells: Bool[np.ndarray, "S S S"]) -> Bool[np.ndarray, "S S S"]:
    """Return the parts that are connected by faces and have a share of `LEAST_PART` of the cells of the largest."""
    parts, _ = ndimage.label(cells)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    large: Bool[np.ndarray, "S S S"] = (sizes >= max(LEAST_PART * sizes.max(), 1))[parts]
    return large


def _beside_diagonals(
    cells: Bool[np.ndarray, "N S S S"], likely: Float[np.ndarray, "N S S S"]
) -> Int[np.ndarray, " M"]:
    """Return empty cells to fill: of each square of four, two of which touch along an edge only, the likelier one."""
    chosen = []
    for one, other in ((1, 2), (1, 3), (2, 3)):
        a, b, c, d = (_corner(cells, one, other, i, j) for i in (0, 1) for j in (0, 1))
        squares = np.ravel_multi_index(np.nonzero((a == d) & (b == c) & (a != b)), cells.shape)  # their first cells
        down, right = cells.strides[one], cells.strides[other]  # in cells of one byte
        falling = cells.take(squares)  # a and d are solid, not b and c
        first, second = squares + right * falling, squares + down + right * ~falling
        chosen.append(np.where(likely.take(first) >= likely.take(second), first, second))
    return np.concatenate(chosen)


def _corner(grid: Bool[np.ndarray, "N S S S"], one: int, other: int, i: int, j: int) -> Bool[np.ndarray, "N _ _ _"]:
    """Return a view of the cells at corner (i, j) of all squares of four along two axes."""
    size = grid.shape[one] - 1
    window = [slice(None)] * 4
    window[one], window[other] = slice(i, i + size), slice(j, j + size)
    return grid[tuple(window)]


def confidence(cells: Bool[Tensor, "N S S S"], probabilities: Float[Tensor, "N S S S"]) -> Float[Tensor, " N"]:
    """Return the IoU to expect of solid cells with the object: expected intersection over expected union.

    Args:
        cells: Which cells are solid.
        probabilities: Probability that each cell is in the object.

    Returns:
        0 to 1.
    """
    inside = (probabilities * cells).sum(dim=(1, 2, 3))
    union = cells.sum(dim=(1, 2, 3)) + (probabilities * ~cells).sum(dim=(1, 2, 3))
    return inside / union.clamp(min=1e-6)


def surfaces(cells: Bool[Tensor, "N S S S"], max_verts: int, align: Align) -> Meshes:
    """Build meshes of the faces between full and empty cells, in the cube.

    A grid with too many vertices is halved until it fits: a cell is full if any of its finer ones is.

    Args:
        cells: Which cells are solid.
        max_verts: Upper limit of the vertices of a mesh.
        align: As in `cubify`.

    Returns:
        The meshes.
    """
    meshes, rows = [], []
    left = torch.arange(len(cells), device=cells.device)
    while True:
        side = cells.shape[-1]
        fits = (vertex_counts(cells) <= max_verts) | (side == 1)
        meshes.append(cubify(cells[fits].float(), 0.5, align=align if side > 1 else "corner"))
        rows.append(left[fits])
        left, cells = left[~fits], cells[~fits]
        if len(left) == 0:
            return Meshes.cat(meshes)[torch.cat(rows).argsort()] if len(meshes) > 1 else meshes[0]
        cells = F.adaptive_max_pool3d(cells.float(), max(side // 2, 1)) > 0
        cells = whole(cells, cells.float())  # coarser cells may touch along an edge again


def vertex_counts(cells: Bool[Tensor, "N S S S"]) -> Int[Tensor, " N"]:
    """Count the vertices of each grid's surface: lattice points of whose eight cells some are full, not all.

    Args:
        cells: Which cells are solid.

    Returns:
        The number of vertices.
    """
    some = every = F.pad(cells, (1,) * 6)
    for axis in (1, 2, 3):
        count = some.shape[axis] - 1
        some = some.narrow(axis, 0, count) | some.narrow(axis, 1, count)
        every = every.narrow(axis, 0, count) & every.narrow(axis, 1, count)
    return (some & ~every).flatten(1).sum(dim=1)
