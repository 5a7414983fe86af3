"""How alike two surfaces are, by points on them, and the average precision of shapes: Mesh R-CNN's metrics.

Letters: S points of a surface, Q of them that are looked up, T thresholds, D detections, C classes.

Gkioxari et al., Mesh R-CNN, ICCV 2019, section 4. Chamfer-L2 is the sum of the mean squared distances to the nearest
point of the other surface, either way. Normal consistency is the mean cosine (or its absolute value) between the
normals there. Precision@t, recall@t and their harmonic mean F1@t, in percent, count the found and the true points that
are nearer than t to the other surface.

Points thin out with few samples: at 10,000 points, which are the authors', even equal surfaces do not reach 100 at
small t. Values of other numbers of samples cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from scenekit.metrics.common import ratio

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Distances of precision, recall and F1, where the longest edge of the true bounding box is 10."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Points on a surface, evenly spread, and unit normals there.

    The first `queries` of them (all, if None) are looked up on other surfaces: a sample of the points suffices for
    means over them, while the distance to a surface needs all of its points.
    """

    points: Float[np.ndarray, "S 3"]
    normals: Float[np.ndarray, "S 3"]
    queries: int | None = None

    @cached_property
    def tree(self) -> cKDTree:
        """To find the nearest of the points."""
        return cKDTree(self.points)

    def nearest(
        self, other: Surface, scale: float = 1.0, limit: float = np.inf
    ) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
        """(Distance, cosine of the normals) of this surface's points, scaled, and the nearest ones of the other.

        Beyond `limit` the distance is infinite and the cosine NaN.
        """
        distances, rows = other.tree.query(self.points[: self.queries] * scale, distance_upper_bound=limit)
        found = np.isfinite(distances)
        cosines = np.einsum("qi,qi->q", self.normals[: self.queries], other.normals[np.where(found, rows, 0)])
        return distances, np.where(found, cosines, np.nan)


def surface_metrics(
    found: Surface,
    true: Surface,
    thresholds: Sequence[float] = THRESHOLDS,
    scales: tuple[float, float] = (1.0, 1.0),
    limit: float = np.inf,
) -> dict[str, float]:
    """Chamfer-L2, NormalConsistency, AbsNormalConsistency, and Precision@t, Recall@t, F1@t in percent.

    `scales` are those of the found and of the true surface. With a `limit`, in the unit of the thresholds, at or above
    all of them, only the last three are there: no point is looked for farther away, which is quicker.
    """
    ours, theirs = scales
    to_true, cosines = found.nearest(true, ours / theirs, limit / theirs)
    to_found, other_cosines = true.nearest(found, theirs / ours, limit / ours)
    to_true, to_found = to_true * theirs, to_found * ours
    metrics: dict[str, float] = {}
    if limit == np.inf:
        metrics["Chamfer-L2"] = float((to_true**2).mean() + (to_found**2).mean())
        metrics["NormalConsistency"] = float((cosines.mean() + other_cosines.mean()) / 2)
        metrics["AbsNormalConsistency"] = float((np.abs(cosines).mean() + np.abs(other_cosines).mean()) / 2)
    for t in thresholds:
        precision, recall = (100 * float((distances < t).mean()) for distances in (to_true, to_found))
        metrics |= {f"Precision@{t:g}": precision, f"Recall@{t:g}": recall}
        metrics[f"F1@{t:g}"] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return metrics


def all_point_ap(scores: Float[np.ndarray, " D"], hits: Bool[np.ndarray, " D"], objects: int) -> float:
    """The area under precision, made to fall, over recall: Pascal VOC's since 2010. NaN where there is no object."""
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(hits[order])
    precision = true / np.arange(1, len(order) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(true, prepend=0)
    return ratio(float((falling * gained).sum()), objects)


class ShapeAP:
    """Accumulates detections that are right or wrong; `result` gives AP by class and its mean over classes."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.objects: Int[np.ndarray, " C"] = np.zeros(len(self.classes), dtype=np.int64)
        self._rows: list[tuple[Int[np.ndarray, " D"], Float[np.ndarray, " D"], Bool[np.ndarray, " D"]]] = []

    def update(
        self,
        objects: Int[np.ndarray, " _"],
        labels: Int[np.ndarray, " D"],
        scores: Float[np.ndarray, " D"],
        hits: Bool[np.ndarray, " D"],
    ) -> None:
        """Add an image: the labels of its true objects, and detections that count, right (`hits`) or wrong."""
        self.objects = self.objects + np.bincount(objects, minlength=len(self.classes))
        self._rows.append((labels, scores, hits))

    def merge(self, other: ShapeAP) -> None:
        """Add what another process accumulated over other images."""
        self.objects = self.objects + other.objects
        self._rows += other._rows

    def result(self) -> Mapping[str, float]:
        """AP by class; NaN for classes without an object."""
        empty = (np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=bool))
        labels, scores, hits = (np.concatenate(parts) for parts in zip(empty, *self._rows, strict=True))
        return {
            name: all_point_ap(scores[labels == label], hits[labels == label], int(self.objects[label]))
            for label, name in enumerate(self.classes)
        }
