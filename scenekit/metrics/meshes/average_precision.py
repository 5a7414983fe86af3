"""Similarity of two surfaces by points on them, and the average precision of shapes: Mesh R-CNN's metrics.

Letters: S points of a surface, Q of them that are looked up, T thresholds, D detections, C classes.

Gkioxari et al., Mesh R-CNN, ICCV 2019, section 4. Chamfer-L2 is the sum of the mean squared distances to the nearest
point of the other surface, either way. Normal consistency is the mean cosine (or its absolute value) between the
normals there. Precision@t, recall@t and their harmonic mean F1@t, in percent, count the predicted and the ground-truth
points that are nearer than t to the other surface.

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
"""Distances of precision, recall and F1, where the longest edge of the ground-truth bounding box is 10."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Points on a surface, evenly spread.

    Attributes:
        points: In any unit.
        normals: Unit normals at the points.
        queries: The number of points that are looked up on other surfaces (all, if None): a sample suffices for means
            over them, while the distance to a surface needs all of its points.
    """

    points: Float[np.ndarray, "S 3"]
    normals: Float[np.ndarray, "S 3"]
    queries: int | None = None

    @cached_property
    def tree(self) -> cKDTree:
        """A search tree for the nearest of the points."""
        return cKDTree(self.points)

    def nearest(
        self, other: Surface, scale: float = 1.0, limit: float = np.inf
    ) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
        """Look up the points of this surface on another one.

        Args:
            other: The surface on which the nearest points are searched.
            scale: A factor for the points of this surface.
            limit: Beyond this distance the distance is infinite and the cosine NaN.

        Returns:
            Distances to the nearest points, and cosines of the normals there.
        """
        distances, rows = other.tree.query(self.points[: self.queries] * scale, distance_upper_bound=limit)
        near = np.isfinite(distances)
        cosines = np.einsum("qi,qi->q", self.normals[: self.queries], other.normals[np.where(near, rows, 0)])
        return distances, np.where(near, cosines, np.nan)


def surface_metrics(
    predicted: Surface,
    target: Surface,
    thresholds: Sequence[float] = THRESHOLDS,
    scales: tuple[float, float] = (1.0, 1.0),
    limit: float = np.inf,
) -> dict[str, float]:
    """Compute Mesh R-CNN's metrics of two surfaces.

    Args:
        predicted: The predicted surface.
        target: The ground-truth surface.
        thresholds: Distances t after scaling.
        scales: Factors for the predicted and for the ground-truth surface.
        limit: A distance after scaling, at or above all thresholds, beyond which no point is searched, which is
            quicker: only Precision@t, Recall@t and F1@t are computed.

    Returns:
        Chamfer-L2, NormalConsistency, AbsNormalConsistency, and Precision@t, Recall@t, F1@t in percent.
    """
    own, other = scales
    to_target, cosines = predicted.nearest(target, own / other, limit / other)
    to_predicted, other_cosines = target.nearest(predicted, other / own, limit / own)
    to_target, to_predicted = to_target * other, to_predicted * own
    metrics: dict[str, float] = {}
    if limit == np.inf:
        metrics["Chamfer-L2"] = float((to_target**2).mean() + (to_predicted**2).mean())
        metrics["NormalConsistency"] = float((cosines.mean() + other_cosines.mean()) / 2)
        metrics["AbsNormalConsistency"] = float((np.abs(cosines).mean() + np.abs(other_cosines).mean()) / 2)
    for t in thresholds:
        precision, recall = (100 * float((distances < t).mean()) for distances in (to_target, to_predicted))
        metrics |= {f"Precision@{t:g}": precision, f"Recall@{t:g}": recall}
        metrics[f"F1@{t:g}"] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return metrics


def all_point_ap(scores: Float[np.ndarray, " D"], hits: Bool[np.ndarray, " D"], objects: int) -> float:
    """Compute the area under the falling envelope of precision over recall: Pascal VOC's AP since 2010.

    Args:
        scores: Of the detections.
        hits: Whether each detection is right.
        objects: The number of ground-truth objects.

    Returns:
        A fraction; NaN where there is no object.
    """
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(hits[order])
    precision = tp / np.arange(1, len(order) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(tp, prepend=0)
    return ratio(float((falling * gained).sum()), objects)


class ShapeAP:
    """Accumulates detections that are right or wrong; `result` gives AP by class.

    Args:
        classes: Their names, by label.
    """

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
        """Add one image.

        Args:
            objects: Labels of the ground-truth objects.
            labels: Of the detections that count.
            scores: Of these detections.
            hits: Whether each of them is right.
        """
        self.objects = self.objects + np.bincount(objects, minlength=len(self.classes))
        self._rows.append((labels, scores, hits))

    def merge(self, other: ShapeAP) -> None:
        """Add the images of another instance.

        Args:
            other: One of the same classes.
        """
        self.objects = self.objects + other.objects
        self._rows += other._rows

    def result(self) -> Mapping[str, float]:
        """Compute AP.

        Returns:
            Fractions by class; NaN for classes without an object.
        """
        empty = (np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=bool))
        labels, scores, hits = (np.concatenate(parts) for parts in zip(empty, *self._rows, strict=True))
        return {
            name: all_point_ap(scores[labels == label], hits[labels == label], int(self.objects[label]))
            for label, name in enumerate(self.classes)
        }
