"""Graph convolutions and features at vertices, held against what pytorch3d gave."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenekit_plugins.meshes.ops import GraphConv, gather_scatter, vert_align
from tests.plugins.mesh_ops.reference import cases, load, meshes_of

REFERENCE = load("p3d_graphconv_vertalign")


def close(found: Tensor | None, name: str) -> None:
    assert found is not None
    torch.testing.assert_close(found, REFERENCE[name], rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("case", [case for case in cases(REFERENCE, "graphconv_") if "|" in case])
def test_graph_convolutions_are_those_of_pytorch3d(case: str) -> None:
    weights = {name: REFERENCE[f"{case}/{name.replace('.', '_')}"] for name in GraphConv(1, 1).state_dict()}
    out_dim, in_dim = weights["w0.weight"].shape
    conv = GraphConv(in_dim, out_dim, directed="directed=True" in case)
    conv.load_state_dict(weights)
    x = REFERENCE[f"{case}/x"].clone().requires_grad_()
    y = conv(x, REFERENCE[f"{case}/edges"])
    close(y, f"{case}/y")
    y.backward(REFERENCE[f"{case}/grad_out"])
    close(x.grad, f"{case}/grad_x")
    for name, parameter in conv.named_parameters():
        close(parameter.grad, f"{case}/grad_{name.replace('.', '_')}")


def test_how_graph_convolutions_start() -> None:
    normal, zero = (GraphConv(200, 200, init=init) for init in ("normal", "zero"))
    assert abs(normal.w0.weight.std().item() - 0.01) < 1e-3 and abs(normal.w1.weight.std().item() - 0.01) < 1e-3
    assert not normal.w0.bias.any() and not normal.w1.bias.any()
    assert not zero.w0.weight.any() and not zero.w1.weight.any()
    assert 0 < zero.w0.bias.abs().max() <= 200**-0.5


def test_no_vertices_and_no_edges() -> None:
    conv, edges = GraphConv(3, 5), torch.zeros((0, 2), dtype=torch.int64)
    assert conv(torch.zeros(0, 3), edges).shape == (0, 5)
    torch.testing.assert_close(conv(torch.ones(2, 3), edges), conv.w0(torch.ones(2, 3)))


def test_along_directed_edges_and_back() -> None:
    x, edges = torch.tensor([[1.0], [10.0], [100.0]]), torch.tensor([[0, 1], [0, 2], [2, 2]])
    assert gather_scatter(x, edges, directed=True)[:, 0].tolist() == [110, 0, 100]
    assert gather_scatter(x, edges, directed=True, backward=True)[:, 0].tolist() == [0, 1, 101]


@pytest.mark.parametrize("case", cases(REFERENCE, "vert_align|"))
def test_aligned_features_are_those_of_pytorch3d(case: str) -> None:
    _, mode, padding, corners = case.split("|")
    feats = [REFERENCE["va_in/feat0"], REFERENCE["va_in/feat1"]]
    settings = {"interp_mode": mode, "padding_mode": padding, "align_corners": corners.endswith("True")}
    found = vert_align(feats, REFERENCE["va_in/verts"], **settings)
    close(found, f"{case}/out")
    packed = vert_align(feats, REFERENCE["va_in/verts"], return_packed=True, **settings)
    assert torch.equal(packed, found.flatten(0, 1))


def test_features_at_the_vertices_of_meshes() -> None:
    feat = REFERENCE["va_in/feat0"].clone().requires_grad_()
    meshes = meshes_of(REFERENCE, "va_mesh")
    found = vert_align(feat, meshes, return_packed=True, padding_mode="border", align_corners=True)
    close(found, "va_mesh/out")
    found.backward(REFERENCE["va_mesh/grad_out"])
    close(feat.grad, "va_mesh/grad_feat")
    padded = vert_align(feat, meshes, padding_mode="border", align_corners=True)
    assert torch.equal(padded[meshes.verts_mask()], found) and not padded[~meshes.verts_mask()].any()
