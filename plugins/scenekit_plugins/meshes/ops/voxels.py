"""Surfaces of voxel grids. Letters: N grids, D H W cells along z, y, x; Q exposed sides of cells; K features."""

from __future__ import annotations

from typing import overload

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.checks import Align, check_grids

# The sides of a cell as two triangles each, corner = 4 y + 2 x + z, counterclockwise from outside. Sides and triangles
# come in the order in which pytorch3d lists them.
_LOW_X, _HIGH_Y, _LOW_Z = ((0, 1, 4), (1, 5, 4)), ((4, 5, 6), (5, 7, 6)), ((0, 4, 6), (0, 6, 2))
_LOW_Y, _HIGH_X, _HIGH_Z = ((0, 3, 1), (0, 2, 3)), ((6, 7, 3), (6, 3, 2)), ((1, 7, 5), (1, 3, 7))
_SIDES = (_LOW_X, _HIGH_Y, _LOW_Z, _LOW_Y, _HIGH_X, _HIGH_Z)
_TOWARDS = ((0, -1, 0), (1, 0, 0), (0, 0, -1), (-1, 0, 0), (0, 1, 0), (0, 0, 1))
"""Where the neighbor across each side lies, (y, x, z)."""


@overload
def cubify(
    voxels: Tensor, thresh: float, *, feats: None = None, device: torch.device | str | None = None, align: Align = ...
) -> Meshes: ...


@overload
def cubify(
    voxels: Tensor, thresh: float, *, feats: Tensor, device: torch.device | str | None = None, align: Align = ...
) -> tuple[Meshes, Tensor]: ...


def cubify(
    voxels: Shaped[Tensor, "N D H W"],
    thresh: float,
    *,
    feats: Float[Tensor, "N K D H W"] | None = None,
    device: torch.device | str | None = None,
    align: Align = "topleft",
) -> Meshes | tuple[Meshes, Float[Tensor, "F K"]]:
    """Return the boundary of the cells with a value of at least `thresh` (NaN has none), as a mesh for each grid.

    Corners that cells share are merged, so meshes may touch themselves along an edge or in a corner. x runs along W, y
    along H, z along D; normals point outwards. With n cells along an axis, its corners i = 0..n lie at
    2 i / (n - 1) - 1 ("topleft"), 2 i / n - 1 ("corner": from -1 to 1) or (2 i - 1) / (n - 1) - 1 ("center": the
    centers of the outermost cells are at -1 and 1). Grids with no such cell give meshes with no vertices.

    With `feats`, also the features of the cell of each face, which pytorch3d makes a texture of the mesh.
    """
    check_grids(voxels, feats, align)
    voxels = voxels if device is None else voxels.to(device)
    occupied = (voxels >= thresh).permute(0, 2, 3, 1)  # [N H W D]: the order of the result is that of (y, x, z)
    sides = _exposed(occupied).nonzero()  # (grid, y, x, z, side)
    grid = torch.tensor([size + 1 for size in occupied.shape[1:]], device=voxels.device)
    corners = _corners(sides, grid)
    used = torch.zeros((len(voxels), int(grid.prod())), dtype=torch.bool, device=voxels.device)
    used.view(-1)[corners] = True
    counts = used.sum(dim=1)
    offset = F.pad(counts.cumsum(0), (1, 0))
    number = used.view(-1).cumsum(0) - 1
    faces = (number[corners] - offset[sides[:, :1, None].expand(-1, 2, 3)]).view(-1, 3)
    faces_offset = F.pad(torch.bincount(sides[:, 0], minlength=len(voxels)).cumsum(0) * 2, (1, 0))
    meshes = Meshes(_positions(used, occupied.shape[1:], align), faces, offset, faces_offset)
    if feats is None:
        return meshes
    n, y, x, z, _ = sides.unbind(dim=1)
    return meshes, feats.to(voxels.device)[n, :, z, y, x].repeat_interleave(2, dim=0)


def _exposed(occupied: Bool[Tensor, "N H W D"]) -> Bool[Tensor, "N H W D 6"]:
    """Return which sides of which cells have an occupied cell on one hand only."""
    padded = F.pad(occupied, (1, 1, 1, 1, 1, 1))
    _, H, W, D = occupied.shape
    neighbors = [padded[:, 1 + y : 1 + y + H, 1 + x : 1 + x + W, 1 + z : 1 + z + D] for y, x, z in _TOWARDS]
    return occupied[..., None] & ~torch.stack(neighbors, dim=-1)


def _corners(sides: Int[Tensor, "Q 5"], grid: Int[Tensor, " 3"]) -> Int[Tensor, "Q 2 3"]:
    """Return numbers of the corners of the two triangles of each side, over the corners of all grids."""
    step = torch.stack((grid[1] * grid[2], grid[2], torch.ones_like(grid[2])))
    offsets = torch.tensor([[corner >> 2 & 1, corner >> 1 & 1, corner & 1] for corner in range(8)], device=grid.device)
    triangles = (offsets * step).sum(dim=1)[torch.tensor(_SIDES, device=grid.device)]
    first = sides[:, 0] * grid.prod() + (sides[:, 1:4] * step).sum(dim=1)
    return first[:, None, None] + triangles[sides[:, 4]]


def _positions(used: Bool[Tensor, "N L"], cells: torch.Size, align: Align) -> Float[Tensor, "V 3"]:
    """Return (x, y, z) of the used corners."""
    corner = used.nonzero()[:, 1]
    H, W, D = cells
    numbers = torch.stack((corner // (D + 1) % (W + 1), corner // ((D + 1) * (W + 1)), corner % (D + 1)), dim=1).float()
    size = numbers.new_tensor([W, H, D])
    if align == "corner":
        return numbers * (2 / size) - 1
    return (2 * numbers - float(align == "center")) / (size - 1) - 1
