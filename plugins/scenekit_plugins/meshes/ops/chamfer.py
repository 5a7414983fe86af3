"""How far apart two batches of points are. Letters: N clouds, P and Q points of each, D coordinates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit_plugins.meshes.ops.checks import (
    PointReduction,
    Reduction,
    Term,
    check_clouds,
    check_normals_and_weights,
    check_reductions,
)
from scenekit_plugins.meshes.ops.neighbors import (
    distances,
    knn_gather,
    lengths_of,
    mutual_nearest,
    nearest_points,
)


def chamfer_distance(
    x: Float[Tensor, "N P D"],
    y: Float[Tensor, "N Q D"],
    x_lengths: Int[Tensor, " N"] | None = None,
    y_lengths: Int[Tensor, " N"] | None = None,
    x_normals: Float[Tensor, "N P D"] | None = None,
    y_normals: Float[Tensor, "N Q D"] | None = None,
    weights: Float[Tensor, " N"] | None = None,
    batch_reduction: Reduction = "mean",
    point_reduction: PointReduction = "mean",
    norm: int = 2,
    single_directional: bool = False,
    abs_cosine: bool = True,
) -> tuple[Term, Term | None]:
    """Compute the chamfer distance of clouds, and that of normals or None: from each point to the nearest other one.

    A point's distance is the squared length (norm 2) or the sum of absolute differences (norm 1), and that of normals
    1 - |cos|, or 1 - cos without `abs_cosine`. `point_reduction` is over a cloud, by its own length; the two directions
    are added ("max": the greater counts), unless `single_directional`, which goes from x to y. None leaves a pair
    (of x, of y), zero beyond the lengths. `batch_reduction` is over clouds, "mean" by the sum of their `weights`.
    Points beyond a length count for nothing; to a cloud without points the distance is 0, and that of normals 1.
    Equations 2 and 3 of Gkioxari et al., Mesh R-CNN. Memory does not grow with P x Q.
    """
    check_reductions(batch_reduction, point_reduction, x_normals is not None or y_normals is not None)
    check_clouds(x, y, x_lengths, y_lengths, norm)
    check_normals_and_weights(x, y, x_normals, y_normals, weights)
    first, second = _Clouds(x, x_lengths, x_normals), _Clouds(y, y_lengths, y_normals)
    if single_directional:
        to_y, _ = nearest_points(x, y, x_lengths, y_lengths, norm, 1)
        ways = [_Way(first, second, to_y)]
    else:
        to_y, to_x = (rows[..., None] for rows in mutual_nearest(x, y, x_lengths, y_lengths, norm))
        ways = [_Way(first, second, to_y), _Way(second, first, to_x)]
    reduce = _Reduction(weights, batch_reduction, point_reduction)
    loss = reduce([(way.distances(norm), way.start) for way in ways])
    if x_normals is None or y_normals is None:
        return loss, None
    return loss, reduce([(way.normal_distances(abs_cosine), way.start) for way in ways])


class _Clouds(NamedTuple):
    """Points [N P D], how many of each cloud count (None: all), and their normals."""

    points: Tensor
    lengths: Tensor | None
    normals: Tensor | None

    def counted(self) -> Bool[Tensor, "N P"]:
        """Return which points count."""
        rows = torch.arange(self.points.shape[1], device=self.points.device)
        return rows < self.counts()[:, None]

    def counts(self) -> Int[Tensor, " N"]:
        """Return how many points of each cloud count."""
        return lengths_of(self.points, self.lengths)


class _Way(NamedTuple):
    """From the points of one batch of clouds to the `nearest` [N P 1] rows of the other."""

    start: _Clouds
    goal: _Clouds
    nearest: Tensor

    def distances(self, norm: int) -> Float[Tensor, "N P"]:
        """Return distances of positions; 0 for points that do not count, and where there is no other point."""
        there = knn_gather(self.goal.points, self.nearest)[:, :, 0]
        return _where(self._real(), distances(self.start.points, there, norm))

    def normal_distances(self, abs_cosine: bool) -> Float[Tensor, "N P"]:
        """Return distances of normals; 0 for points that do not count, 1 where there is no other point."""
        assert self.start.normals is not None and self.goal.normals is not None
        there = knn_gather(self.goal.normals, self.nearest)[:, :, 0]
        cosine = F.cosine_similarity(self.start.normals, there, dim=2, eps=1e-6)
        cosine = _where(self._real(), cosine.abs() if abs_cosine else cosine)
        return _where(self.start.counted(), 1 - cosine)

    def _real(self) -> Bool[Tensor, "N P"]:
        return self.start.counted() & (self.goal.counts() > 0)[:, None]


class _Reduction(NamedTuple):
    """How distances of points become those of clouds, and these one number."""

    weights: Tensor | None
    over_batch: Reduction
    over_points: PointReduction

    def __call__(self, ways: list[tuple[Float[Tensor, "N _"], _Clouds]]) -> Term:
        """Reduce distances of one direction or both."""
        found = [self._of_clouds(self._weighted(value), clouds) for value, clouds in ways]
        if self.over_points is None:
            return (found[0], found[1]) if len(found) == 2 else found[0]
        both = torch.stack(found)
        return self._of_batch(both.amax(dim=0) if self.over_points == "max" else both.sum(dim=0))

    def _weighted(self, value: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
        return value if self.weights is None else value * self.weights[:, None]

    def _of_clouds(self, value: Float[Tensor, "N P"], clouds: _Clouds) -> Tensor:
        if self.over_points is None:
            return value
        if self.over_points == "max":
            return value.amax(dim=1)
        return value.sum(dim=1) if self.over_points == "sum" else value.sum(dim=1) / clouds.counts().clamp(min=1)

    def _of_batch(self, value: Float[Tensor, " N"]) -> Tensor:
        if self.over_batch is None:
            return value
        if self.over_batch == "sum":
            return value.sum()
        total = max(len(value), 1) if self.weights is None else self.weights.sum()
        return value.sum() / (total if isinstance(total, int) else torch.where(total == 0, 1, total))


def _where(condition: Tensor, value: Tensor) -> Tensor:
    return torch.where(condition, value, 0)
