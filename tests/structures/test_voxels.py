"""Voxelizing, held against trimesh's test of containment and shapes whose cells are known."""

import math

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from scenekit.structures import Boxes3D, Meshes
from scenekit.structures.voxels import cell_centers, voxelize

BALL = trimesh.creation.icosphere(4)
SHAPES = {
    "ball": BALL,
    "torus": trimesh.creation.torus(1.0, 0.3),
    "capsule": trimesh.creation.capsule(1.0, 0.2),
    "pipe": trimesh.creation.annulus(0.5, 0.8, 1.0),
    "cone": trimesh.creation.cone(0.5, 2.0),
}


def meshes_of(*shapes: trimesh.Trimesh) -> Meshes:
    return Meshes.from_lists(
        [torch.tensor(shape.vertices, dtype=torch.float32) for shape in shapes],
        [torch.tensor(np.asarray(shape.faces)) for shape in shapes],
    )


def boxes_of(*shapes: trimesh.Trimesh) -> Boxes3D:
    """Tight and not rotated: width is along z, height along y, length along x."""
    bounds = torch.tensor(np.stack([shape.bounds for shape in shapes]), dtype=torch.float32)
    size = (bounds[:, 1] - bounds[:, 0]).flip(-1)
    return Boxes3D(bounds.mean(dim=1), size, torch.eye(3).repeat(len(shapes), 1, 1))


def voxels_of(shape: trimesh.Trimesh, size: int = 24) -> torch.Tensor:
    return voxelize(meshes_of(shape), boxes_of(shape), size)[0]


def iou(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


def moved(meshes: Meshes, boxes: Boxes3D, rotation: torch.Tensor, shift: torch.Tensor) -> tuple[Meshes, Boxes3D]:
    """Mesh and box of every object turned about the origin and shifted."""
    verts = meshes.verts @ rotation.T + shift
    turned = Boxes3D(boxes.center @ rotation.T + shift, boxes.size, rotation @ boxes.rotation)
    return Meshes(verts, meshes.faces, meshes.verts_offset, meshes.faces_offset), turned


def test_a_ball_fills_pi_sixths_of_its_box() -> None:
    assert voxels_of(BALL, 48).float().mean() == pytest.approx(math.pi / 6, abs=0.005)


@pytest.mark.parametrize("size", [1, 5, 24])
def test_a_box_fills_its_box(size: int) -> None:
    shape = trimesh.creation.box((1.0, 2.0, 3.0))
    assert voxels_of(shape, size).all()


@pytest.mark.parametrize("name", SHAPES)
def test_centers_are_inside_where_trimesh_says_so(name: str) -> None:
    shape = SHAPES[name]
    turn = torch.tensor(Rotation.from_euler("xyz", [0.3, -0.7, 1.1]).as_matrix(), dtype=torch.float32)
    meshes, boxes = moved(meshes_of(shape), boxes_of(shape), turn, torch.tensor([0.2, -0.4, 5.0]))
    grid = voxelize(meshes, boxes, 24)[0].numpy()
    centers = cell_centers(boxes, 24)[0].reshape(-1, 3).numpy()
    inside = meshes.to_trimesh(0).contains(centers).reshape(grid.shape)
    assert iou(grid, inside) > (0.97 if name == "cone" else 0.99), "the tip of a cone is thinner than a cell"


def test_dimensions_are_width_height_length() -> None:
    """A bar along the length at the lower left edge, whose far end stands up: no two axes may be exchanged."""
    bar = trimesh.creation.box(bounds=[[-2.0, 0.5, -1.0], [2.0, 1.0, -0.5]])
    post = trimesh.creation.box(bounds=[[1.0, -1.0, -1.0], [2.0, 0.5, -0.5]])
    box = Boxes3D(torch.zeros(1, 3), torch.tensor([[2.0, 2.0, 4.0]]), torch.eye(3)[None])
    grid = voxelize(meshes_of(trimesh.util.concatenate([bar, post])), box, 4)[0]
    expected = torch.zeros(4, 4, 4, dtype=torch.bool)
    expected[0, 3, :] = True  # y = 0.75 is the lowest quarter, as y points down; z = -0.75 the first one of the width
    expected[0, :, 3] = True
    assert torch.equal(grid, expected)


def test_a_mirrored_scene_has_mirrored_voxels() -> None:
    shape = trimesh.util.concatenate([SHAPES["cone"], BALL.copy().apply_translation([1.0, 0.3, 0.2])])
    turn = torch.tensor(Rotation.from_euler("xyz", [0.2, 0.5, -0.4]).as_matrix(), dtype=torch.float32)
    meshes, boxes = moved(meshes_of(shape), boxes_of(shape), turn, torch.tensor([0.5, 0.1, 4.0]))
    grid = voxelize(meshes, boxes, 16)
    assert torch.equal(voxelize(meshes.mirrored(), boxes.mirrored(), 16), grid.flip(1))
    assert not torch.equal(grid, grid.flip(1))


def test_overlapping_parts_are_a_union() -> None:
    parts = [BALL, BALL.copy().apply_translation([0.6, 0.0, 0.0])]
    both, box = trimesh.util.concatenate(parts), boxes_of(trimesh.util.concatenate(parts))
    grids = [voxelize(meshes_of(part), box, 24) for part in parts]
    assert torch.equal(voxelize(meshes_of(both), box, 24), grids[0] | grids[1])


def test_a_shell_turned_inside_out_is_a_cavity() -> None:
    inner = BALL.copy().apply_scale(0.5)
    inner.invert()
    hollow = trimesh.util.concatenate([BALL, inner])
    assert voxels_of(hollow, 24).float().mean() == pytest.approx(math.pi / 6 * (1 - 1 / 8), abs=0.01)


def test_open_shells_and_thin_parts_stay() -> None:
    """A standing tube without ends is its wall and nothing in it; rod and sheet, thinner than a cell, are unbroken."""
    tube = trimesh.creation.cylinder(1.0, 2.0, sections=64)
    wall = trimesh.Trimesh(tube.vertices, tube.faces[np.abs(tube.face_normals[:, 2]) < 0.5], process=False)
    grid = voxels_of(wall.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])))
    assert grid[[0, 23], :, 12].all() and not grid[8:16, :, 8:16].any()
    assert 0.1 < grid.float().mean() < 0.2
    frame = Boxes3D(torch.zeros(1, 3), torch.full((1, 3), 2.0), torch.eye(3)[None])
    needle = trimesh.creation.box(bounds=[[-1.0, 0.06, 0.06], [1.0, 0.066, 0.066]])
    assert voxelize(meshes_of(needle), frame, 24)[0, 12, 12].tolist() == [False] * 24, "a hair is too thin"
    rod = trimesh.creation.box(bounds=[[-1.0, 0.01, 0.01], [1.0, 0.03, 0.03]])
    assert voxelize(meshes_of(rod), frame, 24)[0].nonzero().tolist() == [[12, 12, k] for k in range(24)]
    sheet = trimesh.Trimesh([[-1, -1, 0.1], [1, -1, 0.1], [1, 1, 0.1], [-1, 1, 0.1]], [[0, 1, 2], [0, 2, 3]])
    assert voxelize(meshes_of(sheet), frame, 24)[0].any(dim=2).any(dim=1).nonzero().tolist() == [[13]]


def test_many_meshes_are_the_same_as_each_alone() -> None:
    shapes = list(SHAPES.values())
    grids = voxelize(meshes_of(*shapes), boxes_of(*shapes), 12)
    assert torch.equal(grids, torch.stack([voxels_of(shape, 12) for shape in shapes]))


def test_what_cannot_be_filled_is_empty() -> None:
    nothing = Meshes.from_lists([], [])
    assert voxelize(nothing, Boxes3D(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 3, 3)), 24).shape[0] == 0
    no_faces = Meshes.from_lists([torch.rand(4, 3)], [torch.zeros(0, 3, dtype=torch.int64)])
    lost = meshes_of(BALL)
    lost.verts[:] = torch.nan
    nowhere = Boxes3D(torch.full((1, 3), torch.nan), torch.ones(1, 3), torch.eye(3)[None])
    for meshes, boxes in ((no_faces, boxes_of(BALL)), (lost, boxes_of(BALL)), (meshes_of(BALL), nowhere)):
        grid = voxelize(meshes, boxes, 8)
        assert grid.shape == (1, 8, 8, 8) and not grid.any()


def test_a_flat_box_holds_a_flat_mesh() -> None:
    sheet = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    assert voxels_of(sheet, 8)[4].all()


def test_a_box_far_too_small_costs_no_memory() -> None:
    ball = trimesh.creation.icosphere(1)
    boxes = boxes_of(ball)
    assert voxelize(meshes_of(ball), Boxes3D(boxes.center, boxes.size * 1e-6, boxes.rotation), 8).all()
