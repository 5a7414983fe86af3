"""Occupancy grids: targets in frustums, and the meshes around predicted cells.

Letters: N regions, V cells a side of the grids of objects, S cells a side of those in frustums. Grids in frustums have
dimensions z (away from the camera), y (down), x (right), as in `cubify`.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures import Boxes3D, Meshes
from scenekit_plugins.meshes.frustum import Frustums, depths_at
from scenekit_plugins.meshes.ops import cubify

Align = Literal["corner", "topleft"]


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
    steps = cell_centers(side, align).to(frustums.boxes)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    cells = torch.stack((x, y, torch.ones_like(x)), dim=-1).reshape(-1, 3)  # all cells at one depth
    # From rays of the camera to axes of the object, x y z along its length, height and width, in half sides of its box.
    own = boxes.rotation / (boxes.size.flip(-1) / 2)[:, None]
    rays, center = cells @ (frustums.rays.mT @ own), boxes.center[:, None] @ own
    depths = depths_at(steps, frustums.depths[:, None])
    places = depths[..., None, None] * rays[:, None] - center[:, None]
    places = places.reshape(len(frustums), side, side, side, 3)
    sampled = F.grid_sample(voxels[:, None].to(places), places, padding_mode="border", align_corners=False)[:, 0]
    return sampled * (places.abs() <= 1).all(dim=-1)


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
