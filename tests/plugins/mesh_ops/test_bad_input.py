"""Meshes and points that cannot be used: a clear error, or nothing where nothing is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops import (
    GraphConv,
    SubdivideMeshes,
    chamfer_distance,
    cubify,
    gather_scatter,
    ico_sphere,
    knn_gather,
    knn_points,
    mesh_edge_loss,
    mesh_laplacian_smoothing,
    mesh_normal_consistency,
    sample_points_from_meshes,
    vert_align,
)

TRIANGLE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
FACE = torch.tensor([[0, 1, 2]])
NO_FACES = torch.zeros((0, 3), dtype=torch.int64)
LOSSES = (mesh_edge_loss, mesh_laplacian_smoothing, mesh_normal_consistency)
OF_MESHES = (*LOSSES, sample_points_from_meshes, SubdivideMeshes())
Operation = Callable[[Meshes], object]


def mesh(verts: Tensor = TRIANGLE, faces: Tensor = FACE) -> Meshes:
    return Meshes.from_lists([verts.clone().requires_grad_()], [faces])


def unchecked(function: Callable[..., object]) -> Callable[..., object]:
    """As users call it: without the annotations that the tests check first."""
    return inspect.unwrap(function)


@pytest.mark.parametrize("operation", OF_MESHES)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_vertices_that_are_no_numbers(operation: Operation, value: float) -> None:
    verts = TRIANGLE.clone()
    verts[1, 2] = value
    with pytest.raises(InputError, match="vertices must be finite, got NaN or infinity in 1 of them"):
        operation(mesh(verts))


@pytest.mark.parametrize("operation", OF_MESHES)
@pytest.mark.parametrize("row", [[0, 1, 3], [0, -1, 2]])
def test_faces_of_vertices_that_are_not_there(operation: Operation, row: list[int]) -> None:
    with pytest.raises(InputError, match=r"face 0 names vertices .*, but its mesh has 3 vertices"):
        operation(mesh(faces=torch.tensor([row])))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_nothing_are_zero(loss: Operation) -> None:
    for empty in (Meshes.from_lists([], []), mesh(torch.zeros(0, 3), NO_FACES)):
        assert loss(empty) == 0


def test_a_mesh_without_faces_counts_for_nothing() -> None:
    sphere = ico_sphere(1)
    both = Meshes.from_lists([TRIANGLE, sphere.verts], [NO_FACES, sphere.faces])
    for loss in (mesh_edge_loss, mesh_normal_consistency):
        torch.testing.assert_close(loss(both), loss(sphere) / 2)
    points, normals = sample_points_from_meshes(both, 20, return_normals=True)
    assert not points[0].any() and not normals[0].any()
    torch.testing.assert_close(points[1].norm(dim=1), torch.ones(20), rtol=0, atol=0.1)
    assert SubdivideMeshes()(both).num_verts_per_mesh().tolist() == [3, 162]


@pytest.mark.parametrize("empty", [Meshes.from_lists([], []), mesh(faces=NO_FACES)])
def test_no_faces_at_all_to_sample(empty: Meshes) -> None:
    with pytest.raises(InputError, match="meshes with faces expected to sample points from"):
        sample_points_from_meshes(empty, 10)


def test_faces_without_area(backend: str) -> None:
    line = mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]))
    assert mesh_normal_consistency(line) == 0
    assert not line.faces_areas_packed().any() and not line.faces_normals_packed().any()
    assert not line.verts_normals_packed().any()
    assert torch.isfinite(mesh_laplacian_smoothing(line, "cot"))
    if backend == "pytorch3d":
        with pytest.raises(InputError, match="pytorch3d samples no mesh whose faces have no area"):
            sample_points_from_meshes(line, 5)
    else:
        points = sample_points_from_meshes(line, 5)
        assert not points[..., 1:].any() and (points[..., 0] <= 2).all()


def test_faces_without_area_are_never_drawn() -> None:
    verts = torch.cat((TRIANGLE, torch.tensor([[5.0, 5, 5]])))
    faces = torch.tensor([[3, 3, 3], [0, 1, 2], [0, 3, 3]])
    assert (sample_points_from_meshes(mesh(verts, faces), 1000) <= 1).all()


def test_edges_of_three_faces_pair_all_of_them() -> None:
    verts = torch.tensor([[0.0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0]])
    fan = mesh(verts, torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
    torch.testing.assert_close(mesh_normal_consistency(fan), torch.tensor(2 / 3))  # right angles twice, and flat


@pytest.mark.parametrize("call", [chamfer_distance, knn_points])
def test_points_that_cannot_be_compared(call: Callable[..., object]) -> None:
    call, x = unchecked(call), torch.rand(2, 5, 3)
    for other, message in (
        (torch.rand(5, 3), "two batches of points alike but for their number expected"),
        (torch.rand(3, 5, 3), "two batches of points alike but for their number expected"),
        (torch.rand(2, 5, 2), "two batches of points alike but for their number expected"),
        (torch.rand(2, 0, 3), "at least one row per cloud expected"),
        (torch.full((2, 5, 3), torch.nan), "points must be finite, got NaN or infinity in 10 of them"),
    ):
        with pytest.raises(InputError, match=message):
            call(x, other)
    with pytest.raises(InputError, match="norm must be one of 1, 2, got 3"):
        call(x, x, norm=3)
    with pytest.raises(InputError, match="a length of at most 5 for each of 2 clouds expected"):
        call(x, x, torch.tensor([5, 6]))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"point_reduction": None}, "set batch_reduction to None too"),
        ({"batch_reduction": "max"}, "batch_reduction must be one of 'mean', 'sum', None, got 'max'"),
        ({"point_reduction": "max", "x_normals": torch.rand(2, 5, 3)}, "leave the normals out"),
        ({"x_normals": torch.rand(2, 4, 3), "y_normals": torch.rand(2, 5, 3)}, "a normal for each point expected"),
        ({"weights": torch.tensor([1.0, -1.0])}, "weights must be 2 numbers from 0 on"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, object], message: str) -> None:
    x = torch.rand(2, 5, 3)
    with pytest.raises(InputError, match=message):
        unchecked(chamfer_distance)(x, x, **options)


def test_clouds_without_points() -> None:
    x, none = torch.rand(2, 5, 3), torch.tensor([0, 5])
    loss, normals = chamfer_distance(
        x, x, none, None, x, x, batch_reduction=None, point_reduction=None, single_directional=False
    )
    assert not loss[0].any() and not loss[1].any()
    assert not normals[0][0].any() and (normals[1][0] == 1).all()
    torch.testing.assert_close(normals[0][1], torch.zeros(5), rtol=0, atol=1e-6)


def test_weights_that_are_all_zero() -> None:
    x = torch.rand(2, 5, 3)
    loss, normals = chamfer_distance(x, x + 1, x_normals=x, y_normals=x, weights=torch.zeros(2))
    assert loss == 0 and normals == 0


def test_other_arguments_that_cannot_be() -> None:
    feats, points = torch.rand(2, 3, 4, 4), torch.rand(2, 5, 3)
    for call, message in (
        (lambda: unchecked(vert_align)([], points), "at least one feature map"),
        (lambda: unchecked(vert_align)(feats[:1], points), r"features must be \[N C H W\] with N = 2"),
        (lambda: unchecked(vert_align)(feats, points[0]), r"vertices must be \[N V 3\] or Meshes"),
        (lambda: GraphConv(3, 4, init="ones"), "init must be one of 'normal', 'zero', got 'ones'"),
        (lambda: unchecked(gather_scatter)(points[0], FACE), r"edges must be \[E 2\], got \[1, 3\]"),
        (lambda: mesh_laplacian_smoothing(mesh(), "angles"), "method must be one of 'uniform', 'cot', 'cotcurv'"),
        (lambda: ico_sphere(-1), "level of a sphere must be 0 or more"),
        (lambda: knn_points(points, points, K=0), "K must be at least 1"),
        (lambda: unchecked(knn_gather)(points, torch.zeros((1, 5, 1), dtype=torch.int64)), "as many clouds expected"),
        (lambda: SubdivideMeshes(ico_sphere(0))(mesh()), "all have the faces of the one given to SubdivideMeshes"),
        (lambda: SubdivideMeshes(Meshes.from_lists([], [])), "a mesh expected whose faces all others share, got none"),
        (lambda: SubdivideMeshes()(mesh(), points[0]), "a row of features for each of 3 vertices expected, got 5"),
        (lambda: sample_points_from_meshes(mesh(), 5, return_textures=True), "meshes have no textures"),
        (lambda: unchecked(cubify)(feats, 0.5, feats=feats), r"feats must be \[N K D H W\]"),
    ):
        with pytest.raises(InputError, match=message):
            call()
