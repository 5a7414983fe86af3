"""Overlap of oriented boxes: exact volumes in 3D, and exact areas in bird's-eye view.

Letters: N M boxes, P pairs of boxes, F faces of all pairs, E directed edges of a polygon.

Box b is transformed to the unit cube, and box a with it. The field (0, 0, clamp(z, 0, 1)) has divergence 1 inside the
slab 0 <= z <= 1 and 0 outside, so that by the divergence theorem

    volume(a and cube) = sum over faces of a: integral of clamp(z, 0, 1) n_z over the part with 0 <= x, y <= 1

and only the faces of a are clipped, never those of b. All terms are continuous in the corners: faces that are parallel,
nearly parallel or in one plane need no special case and no tolerance. (Methods that collect the pieces of both surfaces
must decide which of two coinciding faces to count.) Everything is computed in double precision.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError

_PAIRS_AT_ONCE = 1024
"""So many pairs fit a processor's cache; more gain nothing there."""

_OUTWARD = torch.tensor([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
"""Corners of the six faces, each counter-clockwise as seen from outside."""

_HIGH = torch.tensor([[1, 2, 5, 6], [2, 3, 6, 7], [4, 5, 6, 7]])
"""Corners at the far end of the first, second and third edge."""

_LOW = torch.tensor([[0, 3, 4, 7], [0, 1, 4, 5], [0, 1, 2, 3]])

_ROUNDING = 16
"""How many units in the last place the corners may be off by rounding alone."""


@torch.no_grad()
def box3d_overlap(
    corners1: Float[Tensor, "N 8 3"], corners2: Float[Tensor, "M 8 3"], eps: float = 1e-4
) -> tuple[Float[Tensor, "N M"], Float[Tensor, "N M"]]:
    """Compute volumes of intersection and IoU of all pairs of oriented boxes, as pytorch3d's function of this name.

    Corners are in the order of the unit cube's (0,0,0) (1,0,0) (1,1,0) (0,1,0) (0,0,1) (1,0,1) (1,1,1) (0,1,1), which
    is that of `Boxes3D.corners`; flipped ones mean the same box. Results carry no gradient. Boxes that only touch have
    an overlap of 0.

    Args:
        corners1: Corners of the first boxes, in metres.
        corners2: Corners of the second boxes, in metres.
        eps: How far corners may deviate from a parallelepiped, relative to its diagonal.

    Returns:
        (volume of the intersection in cubic metres, IoU), in the type of `corners1`.

    Raises:
        InputError: If corners are not finite, are not those of a box within `eps`, or enclose no volume; or for other
            shapes.
    """
    origins1, edges1 = _frames(corners1, eps, "corners1")
    origins2, edges2 = _frames(corners2, eps, "corners2")
    a, b = _near(origins1, edges1, origins2, edges2)
    volumes1, volumes2 = torch.linalg.det(edges1).abs(), torch.linalg.det(edges2).abs()
    shared = corners1.new_zeros((len(corners1), len(corners2)), dtype=torch.float64)
    into = torch.linalg.inv(edges2)
    for start in range(0, len(a), _PAIRS_AT_ONCE):
        rows, columns = a[start : start + _PAIRS_AT_ONCE], b[start : start + _PAIRS_AT_ONCE]
        local_edges = edges1[rows] @ into[columns]
        local_origins = ((origins1[rows] - origins2[columns])[:, None] @ into[columns])[:, 0]
        shared[rows, columns] = _inside_unit_cube(local_origins, local_edges) * volumes2[columns]
    shared = shared.clamp(min=0).minimum(volumes1[:, None]).minimum(volumes2)
    iou = shared / (volumes1[:, None] + volumes2 - shared)
    return shared.to(corners1.dtype), iou.to(corners1.dtype)


@torch.no_grad()
def bev_overlap(
    corners1: Float[Tensor, "N 4 2"], corners2: Float[Tensor, "M 4 2"], eps: float = 1e-4
) -> tuple[Float[Tensor, "N M"], Float[Tensor, "N M"]]:
    """Compute areas of intersection and IoU of all pairs of rotated rectangles, as in bird's-eye view.

    This is `box3d_overlap` of upright boxes with the same floor and ceiling.

    Args:
        corners1: Corners of the first rectangles in metres, in either sense of rotation; see `Boxes3D.footprints`.
        corners2: Corners of the second rectangles.
        eps: How far corners may deviate from a rectangle, relative to its diagonal.

    Returns:
        (area of the intersection in square metres, IoU), in the type of `corners1`.

    Raises:
        InputError: As for `box3d_overlap`.
    """
    return box3d_overlap(_prisms(corners1, eps, "corners1"), _prisms(corners2, eps, "corners2"), eps)


def _prisms(corners: Tensor, eps: float, name: str) -> Tensor:
    """Return boxes of height 1 on each rectangle."""
    if corners.dim() != 3 or corners.shape[1:] != (4, 2) or not corners.is_floating_point():
        raise InputError(f"{name}: expected the corners of rectangles, floats [N 4 2], got {list(corners.shape)}")
    a, b, c, d = corners.double().unbind(dim=1)
    noise = _ROUNDING * torch.finfo(corners.dtype).eps * corners.double().abs().amax(dim=(1, 2))
    _refuse((a - b + c - d).norm(dim=1) > eps * (c - a).norm(dim=1) + noise, name, "is not a rectangle", corners)
    floor = F.pad(corners, (0, 1))
    return torch.cat((floor, floor + floor.new_tensor([0.0, 0.0, 1.0])), dim=1)


def is_box3d(corners: Float[Tensor, "N 8 3"], eps: float = 1e-4) -> Bool[Tensor, " N"]:
    """Return which corners are those of a box with a volume, as `box3d_overlap` expects.

    Args:
        corners: Corners in metres.
        eps: How far corners may deviate from a parallelepiped, relative to its diagonal.

    Returns:
        True for each valid box.
    """
    return ~torch.stack(list(_problems(corners, *_edges(corners), eps).values())).any(dim=0)


def _frames(corners: Tensor, eps: float, name: str) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3 3"]]:
    """Return corner 0 and the three edges that leave it as rows, in double precision; refuse what is not a box."""
    if corners.dim() != 3 or corners.shape[1:] != (8, 3) or not corners.is_floating_point():
        raise InputError(f"{name}: expected the corners of boxes, floats [N 8 3], got {list(corners.shape)}")
    origins, edges = _edges(corners)
    for problem, bad in _problems(corners, origins, edges, eps).items():
        _refuse(bad, name, problem, corners)
    return origins, edges


def _edges(corners: Tensor) -> tuple[Tensor, Tensor]:
    points = corners.double()
    edges = points[:, _HIGH].mean(dim=2) - points[:, _LOW].mean(dim=2)
    return points.mean(dim=1) - edges.sum(dim=1) / 2, edges


def _problems(corners: Tensor, origins: Tensor, edges: Tensor, eps: float) -> dict[str, Bool[Tensor, " N"]]:
    points, lengths = corners.double(), edges.norm(dim=2)
    noise = torch.finfo(corners.dtype).eps * points.abs().amax(dim=(1, 2))
    off = (_corners_of(origins, edges) - points).norm(dim=2).amax(dim=1)
    flat = torch.linalg.det(edges).abs() <= 1e-3 * lengths.prod(dim=1)
    return {
        "is not finite": ~points.isfinite().all(dim=2).all(dim=1),
        "has no volume": flat | (lengths.amin(dim=1) <= noise),
        "is not a box (opposite edges differ)": off > eps * lengths.norm(dim=1) + _ROUNDING * noise,
    }


def _refuse(bad: Tensor, name: str, problem: str, corners: Tensor) -> None:
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        values = [[round(value, 4) for value in corner] for corner in corners[row].tolist()]
        raise InputError(
            f"{name}[{row}] {problem}; so are {int(bad.sum())} of {len(bad)}. Remove these, and pass corners in the"
            f" order of `Boxes3D.corners`; got {values}"
        )


def _corners_of(origins: Tensor, edges: Tensor) -> Float[Tensor, "N 8 3"]:
    steps = torch.stack([_HIGH.eq(corner).any(dim=1) for corner in range(8)]).to(edges)
    return origins[:, None] + steps @ edges


def _near(
    origins1: Tensor, edges1: Tensor, origins2: Tensor, edges2: Tensor
) -> tuple[Int[Tensor, " P"], Int[Tensor, " P"]]:
    """Return the pairs whose axis-aligned bounding boxes meet; all others have no overlap."""
    points1, points2 = _corners_of(origins1, edges1), _corners_of(origins2, edges2)
    low = torch.maximum(points1.amin(dim=1)[:, None], points2.amin(dim=1))
    high = torch.minimum(points1.amax(dim=1)[:, None], points2.amax(dim=1))
    a, b = (low < high).all(dim=2).nonzero().unbind(dim=1)
    return a, b


def _inside_unit_cube(origins: Float[Tensor, "P 3"], edges: Float[Tensor, "P 3 3"]) -> Float[Tensor, " P"]:
    """Compute the volume of each parallelepiped inside the unit cube."""
    faces = _corners_of(origins, edges)[:, _OUTWARD]  # [P 6 4 3]
    tails = faces.permute(3, 2, 0, 1).flatten(2).contiguous()  # [3 E F]
    heads = tails.roll(-1, dims=1)
    for axis in (0, 1):
        tails, heads = _cut(tails, heads, axis)
    integrals = _clamped_height(tails, heads)
    return integrals.view(-1, 6).sum(dim=1).abs()  # negative where corners were mirrored


def _cut(tails: Float[Tensor, "3 E F"], heads: Float[Tensor, "3 E F"], axis: int) -> tuple[Tensor, Tensor]:
    """Clip convex polygons to where the coordinate is from 0 to 1.

    Edges outside shrink to a point, and one edge more on either side closes the polygon along the cut. As the order of
    edges does not matter, all polygons keep the same number.
    """
    tail, head = tails[axis], heads[axis]
    cut_tail, cut_head = tail.clamp(0, 1), head.clamp(0, 1)
    lost = (torch.maximum(tail, head) < 0) | (torch.minimum(tail, head) > 1)
    span = torch.where(tail == head, 1, head - tail)
    steps = heads - tails
    new_tails = torch.addcmul(tails, torch.where(lost, 0, (cut_tail - tail) / span), steps)
    new_heads = torch.where(lost, new_tails, torch.addcmul(heads, (cut_head - head) / span, steps))
    new_tails[axis], new_heads[axis] = cut_tail, cut_head
    low, high = (_closing(new_tails, new_heads, tail, head, axis, side) for side in (0, 1))
    return torch.cat((new_tails, low[0], high[0]), dim=1), torch.cat((new_heads, low[1], high[1]), dim=1)


def _closing(
    tails: Tensor, heads: Tensor, tail: Float[Tensor, "E F"], head: Float[Tensor, "E F"], axis: int, side: int
) -> tuple[Tensor, Tensor]:
    """Return (tail, head) of the edge along the cut: from where the outline leaves to where it enters again."""
    before, after = (tail < 0, head < 0) if side == 0 else (tail > 1, head > 1)
    ends = []
    for points, crossed in ((heads, after > before), (tails, before > after)):
        edge, face = crossed.nonzero().unbind(dim=1)
        end = points.new_zeros(3, points.shape[2])
        end[:, face] = points[:, edge, face]
        end[axis] = side
        ends.append(end[:, None])
    return ends[0], ends[1]


def _clamped_height(tails: Float[Tensor, "3 E F"], heads: Float[Tensor, "3 E F"]) -> Float[Tensor, " F"]:
    """Compute the integral of clamp(z, 0, 1) over the projection of polygons on the xy plane, negative facing down.

    The polygon falls into triangles between each edge and one point of its plane.
    """
    weight = (tails != heads).any(dim=0).to(tails)  # edges that shrank away may lie anywhere
    center = (tails * weight).sum(dim=1) / weight.sum(dim=0).clamp(min=1)
    cross = (tails[0] - center[0]) * (heads[1] - center[1]) - (tails[1] - center[1]) * (heads[0] - center[0])
    low, high = torch.minimum(tails[2], heads[2]), torch.maximum(tails[2], heads[2])
    middle = torch.maximum(low, torch.minimum(high, center[2]))
    heights = torch.minimum(low, center[2]), middle, torch.maximum(high, center[2])
    return (cross * (_mean_above(*heights, 0.0) - _mean_above(*heights, 1.0))).sum(dim=0) / 2


def _mean_above(low: Tensor, middle: Tensor, high: Tensor, level: float) -> Tensor:
    """Compute the mean of max(z - level, 0) over triangles with these heights z of their corners, in order.

    A triangle of which only the corner h is above has the part h^2 / ((h - l)(h - m)) above, of mean height h / 3.
    """
    low, middle, high = low - level, middle - level, high - level
    most = middle > 0
    single = torch.where(most, -low, high).clamp(min=0)
    tiny = torch.finfo(low.dtype).tiny
    part = single * (single / torch.where(most, middle - low, high - middle).clamp(min=tiny))
    part = part * (single / (high - low).clamp(min=tiny))
    return (torch.where(most, low + middle + high, 0) + part) / 3
