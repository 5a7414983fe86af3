"""Nearest points and chamfer distances, held against what pytorch3d gave."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenekit_plugins.meshes.ops import chamfer_distance, knn_points
from tests.plugins.mesh_ops.reference import cases, load, options

REFERENCE = load("p3d_points")
VALUES = {"None": None, "True": True, "False": False, "1": 1, "2": 2}


def close(found: Tensor, case: str, name: str) -> None:
    torch.testing.assert_close(found, REFERENCE[f"{case}/{name}"], rtol=1e-5, atol=1e-6)


def given(name: str, wanted: bool) -> Tensor | None:
    return REFERENCE[f"in/{name}"] if wanted else None


@pytest.mark.parametrize("case", cases(REFERENCE, "chamfer|"))
def test_chamfer_distances_are_those_of_pytorch3d(case: str) -> None:
    chosen = options(case)
    lengths, normals, weights = (chosen.pop(name) == "1" for name in ("len", "nrm", "w"))
    x, y = (REFERENCE[f"in/{name}"].clone().requires_grad_() for name in "xy")
    loss, loss_normals = chamfer_distance(
        x,
        y,
        given("x_lengths", lengths),
        given("y_lengths", lengths),
        given("x_normals", normals),
        given("y_normals", normals),
        given("weights", weights),
        **{name: VALUES.get(value, value) for name, value in chosen.items()},
    )
    for term, names in (
        (loss, ("loss", "loss_x", "loss_y")),
        (loss_normals, ("loss_normals", "normals_x", "normals_y")),
    ):
        if isinstance(term, tuple):
            for one, name in zip(term, names[1:], strict=True):
                close(one, case, name)
        elif term is not None:
            close(term, case, names[0] if f"{case}/{names[0]}" in REFERENCE else names[1])
    assert (loss_normals is not None) == normals
    if f"{case}/grad_x" in REFERENCE:
        total = loss if loss_normals is None else loss + loss_normals
        total.backward()
        close(x.grad, case, "grad_x")
        close(y.grad, case, "grad_y")


@pytest.mark.parametrize("case", cases(REFERENCE, "knn|"))
def test_neighbors_are_those_of_pytorch3d(case: str) -> None:
    chosen = {name: int(value) for name, value in options(case).items()}
    lengths = bool(chosen.pop("len"))
    found = knn_points(
        REFERENCE["in/x"],
        REFERENCE["in/y"],
        given("x_lengths", lengths),
        given("y_lengths", lengths),
        **chosen,
        return_nn=True,
    )
    close(found.dists, case, "dists")
    close(found.knn, case, "knn")
    assert torch.equal(found.idx, REFERENCE[f"{case}/idx"])


def test_neighbors_in_the_plane_and_at_equal_distance() -> None:
    for case in ("knn_dim", "knn_ties"):
        found = knn_points(REFERENCE[f"{case}/x"], REFERENCE[f"{case}/y"], K=REFERENCE[f"{case}/dists"].shape[2])
        close(found.dists, case, "dists")
    assert torch.equal(knn_points(REFERENCE["knn_dim/x"], REFERENCE["knn_dim/y"], K=2).idx, REFERENCE["knn_dim/idx"])
