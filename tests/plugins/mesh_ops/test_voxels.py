"""Surfaces of voxel grids, held against what pytorch3d gave."""

from __future__ import annotations

import inspect

import pytest
import torch

from scenekit.errors import InputError
from scenekit_plugins.meshes.ops import cubify
from tests.plugins.mesh_ops.reference import cases, load

REFERENCE = load("p3d_cubify")
CASES = [case for case in cases(REFERENCE, "") if "|" in case]


@pytest.mark.parametrize("case", CASES)
def test_surfaces_are_those_of_pytorch3d(case: str) -> None:
    name, thresh, align = case.split("|")
    meshes = cubify(REFERENCE[f"vox_{name}/voxels"], float(thresh.removeprefix("thr")), align=align)
    torch.testing.assert_close(meshes.verts, REFERENCE[f"{case}/verts"], rtol=0, atol=1e-6)
    assert torch.equal(meshes.faces, REFERENCE[f"{case}/faces"])
    assert torch.equal(meshes.num_verts_per_mesh(), REFERENCE[f"{case}/num_verts"])
    assert torch.equal(meshes.num_faces_per_mesh(), REFERENCE[f"{case}/num_faces"])


@pytest.mark.parametrize("align", ["center", "corner"])
def test_faces_have_the_features_of_their_cells(align: str) -> None:
    voxels, feats = REFERENCE["vox_feats/voxels"], REFERENCE["vox_feats/feats"].clone().requires_grad_()
    meshes, found = cubify(voxels, 0.5, feats=feats, align=align)
    torch.testing.assert_close(found, REFERENCE["feats|thr0.5|center/face_feats"])
    found.sum().backward()
    assert feats.grad is not None and feats.grad.sum() == len(meshes.faces) * feats.shape[1]


@pytest.mark.parametrize("align", ["topleft", "corner", "center"])
def test_normals_point_outwards(align: str) -> None:
    meshes = cubify((torch.rand(3, 5, 4, 6) > 0.5).float(), 0.5, align=align)
    a, b, c = meshes.verts[meshes.faces_packed()].unbind(dim=1)
    volume = (a * torch.linalg.cross(b, c)).sum(dim=1) / 6
    assert (torch.zeros(3).index_add(0, meshes.faces_packed_to_mesh_idx(), volume) > 0).all()


def test_a_grid_with_nothing_in_it_gives_a_mesh_with_nothing_in_it() -> None:
    voxels = torch.zeros(2, 3, 3, 3)
    voxels[1, 0] = torch.nan
    meshes = cubify(voxels, 0.5)
    assert len(meshes) == 2 and len(meshes.verts) == 0 and meshes.isempty()


def test_no_grids_give_no_meshes() -> None:
    assert len(cubify(torch.zeros(0, 3, 3, 3), 0.5)) == 0


@pytest.mark.parametrize(
    "shape, align, message",
    [
        ((3, 3, 3), "corner", r"voxels must be \[N D H W\], got a tensor of shape \[3, 3, 3\]"),
        ((1, 0, 3, 3), "corner", "at least 1 cells along each axis"),
        ((1, 3, 1, 3), "topleft", r"at least 2 cells along each axis expected for align='topleft', got \[3, 1, 3\]"),
        ((1, 3, 3, 3), "middle", "align must be one of 'topleft', 'corner', 'center', got 'middle'"),
    ],
)
def test_grids_that_cannot_be(shape: tuple[int, ...], align: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inspect.unwrap(cubify)(torch.zeros(shape), 0.5, align=align)
