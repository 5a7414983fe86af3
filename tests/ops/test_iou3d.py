"""Overlaps of oriented boxes, held against exact stored volumes, against manifold3d's solids, and cases by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops.iou3d import bev_overlap, box3d_overlap, is_box3d
from scenekit.ops.rotations import random_rotations, so3_exp_map
from scenekit.structures import Boxes3D

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "mesh3d" / "p3d_box3d_overlap.npz")
UNIT = torch.tensor(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=torch.float64
)
TRIANGLES = np.array(
    [
        *([0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4]),
        *([1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]),
    ]
)
ONE = torch.eye(3, dtype=torch.float64)


def stored(name: str) -> Tensor:
    return torch.from_numpy(REFERENCE[name])


def box(size: Tensor, rotation: Tensor = ONE, center: Tensor | None = None) -> Tensor:
    """Corners [8 3] in double precision."""
    return ((UNIT - 0.5) * size) @ rotation.mT + (torch.zeros(3) if center is None else center)


def cuboid(low: tuple[float, float, float], high: tuple[float, float, float]) -> Tensor:
    """Corners [1 8 3] along the axes."""
    start, stop = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    return (start + UNIT * (stop - start))[None]


# Against the stored exact answers


def test_pairs_of_all_kinds_are_exact() -> None:
    volume, iou = (found.diagonal().double() for found in box3d_overlap(stored("pairs/A"), stored("pairs/B")))
    torch.testing.assert_close(volume, stored("pairs/exact_vol_f64"), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(iou, stored("pairs/exact_iou_f64"), rtol=0, atol=1e-6)


def test_all_pairs_are_exact_and_as_in_pytorch3d_where_that_is_right() -> None:
    a, b = stored("pairs/A")[stored("matrix/rows")], stored("pairs/B")[stored("matrix/cols")]
    volume, iou = box3d_overlap(a, b)
    torch.testing.assert_close(volume.double(), stored("matrix/exact_vol_f64"), rtol=1e-5, atol=1e-6)
    right = (stored("matrix/vol") - stored("matrix/exact_vol_f64")).abs() < 1e-4
    assert right.float().mean() > 0.9
    torch.testing.assert_close(iou[right], stored("matrix/iou")[right], rtol=0, atol=1e-4)


# Against solids of manifold3d


def random_size(generator: torch.Generator) -> Tensor:
    return torch.rand(3, generator=generator, dtype=torch.float64) + 0.3


Pair = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
THIN = torch.tensor([1, 1, 1e-6], dtype=torch.float64)
PAIRS_OF_A_KIND = 12
HALF = torch.tensor([1, 0.5, 1], dtype=torch.float64)
PAIRS: dict[str, tuple[Pair, float]] = {
    "random": (lambda s, t, R, Q, c, v: (box(s, R), box(t, Q, c)), 1e-13),
    "equal": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s, R, c)), 1e-13),
    "touching by a face": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s, R, c + R[:, 0] * s[0])), 1e-13),
    "touching by an edge": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s, R, c + R[:, :2] @ s[:2])), 1e-13),
    "touching by a corner": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s, R, c + R @ s)), 1e-13),
    "contained": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s * 0.1, Q, c)), 1e-12),
    "contained, with faces in one plane": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s * HALF, R, c)), 1e-13),
    "shifted along one axis": (lambda s, t, R, Q, c, v: (box(s, R, c), box(s, R, c + R[:, 1] * s[1] / 3)), 1e-13),
    "the same solid, a quarter turn on": (
        lambda s, t, R, Q, c, v: (box(s, R, c), box(s[[1, 0, 2]], R @ so3_exp_map(ONE[2] * math.pi / 2), c)),
        1e-13,
    ),
    **{
        f"nearly parallel, {angle:g} rad": (
            lambda s, t, R, Q, c, v, angle=angle: (box(s, R, c), box(s, R @ so3_exp_map(v * angle), c)),
            1e-11,
        )
        for angle in (1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 1e-2, 0.1)
    },
    "nearly parallel and shifted": (
        lambda s, t, R, Q, c, v: (box(s, R, c), box(s, R @ so3_exp_map(v * 1e-7), c + R[:, 0] * s[0] / 2)),
        1e-11,
    ),
    "far from the origin": (lambda s, t, R, Q, c, v: (box(s, R, c + 1e4), box(t, Q, c * 1.2 + 1e4)), 1e-9),
    "thin": (lambda s, t, R, Q, c, v: (box(s * THIN, R), box(t, Q, c)), 1e-8),
    "tiny": (lambda s, t, R, Q, c, v: (box(s * 1e-9, R), box(t * 1e-9, Q, c * 1e-9)), 1e-12),
    "huge": (lambda s, t, R, Q, c, v: (box(s * 1e9, R), box(t * 1e9, Q, c * 1e9)), 1e-12),
    "tiny in huge": (lambda s, t, R, Q, c, v: (box(s * 1e-3, R, c * 0.1), box(t * 1e3, Q, c)), 1e-8),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_volumes_as_of_manifold3d(kind: str) -> None:
    manifold3d = pytest.importorskip("manifold3d", reason="the second oracle, of the extra 'dev', is not installed")

    def solid(corners: Tensor) -> object:
        return manifold3d.Manifold(manifold3d.Mesh64(corners.numpy(), TRIANGLES))

    make, tolerance = PAIRS[kind]
    generator = torch.Generator().manual_seed(0)
    pairs = []
    for _ in range(PAIRS_OF_A_KIND):
        R, Q = random_rotations(2, dtype=torch.float64, generator=generator)
        c, v = torch.randn(2, 3, dtype=torch.float64, generator=generator) * 0.4
        pairs.append(make(random_size(generator), random_size(generator), R, Q, c, v))
    a, b = (torch.stack(boxes) for boxes in zip(*pairs, strict=True))
    expected = torch.tensor([(solid(x) ^ solid(y)).volume() for x, y in pairs], dtype=torch.float64)
    smaller = torch.tensor([min(map(volume_of, pair)) for pair in pairs], dtype=torch.float64)
    for found in (box3d_overlap(a, b)[0].diagonal(), box3d_overlap(b, a)[0].diagonal()):
        assert ((found - expected).abs() <= tolerance * smaller).all()


def volume_of(corners: Tensor) -> float:
    return float(torch.linalg.det(corners[[1, 3, 4]] - corners[0]).abs())


# By hand


@pytest.mark.parametrize(
    "low, high, volume, iou",
    [
        ((0, 0, 0), (1, 1, 1), 1, 1),
        ((0.5, 0, 0), (1.5, 1, 1), 0.5, 1 / 3),
        ((0.5, 0.5, 0.5), (1.5, 1.5, 1.5), 0.125, 0.125 / 1.875),
        ((-1, -1, -1), (2, 2, 2), 1, 1 / 27),
        ((0.25, 0.25, 0.25), (0.5, 0.5, 0.5), 1 / 64, 1 / 64),
        ((1, 0, 0), (2, 1, 1), 0, 0),
        ((1, 1, 1), (2, 2, 2), 0, 0),
        ((-1, 0.25, 0.25), (2, 0.75, 0.75), 0.25, 0.25 / 1.5),
        ((-9, -9, 5), (9, 9, 6), 0, 0),
    ],
)
def test_boxes_along_the_axes(low: tuple, high: tuple, volume: float, iou: float) -> None:
    found = box3d_overlap(cuboid((0, 0, 0), (1, 1, 1)), cuboid(low, high))
    assert [value.item() for value in found] == pytest.approx([volume, iou], abs=1e-15)


def test_a_cube_turned_by_45_degrees_leaves_an_octagon() -> None:
    turn = so3_exp_map(ONE[2] * math.pi / 4)
    cube = box(torch.ones(3))
    volume, _ = box3d_overlap(cube[None], box(torch.ones(3), turn)[None])
    assert volume.item() == pytest.approx(2 * (math.sqrt(2) - 1))
    area, iou = bev_overlap(cube[None, :4, :2], box(torch.ones(3), turn)[None, :4, :2])
    assert area.item() == pytest.approx(2 * (math.sqrt(2) - 1))
    assert iou.item() == pytest.approx(area.item() / (2 - area.item()))


def test_a_corner_cut_by_a_diagonal_plane() -> None:
    """The unit cube below x + y + z = 1 is a pyramid of 1/6."""
    normal = torch.ones(3, dtype=torch.float64) / math.sqrt(3)
    side = torch.linalg.cross(normal, ONE[0])
    side = side / side.norm()
    rotation = torch.stack((normal, side, torch.linalg.cross(normal, side)), dim=1)
    large = box(torch.full((3,), 10.0), rotation, normal * (1 / math.sqrt(3) - 5))
    assert box3d_overlap(cuboid((0, 0, 0), (1, 1, 1)), large[None])[0].item() == pytest.approx(1 / 6)


def test_every_pair_stands_in_its_place() -> None:
    a = torch.cat([cuboid((i, 0, 0), (i + 1, 1, 1)) for i in range(3)])
    b = torch.cat([cuboid((0.5, 0, 0), (1.5, 1, 1)), cuboid((0, 0, 0), (3, 1, 1))])
    volume, iou = box3d_overlap(a, b)
    assert volume.tolist() == [[0.5, 1], [0.5, 1], [0, 1]]
    torch.testing.assert_close(iou[:, 1], torch.full((3,), 1 / 3, dtype=torch.float64))


def test_many_pairs_are_the_same_as_few() -> None:
    boxes = Boxes3D(torch.randn(60, 3), torch.rand(60, 3) + 0.5, random_rotations(60)).corners
    volume, iou = box3d_overlap(boxes, boxes)
    assert torch.equal(volume[7:9, 11:30], box3d_overlap(boxes[7:9], boxes[11:30])[0])
    torch.testing.assert_close(volume, volume.T)
    torch.testing.assert_close(iou.diagonal(), torch.ones(60))
    assert volume.dtype == torch.float32 and ((iou >= 0) & (iou <= 1)).all()


def test_mirrored_corners_and_other_first_corners_are_the_same_box() -> None:
    a, b = box(torch.tensor([1, 2, 3.0]))[None], box(torch.tensor([2, 1, 3.0]), random_rotations(1).double()[0])[None]
    expected = box3d_overlap(a, b)[0]
    mirrored = a[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    for other in (mirrored, a[:, [1, 2, 3, 0, 5, 6, 7, 4]]):
        torch.testing.assert_close(box3d_overlap(other, b)[0], expected)
        torch.testing.assert_close(box3d_overlap(b, other)[0], expected.T)


# Seen from above


def test_upright_boxes_overlap_by_their_footprints_times_their_common_height() -> None:
    angles = torch.zeros(2, 8, 3)
    angles[..., 2] = torch.rand(2, 8) * 7
    first, second = (
        Boxes3D.from_parameters(torch.cat((torch.randn(8, 3), torch.rand(8, 3) + 1, angles[i]), dim=1))
        for i in range(2)
    )
    area, _ = bev_overlap(first.footprints, second.footprints)
    low = torch.maximum((first.center - first.size / 2)[:, None, 1], (second.center - second.size / 2)[:, 1])
    high = torch.minimum((first.center + first.size / 2)[:, None, 1], (second.center + second.size / 2)[:, 1])
    volume, _ = box3d_overlap(first.corners, second.corners)
    torch.testing.assert_close(area * (high - low).clamp(min=0), volume, atol=1e-5, rtol=1e-4)
    reversed_order, _ = bev_overlap(first.footprints.flip(1), second.footprints)
    torch.testing.assert_close(reversed_order, area)


# Bad input


def test_no_boxes() -> None:
    some = cuboid((0, 0, 0), (1, 1, 1))
    for a, b in ((some[:0], some), (some, some[:0]), (some[:0], some[:0])):
        assert [found.shape for found in box3d_overlap(a, b)] == [(len(a), len(b))] * 2
    assert bev_overlap(some[:0, :4, :2], some[:, :4, :2])[0].shape == (0, 1)


def test_corners_that_are_not_a_box() -> None:
    good = stored("pairs/A")
    with pytest.raises(InputError, match=r"corners1\[0\] is not a box"):
        box3d_overlap(stored("bad_noncoplanar/A"), good)
    with pytest.raises(InputError, match=r"corners2\[0\] has no volume; so are 1 of 1"):
        box3d_overlap(good, stored("bad_zero_area/A"))
    with pytest.raises(InputError, match=r"corners1\[2\] is not finite; so are 2 of 64"):
        bad = good.clone()
        bad[2, 3, 1], bad[5, 0, 0] = torch.nan, torch.inf
        box3d_overlap(bad, good)
    assert is_box3d(bad)[[0, 2, 3, 5]].tolist() == [True, False, True, False]
    assert not is_box3d(torch.cat((stored("bad_zero_area/A"), stored("bad_noncoplanar/A")))).any()
    with pytest.raises(InputError, match=r"corners1\[1\] has no volume"):
        box3d_overlap(torch.cat((good[:1], torch.zeros(1, 8, 3))), good)


def test_corners_that_are_not_a_rectangle() -> None:
    square = cuboid((0, 0, 0), (1, 1, 1))[:, :4, :2]
    with pytest.raises(InputError, match=r"corners2\[0\] is not a rectangle"):
        bev_overlap(square, square[:, [0, 2, 1, 3]])
    with pytest.raises(InputError, match=r"corners1\[0\] has no volume"):
        bev_overlap(square * torch.tensor([1, 0]), square)


def test_coarse_numbers_are_taken_as_such() -> None:
    """Corners of half precision are boxes within their rounding."""
    corners = Boxes3D(torch.randn(5, 3) * 10, torch.rand(5, 3) + 1, random_rotations(5)).corners
    _, iou = box3d_overlap(corners.half(), corners.half())
    assert iou.dtype == torch.float16
    torch.testing.assert_close(iou.diagonal(), torch.ones(5).half())
