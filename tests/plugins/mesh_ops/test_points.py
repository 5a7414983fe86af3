"""Nearest points and chamfer distances, held against what pytorch3d gave."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenekit_plugins.meshes.ops import chamfer_distance, current_backend, knn_gather, knn_points, neighbors
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


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("tile", [1, 3 * 64 * 256, 2**19])
def test_many_points_in_tiles_of_any_size(norm: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(neighbors.TILE, "cpu", tile)
    x, y = torch.rand(3, 150, 3) + 100, torch.rand(3, 230, 3) + 100
    x_lengths, y_lengths = torch.tensor([150, 70, 1]), torch.tensor([200, 230, 65])
    every = (x[:, :, None] - y[:, None]).abs().pow(norm).sum(dim=3)
    every[torch.arange(230) >= y_lengths[:, None, None].expand(-1, 150, 1)] = torch.inf
    found = knn_points(x, y, x_lengths, y_lengths, norm=norm, K=65)
    loss, _ = chamfer_distance(
        x, y, x_lengths, y_lengths, norm=norm, batch_reduction=None, point_reduction=None, single_directional=False
    )
    for b, length in enumerate(x_lengths):
        nearest = every[b, :length].topk(65, largest=False).values
        torch.testing.assert_close(found.dists[b, :length], nearest)
        torch.testing.assert_close(loss[0][b, :length], nearest[:, 0])
        back = every[b, :length].amin(dim=0)[: y_lengths[b]]
        torch.testing.assert_close(loss[1][b, : y_lengths[b]], back)
        assert not found.dists[b, length:].any() and not found.idx[b, length:].any()
        assert not loss[1][b, y_lengths[b] :].any()


@pytest.mark.parametrize("count", [128, 130])
def test_clouds_need_not_lie_in_memory_as_they_are_read(count: int) -> None:
    x, y = torch.rand(2, 3, count).mT, torch.rand(2, 3, 64).mT
    found, expected = (chamfer_distance(a, b)[0] for a, b in ((x, y), (x.contiguous(), y.contiguous())))
    assert found == expected and torch.equal(knn_points(x, y).idx, knn_points(x.contiguous(), y.contiguous()).idx)


def test_tiles_keep_to_their_size() -> None:
    cloud = torch.zeros(2, 64 * 300, 3)
    tiles = list(neighbors.tiles(cloud, cloud.mT))
    assert all(64 * 300 * (part.stop - part.start) <= 2 * 64 * 300 * 64 for _, part in tiles)
    assert sum(part.stop - part.start for _, part in tiles) == 2 * 64 * 300
    assert max((part.stop - part.start) * 64 * 300 for _, part in tiles) <= max(neighbors.TILE["cpu"], 64 * 64 * 300)


def test_no_clouds_at_all() -> None:
    if current_backend() == "pytorch3d":
        pytest.skip("pytorch3d compares no batch without clouds")
    x, y = torch.rand(0, 5, 3), torch.rand(0, 6, 3)
    loss, normals = chamfer_distance(x, y, x_normals=x, y_normals=y)
    assert loss == 0 and normals == 0
    assert chamfer_distance(x, y, single_directional=True)[0] == 0
    found = knn_points(x, y, K=2, return_nn=True)
    assert found.dists.shape == found.idx.shape == (0, 5, 2) and found.knn.shape == (0, 5, 2, 3)


def test_rows_by_their_indices() -> None:
    x, idx = torch.arange(12.0).view(2, 3, 2), torch.tensor([[[2, 0]], [[1, 1]]])
    assert knn_gather(x, idx).tolist() == [[[[4, 5], [0, 1]]], [[[8, 9], [8, 9]]]]
    assert knn_gather(x, idx, torch.tensor([1, 2])).tolist() == [[[[4, 5], [0, 0]]], [[[8, 9], [8, 9]]]]


@pytest.mark.parametrize("lengths", [None, [3, 3], [1, 3], [2, 1]])
def test_more_neighbors_than_points(lengths: list[int] | None) -> None:
    """Distance, index and point are 0 in the places beyond the second cloud, whose first point is not 0."""
    x, y = torch.rand(2, 4, 3) + 1, torch.rand(2, 3, 3) + 5
    found = knn_points(x, y, lengths2=None if lengths is None else torch.tensor(lengths), K=5, return_nn=True)
    for b, count in enumerate(lengths or [3, 3]):
        assert not any(value[b, :, count:].any() for value in (found.dists, found.idx, found.knn))
        rows = found.idx[b, :, :count]
        assert all(sorted(row) == list(range(count)) for row in rows.tolist())
        torch.testing.assert_close(found.knn[b, :, :count], y[b][rows])
        torch.testing.assert_close(found.dists[b, :, :count], (x[b, :, None] - y[b][rows]).square().sum(dim=-1))


def test_more_rows_than_there_are() -> None:
    x, idx = torch.arange(1.0, 5).view(1, 2, 2), torch.tensor([[[1, 0, 0]]])
    assert knn_gather(x, idx).tolist() == [[[[3, 4], [1, 2], [0, 0]]]]
    assert knn_gather(x, idx, torch.tensor([1])).tolist() == [[[[3, 4], [0, 0], [0, 0]]]]


def test_gradients_of_distances() -> None:
    x, y = (torch.rand(2, 9, 3, dtype=torch.float64).requires_grad_() for _ in "xy")
    if current_backend() == "torch":  # pytorch3d has single precision only
        torch.autograd.gradcheck(lambda a, b: knn_points(a, b, K=2).dists, (x, y))
        torch.autograd.gradcheck(lambda a, b: chamfer_distance(a, b, x_normals=a, y_normals=b), (x, y))
