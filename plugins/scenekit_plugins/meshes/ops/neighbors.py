"""Nearest points by comparing all pairs, a tile at a time. Letters: B clouds, P points of the first, Q of the second,
D coordinates, K neighbors, U columns of values to gather, R rows and M columns of a tile, T points of a block.

The least of many distances is found in two steps, as a minimum without its place takes a tenth of the time: first the
block in which it lies, then the place within. A tile has at most `TILE` distances, or `BLOCK` rows of them, so that
memory grows with the number of points alone, not of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit_plugins.meshes.ops.checks import KNN, check_neighbors

BLOCK = 64
TILE = {"cpu": 2**19, "cuda": 2**26}
"""Distances at once: on a CPU those that its cache holds."""


def knn_points(
    p1: Float[Tensor, "B P D"],
    p2: Float[Tensor, "B Q D"],
    lengths1: Int[Tensor, " B"] | None = None,
    lengths2: Int[Tensor, " B"] | None = None,
    norm: int = 2,
    K: int = 1,
    version: int = -1,
    return_nn: bool = False,
    return_sorted: bool = True,
) -> KNN:
    """Return the `K` points of the second cloud that are nearest to each of the first, nearest first.

    Only the first `lengths1[b]` and `lengths2[b]` points of a cloud count. Where there are fewer than K, distance,
    index and point are 0; for rows beyond the first cloud's length distance and index are. Distances have gradients.
    `version` and `return_sorted` change nothing here: they choose among pytorch3d's kernels.
    """
    check_neighbors(p1, p2, lengths1, lengths2, norm, K)
    idx, valid = nearest_points(p1, p2, lengths1, lengths2, norm, K)
    points = knn_gather(p2, idx, lengths2)
    dists = torch.where(valid, distances(p1[:, :, None], points, norm), 0)
    return KNN(dists, idx, points if return_nn else None)


def knn_gather(
    x: Float[Tensor, "B Q U"], idx: Int[Tensor, "B P K"], lengths: Int[Tensor, " B"] | None = None
) -> Float[Tensor, "B P K U"]:
    """Return rows of x by the indices of `knn_points`; zeros in places beyond `lengths`, those of the second cloud.

    Without `lengths` all rows of x count.
    """
    if len(x) != len(idx):
        raise InputError(f"values and indices of as many clouds expected, got {len(x)} and {len(idx)}")
    B, P, K = idx.shape
    rows = (idx + torch.arange(B, device=idx.device)[:, None, None] * x.shape[1]).view(-1)
    found = x.reshape(-1, x.shape[2]).index_select(0, rows).view(B, P, K, x.shape[2])
    if lengths is None and x.shape[1] >= K:
        return found
    beyond = torch.arange(K, device=x.device) >= lengths_of(x, lengths)[:, None]
    return found.masked_fill(beyond[:, None, :, None], 0)


def distances(a: Float[Tensor, "*#N D"], b: Float[Tensor, "*#N D"], norm: int) -> Float[Tensor, "*N"]:
    """Return squared lengths (norm 2), or sums of absolute differences (norm 1)."""
    difference = a - b
    return difference.square().sum(dim=-1) if norm == 2 else difference.abs().sum(dim=-1)


@torch.no_grad()
def nearest_points(
    x: Float[Tensor, "B P D"],
    y: Float[Tensor, "B Q D"],
    x_lengths: Int[Tensor, " B"] | None,
    y_lengths: Int[Tensor, " B"] | None,
    norm: int,
    K: int,
) -> tuple[Int[Tensor, "B P K"], Tensor]:
    """Return rows of y nearest to each point of x, and which of them [B P K] exist; the rest are 0."""
    rows, columns = _filled(x, x_lengths, x.shape[1]), _filled(y, y_lengths, max(y.shape[1], K)).mT.contiguous()
    idx = x.new_zeros((len(x), rows.shape[1], K), dtype=torch.int64)
    for clouds, part in tiles(rows, columns):
        tile = pairwise(rows[clouds, part], columns[clouds], norm)
        idx[clouds, part] = _least_of_rows(tile, K)
    valid = torch.arange(K, device=x.device) < lengths_of(y, y_lengths)[:, None, None]
    valid = valid & (torch.arange(x.shape[1], device=x.device) < lengths_of(x, x_lengths)[:, None])[..., None]
    return idx[:, : x.shape[1]] * valid, valid


@torch.no_grad()
def mutual_nearest(
    x: Float[Tensor, "B P D"],
    y: Float[Tensor, "B Q D"],
    x_lengths: Int[Tensor, " B"] | None,
    y_lengths: Int[Tensor, " B"] | None,
    norm: int,
) -> tuple[Int[Tensor, "B P"], Int[Tensor, "B Q"]]:
    """Return the row of y nearest to each point of x, and the other way round, in one pass of all pairs.

    Rows of points beyond their length, and of clouds without any, mean nothing.
    """
    rows, columns = _filled(x, x_lengths, x.shape[1]), _filled(y, y_lengths, y.shape[1]).mT.contiguous()
    to_y = x.new_zeros((len(x), rows.shape[1]), dtype=torch.int64)
    least = columns.new_full((len(x), columns.shape[2]), torch.inf)
    block = least.new_zeros(least.shape, dtype=torch.int64)
    for clouds, part in tiles(rows, columns):
        tile = pairwise(rows[clouds, part], columns[clouds], norm)
        to_y[clouds, part] = _least_of_rows(tile, 1)[..., 0]
        found, where = tile.view(len(tile), -1, BLOCK, tile.shape[2]).amin(dim=2).min(dim=1)
        better = found < least[clouds]
        least[clouds] = torch.where(better, found, least[clouds])
        block[clouds] = torch.where(better, where + part.start // BLOCK, block[clouds])
    to_x = _least_of_blocks(rows, columns, block, norm)
    return to_y[:, : x.shape[1]].clamp(max=y.shape[1] - 1), to_x[:, : y.shape[1]].clamp(max=x.shape[1] - 1)


def pairwise(rows: Float[Tensor, "B R D"], columns: Float[Tensor, "B D M"], norm: int) -> Float[Tensor, "B R M"]:
    """Return distances of all pairs, as in `distances`; one coordinate at a time, so that near ones lose no digits."""
    difference = rows[:, :, 0, None] - columns[:, None, 0]
    total = difference.mul_(difference) if norm == 2 else difference.abs_()
    for axis in range(1, rows.shape[2]):
        difference = rows[:, :, axis, None] - columns[:, None, axis]
        if norm == 2:
            total.addcmul_(difference, difference)
        else:
            total.add_(difference.abs_())
    return total


def lengths_of(cloud: Tensor, lengths: Tensor | None) -> Int[Tensor, " B"]:
    """Return how many points of each cloud count."""
    return torch.full((len(cloud),), cloud.shape[1], device=cloud.device) if lengths is None else lengths


def _filled(cloud: Float[Tensor, "B P D"], lengths: Tensor | None, least: int) -> Float[Tensor, "B T D"]:
    """Return whole blocks of points in single precision or better, those beyond the length infinitely far."""
    count = -(-max(least, 1) // BLOCK) * BLOCK
    cloud = cloud if cloud.dtype == torch.float64 else cloud.float()
    if lengths is not None:
        beyond = torch.arange(cloud.shape[1], device=cloud.device) >= lengths[:, None]
        cloud = cloud.masked_fill(beyond[..., None], torch.inf)
    return F.pad(cloud, (0, 0, 0, count - cloud.shape[1]), value=torch.inf).contiguous()


def tiles(rows: Float[Tensor, "B P D"], columns: Float[Tensor, "B D Q"]) -> Iterator[tuple[slice, slice]]:
    """Return clouds and rows whose distances to all columns are computed together."""
    budget = TILE["cuda" if rows.is_cuda else "cpu"]
    count, width = rows.shape[1], columns.shape[2]
    height = min(count, max(budget // width // BLOCK, 1) * BLOCK)
    group = max(budget // (height * width), 1)
    for cloud in range(0, len(rows), group):
        for start in range(0, count, height):
            yield slice(cloud, cloud + group), slice(start, start + height)


def _least_of_rows(tile: Float[Tensor, "B R M"], K: int) -> Int[Tensor, "B R K"]:
    """Return columns of the K least distances, ascending: they lie in the K blocks whose least ones are least."""
    blocks = tile.view(*tile.shape[:2], -1, BLOCK)
    block = _least(blocks.amin(dim=3), min(K, blocks.shape[2]))
    inside = torch.arange(BLOCK, device=tile.device)
    candidates = (block[..., None] * BLOCK + inside).flatten(2)
    return candidates.gather(2, _least(tile.gather(2, candidates), K))


def _least_of_blocks(
    rows: Float[Tensor, "B P D"], columns: Float[Tensor, "B D Q"], block: Int[Tensor, "B Q"], norm: int
) -> Int[Tensor, "B Q"]:
    """Return the nearest row to each column, of the block of rows in which it lies; a tile of distances at once."""
    B, P, D = rows.shape
    blocks, points = rows.view(-1, BLOCK, D), columns.mT.reshape(-1, 1, D)
    number = (block + torch.arange(B, device=block.device)[:, None] * (P // BLOCK)).view(-1)
    size = max(TILE["cuda" if rows.is_cuda else "cpu"] // BLOCK, 1)
    inside = [
        distances(blocks.index_select(0, some), near, norm).argmin(dim=1)
        for some, near in zip(torch.split(number, size), torch.split(points, size), strict=True)
    ]
    return block * BLOCK + torch.cat(inside).view_as(block)


def _least(values: Float[Tensor, "B R M"], K: int) -> Int[Tensor, "B R K"]:
    return values.argmin(dim=2, keepdim=True) if K == 1 else values.topk(K, dim=2, largest=False).indices
