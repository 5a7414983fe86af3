"""Voxelization of triangle meshes.

Letters: N meshes, F faces of all of them, V cells along each side of a grid, R pairs of a face and a row of cells it
crosses, S samples of the surfaces. Coordinates of a grid are cells along the width, height and length of the box.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.meshes import Meshes

COARSE, FINE = 0.6, 0.35
"""How far apart, in cells, samples of the surface are: where thin parts are looked for, and where they are drawn."""

LEAST_AREA = 0.5
"""Area of a thin part, in faces of a cell: an edge of a thick part crosses cells whose center it leaves out with less,
a sheet fills at least one of two neighbors with more."""

MARGIN = 0.05
"""Cells that a sample is moved deeper than a flat face needs, since surfaces are curved; also the rounding by which a
surface may lie outside its box."""


class Triangles(NamedTuple):
    """Triangles in the grid of the mesh that owns them."""

    corners: Float[Tensor, "F 3 3"]
    """Corners in cells."""
    owner: Int[Tensor, " F"]
    """Mesh of each triangle."""


class Samples(NamedTuple):
    """Points sampled on surfaces."""

    points: Float[Tensor, "3 S"]
    """Coordinates in cells."""
    area: Float[Tensor, " S"]
    """Area that each point represents."""
    face: Int[Tensor, " S"]
    """Face of each point."""


def voxelize(meshes: Meshes, boxes: Boxes3D, size: int) -> Bool[Tensor, "N V V V"]:
    """Voxelize each mesh in its oriented box.

    A cell is full where

    * its center is inside: surfaces crossed on the way up through it wind around it (the signed count is not 0), and so
      do those on the way down, so that a sheet with nothing on its other side encloses nothing. Overlapping closed
      parts count once, a shell of the opposite winding is a cavity; a tube without ends is hollow where it stands;
    * or at least half a cell's face of surface crosses it where the body is too thin for centers: half a cell below and
      above that piece of surface no cell is full by the first rule. Thin parts and open shells thus stay, thick ones
      don't grow.

    Surface outside the box is ignored, as are faces with a vertex that is not finite; boxes may be flat.

    Args:
        meshes: Meshes in the camera frame.
        boxes: One oriented box per mesh; a box that is not finite gives an empty grid.
        size: Cells along each side.

    Returns:
        Occupancy along width, height and length of the box (z, y and x of the object's frame); cell (0, 0, 0) lies in
        the corner where all three are least.
    """
    triangles = _in_cells(meshes, boxes, size)
    inside = _inside(triangles, len(meshes), size)
    return inside | _thin(triangles, inside)


def with_thin_parts(inside: Bool[Tensor, "N V V V"], meshes: Meshes, boxes: Boxes3D) -> Bool[Tensor, "N V V V"]:
    """Add the thin parts of meshes to grids, by the second rule of `voxelize`.

    Args:
        inside: Occupancy from any source.
        meshes: Meshes in the camera frame.
        boxes: One oriented box per mesh.

    Returns:
        Occupancy with the thin parts.
    """
    return inside | _thin(_in_cells(meshes, boxes, inside.shape[-1]), inside)


def cell_centers(boxes: Boxes3D, size: int) -> Float[Tensor, "N V V V 3"]:
    """Compute the centers of all cells of oriented boxes.

    Args:
        boxes: The boxes.
        size: Cells along each side.

    Returns:
        Centers in the camera frame, in metres, in the order of `voxelize`.
    """
    steps = (torch.arange(size).to(boxes.center) + 0.5) / size - 0.5
    width, height, length = torch.meshgrid(steps, steps, steps, indexing="ij")
    local = torch.stack((length, height, width), dim=-1).reshape(1, -1, 3) * boxes.size.flip(-1)[:, None]
    centers = local @ boxes.rotation.transpose(1, 2) + boxes.center[:, None]
    return centers.reshape(-1, size, size, size, 3)


def _in_cells(meshes: Meshes, boxes: Boxes3D, size: int) -> Triangles:
    """Transform the faces to cells of their grids.

    Equal vertices must stay equal to the last bit, so each coordinate is summed term by term, not as a product of
    matrices, whose rounding may differ from row to row.
    """
    of_vert, of_face = meshes.verts_packed_to_mesh_idx(), meshes.faces_packed_to_mesh_idx()
    moved = (meshes.verts - boxes.center[of_vert]).double()
    turn = boxes.rotation.double()[of_vert]
    scaled = moved[:, :, None] * turn
    x, y, z = (scaled[:, 0] + scaled[:, 1] + scaled[:, 2]).unbind(1)
    extent = boxes.size.double().clamp(min=torch.finfo(torch.float32).tiny)[of_vert]
    cells = (torch.stack((z, y, x), dim=1) / extent + 0.5) * size
    corners = cells[meshes.faces + meshes.verts_offset[of_face][:, None]]
    finite = corners.isfinite().flatten(1).all(dim=1)
    return Triangles(corners[finite], of_face[finite])


def _expand(start: Int[Tensor, " P"], stop: Int[Tensor, " P"]) -> tuple[Int[Tensor, " Q"], Int[Tensor, " Q"]]:
    """Return (p, k) for each k of start[p]..stop[p] - 1, for each p."""
    count = (stop - start).clamp(min=0)
    place = torch.arange(len(count), device=count.device).repeat_interleave(count)
    first = count.cumsum(0) - count
    return place, start[place] + torch.arange(len(place), device=count.device) - first[place]


def _center_from(position: Float[Tensor, " P"], size: int) -> Int[Tensor, " P"]:
    """Return the first cell whose center is not below `position`; `size` where there is none."""
    return (position - 0.5).ceil().clamp(0, size).long()


def _inside(triangles: Triangles, count: int, size: int) -> Bool[Tensor, "N V V V"]:
    """Return the cells whose centers the surface encloses, from the crossings of vertical lines through them."""
    owner, row, column, height, sign = _crossings(triangles, size)
    steps = torch.zeros((count, size, size, size + 1), dtype=torch.int32, device=sign.device)
    steps.index_put_((owner, row, column, _center_from(height, size)), sign, accumulate=True)
    winding = steps.cumsum(dim=3)
    below, above = winding[..., :-1], winding[..., -1:] - winding[..., :-1]
    return ((below != 0) & (above != 0)).transpose(2, 3)


def _crossings(triangles: Triangles, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return where vertical lines through the centers of cells cross faces.

    The results are owner, cell along width and along length, height, and 1 or -1 for the side it is crossed from. Faces
    are drawn line by line. Faces that share an edge compute its crossing with a line from the same numbers in the same
    order, so each line through a closed surface crosses exactly one of them.
    """
    reach = triangles.corners[:, :, 0]
    face, row = _expand(_center_from(reach.amin(dim=1), size), _center_from(reach.amax(dim=1), size))
    left, right, sign = _spans(triangles.corners[face], row + 0.5)
    span, column = _expand(_center_from(left[:, 2], size), _center_from(right[:, 2], size))
    left, right = left[span], right[span]
    part = (column + 0.5 - left[:, 2]) / (right[:, 2] - left[:, 2])
    height = left[:, 1] + part * (right[:, 1] - left[:, 1])
    return triangles.owner[face[span]], row[span], column, height, sign[span]


def _spans(
    corners: Float[Tensor, "R 3 3"], line: Float[Tensor, " R"]
) -> tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"], Int[Tensor, " R"]]:
    """Return where the outline of each triangle crosses width = `line`, in order of length, and its sense."""
    ahead = corners.roll(-1, dims=1)
    rising = corners[..., 0] < ahead[..., 0]
    low, high = (torch.where(side[..., None], corners, ahead) for side in (rising, ~rising))
    crossed = (low[..., 0] <= line[:, None]) & (line[:, None] < high[..., 0])
    part = (line[:, None] - low[..., 0]) / (high[..., 0] - low[..., 0])
    points = low + part[..., None] * (high - low)
    infinity = line.new_tensor(torch.inf)
    first = torch.where(crossed, points[..., 2], infinity).argmin(dim=1)
    last = torch.where(crossed, points[..., 2], -infinity).argmax(dim=1)
    rows = torch.arange(len(line), device=line.device)
    return points[rows, first], points[rows, last], rising[rows, first].int() * 2 - 1


def _thin(triangles: Triangles, inside: Bool[Tensor, "N V V V"]) -> Bool[Tensor, "N V V V"]:
    """Return cells that hold at least `LEAST_AREA` of surface where no cell half a cell along its normal is inside.

    Both sides of the surface count. Only faces that have such places are sampled finely.
    """
    faces = torch.unique(_uncovered(triangles, inside, COARSE).face)
    thin = Triangles(triangles.corners[faces], triangles.owner[faces])
    samples = _uncovered(thin, inside, FINE)
    size = inside.shape[-1]
    held = torch.zeros((len(inside), *[size + 2] * 3), device=inside.device)
    places = _places(thin.owner[samples.face], samples.points.clamp(0, size - MARGIN), size + 2)
    held.flatten().index_add_(0, places, samples.area)
    full: Bool[Tensor, "N V V V"] = held[:, 1:-1, 1:-1, 1:-1] >= LEAST_AREA
    return full


def _uncovered(triangles: Triangles, inside: Bool[Tensor, "N V V V"], spacing: float) -> Samples:
    """Return samples within the grid for which the cells half a cell along the normal, on both sides, are not inside.

    Half a cell along a unit normal n is (|n_x| + |n_y| + |n_z|) / 2: so far below a flat face of a thick body, the
    center of the cell is inside, wherever the point lies in the cell.
    """
    size = inside.shape[-1]
    points, area, face = _samples(triangles, spacing, most=int(2 * size / spacing))
    owner, step = triangles.owner[face], _half_cell(triangles.corners.float()).T
    padded = torch.nn.functional.pad(inside, (1, 1, 1, 1, 1, 1))
    chosen = ((points >= -MARGIN) & (points <= size + MARGIN)).all(dim=0).nonzero()[:, 0]
    for side in (0, -1, 1):
        moved = points.index_select(1, chosen) + side * step.index_select(1, face[chosen])
        chosen = chosen[~padded.take(_places(owner[chosen], moved, size + 2))]
    return Samples(points.index_select(1, chosen), area[chosen], face[chosen])


def _places(owner: Int[Tensor, " S"], points: Float[Tensor, "3 S"], size: int) -> Int[Tensor, " S"]:
    """Return the indices of the cells that hold `points`, in flattened grids with a border of one cell."""
    x, y, z = (points.floor() + 1).clamp(0, size - 1).long()
    places: Int[Tensor, " S"] = ((owner * size + x) * size + y) * size + z
    return places


def _half_cell(corners: Float[Tensor, "F 3 3"]) -> Float[Tensor, "F 3"]:
    """Return the step from a face to the center of a cell that begins at the face, or a little further."""
    first, second, third = corners.unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(second - first, third - first), dim=1)
    return normal * (normal.abs().sum(dim=1, keepdim=True) / 2 + MARGIN)


def _samples(triangles: Triangles, spacing: float, most: int) -> Samples:
    """Sample points evenly on the faces.

    A face is cut into strips along its longest edge, a strip into pieces, each `spacing` long at most; no face is cut
    more than `most` times either way, which faces within their box never need.
    """
    corners = _longest_edge_first(triangles.corners.float())
    start, along, up = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length, double = along.norm(dim=1), torch.linalg.cross(along, up).norm(dim=1)
    strips = (double / length.clamp(min=1e-12) / spacing).ceil().clamp(1, most)
    face, number = _expand(torch.zeros_like(strips).long(), strips.long())
    raised = (number + 0.5) / strips[face]
    pieces = ((1 - raised) * length[face] / spacing).ceil().clamp(1, most)
    strip, number = _expand(torch.zeros_like(pieces).long(), pieces.long())
    left, across = (start[face] + raised[:, None] * up[face]).T, ((1 - raised) / pieces)[:, None] * along[face]
    area = double[face] * (1 - raised) / strips[face] / pieces
    points = left.index_select(1, strip) + across.T.index_select(1, strip) * (number + 0.5)
    return Samples(points, area[strip], face[strip])


def _longest_edge_first(corners: Float[Tensor, "F 3 3"]) -> Float[Tensor, "F 3 3"]:
    """Return the corners of each triangle in the same sense, the two of its longest edge in front."""
    longest = (corners.roll(-1, dims=1) - corners).norm(dim=2).argmax(dim=1)
    order = (longest[:, None] + torch.arange(3, device=corners.device)) % 3
    return corners.gather(1, order[..., None].expand(-1, -1, 3))
