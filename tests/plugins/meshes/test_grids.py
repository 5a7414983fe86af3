"""Grids: what they should hold in a frustum, by hand, and the meshes that they start, counted another way."""

from __future__ import annotations

import math

import pytest
import torch

from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.structures import Boxes3D
from scenekit_plugins.meshes.frustum import Frustums
from scenekit_plugins.meshes.grids import (
    cell_centers,
    confidence,
    grids_in_frustums,
    solid,
    surfaces,
    vertex_counts,
    whole,
)
from scenekit_plugins.meshes.ops import cubify

FAR = Frustums(
    torch.tensor([[0.0, 0.0, 100.0, 100.0]]),
    torch.tensor([[1000.0 - 0.5, 1000.0 + 0.5]]),
    torch.tensor([[[1e5, 0.0, 50.0], [0.0, 1e5, 50.0], [0.0, 0.0, 1.0]]]),
)
"""A frustum that is nearly a cube of 1 m: through a lens that long, sizes in the image hardly change with depth."""


def box_around(rotation: torch.Tensor, size: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Boxes3D:
    return Boxes3D(torch.tensor([[0.0, 0.0, 1000.0]]), torch.tensor([size]), rotation[None])


def turned(*axis_angle: float) -> torch.Tensor:
    return axis_angle_to_matrix(torch.tensor(axis_angle))


@pytest.mark.parametrize("align", ["corner", "topleft"])
def test_cell_centers_are_in_the_middle_of_the_surface_of_that_cell_alone(align: str) -> None:
    steps = cell_centers(4, align)  # type: ignore[arg-type]
    for z, y, x in ((0, 0, 0), (1, 2, 3), (3, 0, 1)):
        grid = torch.zeros(1, 4, 4, 4)
        grid[0, z, y, x] = 1
        verts = cubify(grid, 0.5, align=align).verts  # type: ignore[arg-type]
        middle = torch.stack((steps[x], steps[y], steps[z]))
        torch.testing.assert_close(middle, (verts.amin(0) + verts.amax(0)) / 2)


def test_an_unturned_grid_is_seen_as_it_is() -> None:
    """The object's z, y and x are those of the camera, and so are the axes of both grids."""
    voxels = torch.rand(1, 6, 6, 6)
    seen = grids_in_frustums(voxels, box_around(torch.eye(3)), FAR, 6, "corner")
    torch.testing.assert_close(seen, voxels, rtol=0, atol=5e-3)


def test_a_turned_grid_is_seen_turned() -> None:
    """A quarter turn about the down axis: the front of the object, x, points to the camera, its width to the right."""
    voxels = torch.rand(1, 6, 6, 6)
    rotation = turned(0.0, math.pi / 2, 0.0)
    torch.testing.assert_close(rotation @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, -1]), atol=1e-6, rtol=0)
    seen = grids_in_frustums(voxels, box_around(rotation), FAR, 6, "corner")
    # Right is +z of the object; away is -x: seen[away, down, right] = voxels[right, down, -away].
    torch.testing.assert_close(seen[0], voxels[0].permute(2, 1, 0).flip(0), rtol=0, atol=5e-3)


def test_outside_of_its_box_an_object_has_nothing() -> None:
    voxels = torch.ones(1, 6, 6, 6)
    seen = grids_in_frustums(voxels, box_around(torch.eye(3), (1.0, 0.5, 1.0)), FAR, 8, "corner")[0]
    assert (seen[:, 2:6] > 0.999).all() and (seen[:, :2] == 0).all() and (seen[:, 6:] == 0).all()


def test_solid_cells_and_what_stands_in_for_them() -> None:
    grids = torch.zeros(3, 2, 2, 2)
    grids[0, 0] = torch.tensor([[0.1, 0.2], [0.3, 0.0]])
    grids[1, 1] = torch.tensor([[0.01, 0.04], [0.019, 0.08]])
    full = solid(grids, 0.2).long()
    assert full[0, 0].tolist() == [[0, 1], [1, 0]] and full[0].sum() == 2
    assert full[1, 1].tolist() == [[0, 1], [0, 1]] and full[1].sum() == 2
    assert full[2].all()


def test_vertices_are_counted_without_making_them() -> None:
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        cells = torch.rand(5, 7, 7, 7) < share
        assert torch.equal(vertex_counts(cells), cubify(cells.float(), 0.5).num_verts_per_mesh())


@pytest.mark.parametrize("align", ["corner", "topleft"])
def test_grids_with_too_many_vertices_are_halved(align: str) -> None:
    noise, block = torch.rand(2, 12, 12, 12) < 0.3, torch.zeros(1, 12, 12, 12, dtype=torch.bool)
    block[0, 3:6, 4:8, 5:9] = True
    meshes = surfaces(torch.cat((noise[:1], block, noise[1:])), 250, align)  # type: ignore[arg-type]
    assert (meshes.num_verts_per_mesh() <= 250).all()
    alone = cubify(block.float(), 0.5, align=align)  # type: ignore[arg-type]
    assert torch.equal(meshes.verts_of(1), alone.verts) and torch.equal(meshes.faces_of(1), alone.faces)
    assert all(len(meshes.faces_of(row)) for row in range(3))


def test_a_single_cell_is_always_left() -> None:
    meshes = surfaces(torch.rand(3, 7, 7, 7) < 0.5, 8, "topleft")
    assert meshes.num_verts_per_mesh().tolist() == [8, 8, 8]
    torch.testing.assert_close(meshes.verts.abs(), torch.ones(24, 3))
    assert len(surfaces(torch.zeros(0, 7, 7, 7, dtype=torch.bool), 100, "corner")) == 0


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_meshes_around_tidy_cells_are_closed_with_two_faces_at_each_edge(share: float) -> None:
    probabilities = torch.rand(4, 9, 9, 9)
    cells = probabilities < share
    tidy = whole(cells, probabilities)
    meshes = surfaces(tidy, 10_000, "corner")
    assert all(meshes.to_trimesh(row).is_watertight for row in range(4))
    halved = surfaces(tidy, 300, "corner")
    assert all(halved.to_trimesh(row).is_watertight for row in range(4))


def test_of_two_cells_that_touch_along_an_edge_the_likelier_neighbor_joins_them() -> None:
    probabilities = torch.zeros(1, 2, 2, 2)
    probabilities[0, 0] = torch.tensor([[0.9, 0.1], [0.2, 0.9]])
    tidy = whole(probabilities > 0.5, probabilities)
    assert tidy[0, 0].tolist() == [[True, False], [True, True]] and not tidy[0, 1].any()


def test_specks_are_removed_and_large_parts_stay() -> None:
    cells = torch.zeros(1, 12, 12, 12, dtype=torch.bool)
    cells[0, :5, :5, :5] = cells[0, 8:11, 8:11, 8:11] = True
    cells[0, 0, 11, 0] = True
    kept = whole(cells, cells.float())
    assert int(kept.sum()) == 125 + 27 and not kept[0, 0, 11, 0]


def test_confidence_is_the_iou_to_expect() -> None:
    probabilities = torch.tensor([0.9, 0.7, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0]).reshape(1, 2, 2, 2)
    assert float(confidence(probabilities > 0.5, probabilities)) == pytest.approx(1.6 / 2.4)
    certain = torch.ones(1, 2, 2, 2)
    assert float(confidence(certain > 0.5, certain)) == 1.0
