"""The frame of a region: against Mesh R-CNN's own transforms, by hand, and there and back."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from scenekit.ops.cameras import project
from scenekit_plugins.meshes.frustum import FARTHEST, Frustums, depth_ranges, extents
from tests.plugins.meshes.reference import TURN, camera_of, case

K = torch.tensor([[[200.0, 0.0, 100.0], [0.0, 100.0, 50.0], [0.0, 0.0, 1.0]]])


def their_frustums(points: Tensor) -> Frustums:
    """Around points [N P 3] in our camera frame, behind their boxes."""
    theirs = case("meshrcnn_losses", "crop_mesh")
    depths = torch.stack((points[..., 2].amin(1), points[..., 2].amax(1)), dim=1)
    return Frustums(theirs["boxes"], depths, camera_of(theirs["Ks"]))


def rows_of(points: Tensor) -> Tensor:
    return torch.arange(len(points)).repeat_interleave(points.shape[1])


def test_meshes_in_the_cube_are_those_of_mesh_rcnn() -> None:
    verts = case("meshrcnn_losses", "crop_mesh")["verts"] * TURN
    cube = their_frustums(verts).to_cube(verts.reshape(-1, 3), rows_of(verts)).reshape(verts.shape)
    torch.testing.assert_close(cube, case("meshrcnn_losses", "crop_mesh")["out_verts"], rtol=1e-5, atol=1e-5)


def test_meshes_in_the_camera_frame_are_those_of_mesh_rcnn() -> None:
    theirs = case("meshrcnn_losses", "to_camera")
    verts = theirs["verts"] * TURN
    cube = case("meshrcnn_losses", "crop_mesh")["out_verts"].reshape(-1, 3)
    frustums = replace(their_frustums(verts), depths=theirs["zranges"])
    back = frustums.to_camera(cube, rows_of(verts)).reshape(verts.shape)
    torch.testing.assert_close(back, verts, rtol=1e-5, atol=1e-5)


def test_voxels_in_the_cube_are_those_of_mesh_rcnn() -> None:
    """Their cell of a point: trunc((c + 1) (S - 1) / 2), c of their own frame; then the axes x and y are reversed."""
    theirs = case("meshrcnn_losses", "crop_voxel")
    points = theirs["pts"] * TURN
    grids = torch.zeros_like(theirs["out"])
    side = grids.shape[-1]
    cube = their_frustums(points).to_cube(points.reshape(-1, 3), rows_of(points)).reshape(points.shape) * TURN
    cells = ((cube + 1) * (side - 1) / 2).trunc().long()
    inside = ((cells >= 0) & (cells < side)).all(-1)
    for grid, cell, there in zip(grids, cells, inside, strict=True):
        x, y, z = cell[there].unbind(-1)
        grid[z, side - 1 - y, side - 1 - x] = 1
    assert (grids != theirs["out"]).float().mean() < 3e-3


def test_corners_of_the_cube_are_those_of_the_box_at_both_depths() -> None:
    frustums = Frustums(torch.tensor([[20.0, 30.0, 60.0, 50.0]]), torch.tensor([[2.0, 4.0]]), K)
    corners = torch.tensor([[-1.0, -1, -1], [1, -1, -1], [-1, 1, 1], [1, 1, 1], [0, 0, 0]])
    points = frustums.to_camera(corners, torch.zeros(5, dtype=torch.int64))
    torch.testing.assert_close(points[:, 2], torch.tensor([2.0, 2, 4, 4, 8 / 3]))  # 1 / (3 / 8): midway in 1 / depth
    pixels = project(points, K)
    torch.testing.assert_close(pixels, torch.tensor([[20.0, 30], [60, 30], [20, 50], [60, 50], [40, 40]]))


def test_there_and_back() -> None:
    frustums = Frustums(torch.rand(4, 4).cumsum(1) * 50, torch.tensor([[1.0, 3.0]]).repeat(4, 1), K.repeat(4, 1, 1))
    cube, rows = torch.rand(100, 3) * 2.4 - 1.2, torch.randint(4, (100,))
    back = frustums.to_cube(frustums.to_camera(cube, rows), rows)
    torch.testing.assert_close(back, cube, rtol=1e-4, atol=1e-4)


def test_nothing_comes_to_lie_behind_the_camera() -> None:
    frustums = Frustums(torch.tensor([[20.0, 30.0, 60.0, 50.0]]), torch.tensor([[2.0, 4.0]]), K)
    points = frustums.to_camera(torch.tensor([[0.0, 0, 3], [0, 0, 50], [0, 0, -50]]), torch.zeros(3, dtype=torch.int64))
    # 1 / depth falls by 1/8 for each unit of z, from 3/8 at 0: it would be 0 at 3.
    torch.testing.assert_close(points[:2, 2], torch.full((2,), 4 * FARTHEST))
    assert points.isfinite().all() and points[2, 2] > 0


def test_points_behind_the_camera_have_finite_places() -> None:
    frustums = Frustums(torch.tensor([[20.0, 30.0, 20.0, 50.0]]), torch.tensor([[2.0, 4.0]]), K)
    points = torch.tensor([[0.0, 0, 0], [1, 1, -3]], requires_grad=True)
    cube = frustums.to_cube(points, torch.zeros(2, dtype=torch.int64))
    (gradient,) = torch.autograd.grad(cube.sum(), points)
    assert cube.isfinite().all() and gradient.isfinite().all()


def test_ranges_hold_the_depths_around_the_center() -> None:
    one = torch.ones(2)
    center, low, high = torch.tensor([4.0, 4.0]), torch.tensor([3.0, 2.5]), torch.tensor([5.0, 4.5])
    extent = extents(center, low, high, 50 * one, 100 * one)
    torch.testing.assert_close(extent, torch.tensor([2 / 4 * 2, 3 / 4 * 2]))
    ranges = depth_ranges(center, extent, 50 * one, 100 * one)
    torch.testing.assert_close(ranges, torch.tensor([[3.0, 5.0], [2.5, 5.5]]))


def test_no_range_reaches_the_camera() -> None:
    ranges = depth_ranges(torch.tensor([4.0]), torch.tensor([60.0]), torch.tensor([200.0]), torch.tensor([100.0]))
    torch.testing.assert_close(ranges, torch.tensor([[0.4, 7.6]]))


def test_what_teaches() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [3, 3, 3, 9], [0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, torch.nan]])
    depths = torch.tensor([[1.0, 2.0], [1, 2], [-1, 2], [2, 2], [1, 2]])
    assert Frustums(boxes, depths, K.repeat(5, 1, 1)).usable.tolist() == [True, False, False, False, False]
