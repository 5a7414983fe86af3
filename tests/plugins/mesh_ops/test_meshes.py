"""Losses, subdivision, spheres and samples of meshes, held against what pytorch3d gave."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenekit_plugins.meshes.ops import (
    SubdivideMeshes,
    ico_sphere,
    mesh_edge_loss,
    mesh_face_areas_normals,
    mesh_laplacian_smoothing,
    mesh_normal_consistency,
    sample_points_from_meshes,
)
from tests.plugins.mesh_ops.reference import load, meshes_of, packed

REFERENCE = load("p3d_meshes")
SETS = ["ico1", "tetra", "patch", "torus", "fan3", "batch", "degenerate", "isolated_vertex"]
SAMPLES = 20_000


def close(found: Tensor | None, name: str, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    assert found is not None
    torch.testing.assert_close(found, REFERENCE[name], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("suffix, length", [("t0", 0.0), ("t0p3", 0.3)])
def test_edge_lengths(name: str, suffix: str, length: float) -> None:
    meshes = meshes_of(REFERENCE, name)
    loss = mesh_edge_loss(meshes, target_length=length)
    close(loss, f"{name}/edge_loss_{suffix}")
    loss.backward()
    close(meshes.verts.grad, f"{name}/edge_loss_{suffix}_grad")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method, rtol", [("uniform", 2e-5), ("cot", 1e-3), ("cotcurv", 1e-3)])
def test_laplacian_smoothing(name: str, method: str, rtol: float) -> None:
    meshes = meshes_of(REFERENCE, name)
    loss = mesh_laplacian_smoothing(meshes, method)
    close(loss, f"{name}/laplacian_{method}", rtol)
    loss.backward()
    close(meshes.verts.grad, f"{name}/laplacian_{method}_grad", rtol)


@pytest.mark.parametrize("name", SETS)
def test_normal_consistency(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    loss = mesh_normal_consistency(meshes)
    close(loss, f"{name}/normal_consistency")
    loss.backward()
    close(meshes.verts.grad, f"{name}/normal_consistency_grad")


@pytest.mark.parametrize("name", SETS)
def test_losses_in_double_precision(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    meshes = meshes.with_verts(meshes.verts.double())
    for loss, case in ((mesh_edge_loss, "edge_loss_t0"), (mesh_normal_consistency, "normal_consistency")):
        torch.testing.assert_close(loss(meshes), REFERENCE[f"{name}/{case}_f64"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_areas_and_normals(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    areas, normals = mesh_face_areas_normals(meshes.verts, meshes.faces_packed())
    close(areas, f"{name}/face_areas")
    close(normals, f"{name}/face_normals")


@pytest.mark.parametrize("level", range(4))
def test_spheres(level: int) -> None:
    sphere, case = ico_sphere(level), f"ico_sphere{level}"
    close(sphere.verts, f"{case}/verts")
    assert torch.equal(sphere.faces, REFERENCE[f"{case}/faces"])
    assert torch.equal(sphere.edges_packed(), REFERENCE[f"{case}/edges"])


@pytest.mark.parametrize("name", ["tetra", "patch", "batch"])
def test_subdivision(name: str) -> None:
    meshes, feats = meshes_of(REFERENCE, name), REFERENCE[f"subdivide|{name}/feats_in"]
    finer, finer_feats = SubdivideMeshes()(meshes, feats)
    close(finer_feats, f"subdivide|{name}/feats_out")
    for case, found in ((f"subdivide|{name}", finer), (f"subdivide2x|{name}", SubdivideMeshes()(finer))):
        expected = meshes_of(REFERENCE, case)
        torch.testing.assert_close(found.verts, expected.verts, rtol=2e-5, atol=2e-6)
        assert torch.equal(found.faces, expected.faces)
        assert torch.equal(found.verts_offset, expected.verts_offset)
        assert torch.equal(found.faces_offset, expected.faces_offset)


@pytest.mark.parametrize("with_template", [True, False])
@pytest.mark.parametrize("by_mesh", [True, False])
def test_subdivision_of_meshes_that_share_their_faces(with_template: bool, by_mesh: bool) -> None:
    case, sphere = "subdivide|homogeneous", ico_sphere(0)[[0, 0]]
    faces = REFERENCE[f"{case}/faces_in"]
    count = torch.full((3,), 12), torch.full((3,), len(faces))
    meshes = packed(REFERENCE[f"{case}/verts_in"], faces.repeat(3, 1), *count)
    given = REFERENCE[f"{case}/feats_in"]
    finer, feats = SubdivideMeshes(sphere if with_template else None)(
        meshes, given.unflatten(0, (3, 12)) if by_mesh else given
    )
    close(finer.verts, f"{case}/verts")
    close(feats, f"{case}/feats_out")
    assert torch.equal(finer.faces, REFERENCE[f"{case}/faces"])


@pytest.mark.parametrize("name", ["patch", "batch", "degenerate"])
def test_samples_are_even_over_the_surface(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    points, normals = sample_points_from_meshes(meshes, SAMPLES, return_normals=True)
    for found, mean in ((points, "mean_f64"), (normals, "mean_normal_f64")):
        spread = found.var(dim=1).double().clamp(min=1e-9)
        error = (found.mean(dim=1).double() - REFERENCE[f"sample|{name}/{mean}"]).abs()
        assert (error <= 5 * (spread / SAMPLES).sqrt() + 1e-6).all()
    centered = (points - points.mean(dim=1, keepdim=True)).double()
    covariance = centered.mT @ centered / SAMPLES
    torch.testing.assert_close(covariance, REFERENCE[f"sample|{name}/cov_f64"], rtol=0.05, atol=0.01)


@pytest.mark.parametrize("name", ["patch", "batch", "degenerate"])
def test_samples_lie_on_faces_and_have_their_normals(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    points, normals = sample_points_from_meshes(meshes, 50, return_normals=True)
    corners = meshes.verts[meshes.faces_packed()].detach()
    owner = meshes.faces_packed_to_mesh_idx()
    unit = REFERENCE[f"{name}/face_normals"]
    for n in range(len(meshes)):
        for point, normal in zip(points[n], normals[n], strict=True):
            on_face = inside(point.detach(), corners) & (owner == n)
            assert (on_face & torch.isclose(unit, normal, atol=1e-5).all(dim=1)).any()


def inside(point: Tensor, corners: Tensor) -> Tensor:
    """Which triangles [F 3 3] the point lies in."""
    a, b, c = corners.unbind(dim=1)
    area = [torch.linalg.cross(p - point, q - point).norm(dim=1) for p, q in ((a, b), (b, c), (c, a))]
    return (sum(area) - torch.linalg.cross(b - a, c - a).norm(dim=1)).abs() < 1e-4


def test_gradients_of_samples_go_to_the_vertices() -> None:
    meshes = meshes_of(REFERENCE, "batch")
    points, normals = sample_points_from_meshes(meshes, 100, return_normals=True)
    (points.sum() + normals[..., 0].sum()).backward()
    grad = meshes.verts.grad
    assert grad is not None and torch.isfinite(grad).all()
    torch.testing.assert_close(grad[:, 1:].sum(), torch.tensor(600.0), rtol=1e-2, atol=0)
