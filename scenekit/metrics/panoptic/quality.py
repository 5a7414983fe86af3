"""Panoptic quality by the official protocol (Kirillov et al., "Panoptic Segmentation", CVPR 2019; `panopticapi`).

Letters: H W image.

A predicted and a ground-truth segment match when they have one category and IoU > 0.5, strictly; at most one partner is
then possible. Pixels of the prediction on void (id 0 of the ground truth) leave the union. Crowd segments neither match
nor count as missed. An unmatched prediction is no false positive where more than half of it lies on void and on crowd
of its own category. PQ of a category = sum of IoU / (TP + FP/2 + FN/2) = SQ * RQ; averages run over the categories with
TP + FP + FN > 0.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Integer

from scenekit.errors import InputError
from scenekit.metrics.common import ratio, to_numpy, unique_names

VOID = 0
"""The id of pixels without annotation."""

_OFFSET = 1 << 32  # ids are below 2^24 in PNG files; a pair of ids fits into 64 bits


@dataclass(frozen=True)
class PanopticCategory:
    """A category of segments.

    Attributes:
        name: Its name.
        is_thing: Whether its segments are countable objects; else it is stuff.
    """

    name: str
    is_thing: bool


@dataclass(frozen=True)
class SegmentInfo:
    """One segment of an id map.

    Attributes:
        id: The value of its pixels.
        category_id: Its category.
        area: Pixels; None: counted in the map. The official program reads that of the ground truth from its JSON.
        crowd: Whether it is a group of objects.
    """

    id: int
    category_id: int
    area: int | None = None
    crowd: bool = False


@dataclass
class Counts:
    """Counts of one category.

    Attributes:
        iou: The sum over matched pairs.
        tp: True positives.
        fp: False positives.
        fn: False negatives.
    """

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        self.iou, self.tp = self.iou + other.iou, self.tp + other.tp
        self.fp, self.fn = self.fp + other.fp, self.fn + other.fn
        return self

    @property
    def present(self) -> bool:
        """Whether the category is a part of averages."""
        return self.tp + self.fp + self.fn > 0

    @property
    def quality(self) -> tuple[float, float, float]:
        """PQ, SQ, RQ; zeros where there is nothing to measure, as the official program prints."""
        if not self.present:
            return 0.0, 0.0, 0.0
        denominator = self.tp + 0.5 * self.fp + 0.5 * self.fn
        return self.iou / denominator, self.iou / self.tp if self.tp else 0.0, self.tp / denominator


class PanopticQuality:
    """Accumulates pairs of id maps; `result` gives PQ, SQ, RQ as fractions.

    Args:
        categories: By id.
        crowds: Of several crowd segments of one category in an image, the official program ignores predictions on the
            "last" one only (the default, for equal numbers); "all" ignores those on every one.
    """

    def __init__(self, categories: Mapping[int, PanopticCategory], crowds: Literal["last", "all"] = "last") -> None:
        self.categories = dict(categories)
        self.crowds = crowds
        self.counts: dict[int, Counts] = defaultdict(Counts)

    def update(
        self,
        targets: Any,
        target_segments: Iterable[SegmentInfo],
        prediction: Any,
        predicted_segments: Iterable[SegmentInfo],
    ) -> None:
        """Add one image.

        Args:
            targets: Id map of the ground truth: integer array or tensor [H, W].
            target_segments: What its ids mean.
            prediction: Id map of the prediction.
            predicted_segments: What its ids mean.

        Raises:
            InputError: Maps differ in size, a category is unknown, an id is repeated, or predicted ids are not both in
                the map and in the list.
        """
        pair = _Pair.read(targets, target_segments, prediction, predicted_segments)
        for segment in (*pair.targets.values(), *pair.predicted.values()):
            if segment.category_id not in self.categories:
                raise InputError(f"segment {segment.id} has the unknown category {segment.category_id}")
        for category, counts in pair.counts(self.crowds).items():
            self.counts[category] += counts

    def merge(self, other: "PanopticQuality") -> None:
        """Add the images of another instance.

        Args:
            other: One of the same categories and crowd rule.

        Raises:
            InputError: Categories or crowd rules differ.
        """
        if (other.categories, other.crowds) != (self.categories, self.crowds):
            raise InputError("panoptic scores of different categories or crowd rules cannot be merged")
        for category, counts in other.counts.items():
            self.counts[category] += counts

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            PQ, SQ, RQ over all categories, the same with `_th` over things and `_st` over stuff. `n`, `n_th`, `n_st`
            count the averaged categories; without any the averages are NaN. `per_class` maps names to PQ, SQ, RQ, iou
            (sum over matches), tp, fp, fn; a category that never occurred has zeros there.
        """
        names = unique_names({i: category.name for i, category in self.categories.items()})
        things = {i for i, category in self.categories.items() if category.is_thing}
        return {
            **self._average(self.categories.keys(), ""),
            **self._average(things, "_th"),
            **self._average(self.categories.keys() - things, "_st"),
            "per_class": {name: _row(self.counts.get(i, Counts())) for i, name in names.items()},
        }

    def _average(self, ids: Collection[int], suffix: str) -> dict[str, float | int]:
        rows = [self.counts[i].quality for i in sorted(ids) if i in self.counts and self.counts[i].present]
        sums = [sum(column, 0.0) for column in zip(*rows, strict=True)] or [0.0, 0.0, 0.0]
        means = {
            f"{name}{suffix}": ratio(total, len(rows)) for name, total in zip(("PQ", "SQ", "RQ"), sums, strict=True)
        }
        return {**means, f"n{suffix}": len(rows)}


def _row(counts: Counts) -> dict[str, float | int]:
    pq, sq, rq = counts.quality
    return {"PQ": pq, "SQ": sq, "RQ": rq, "iou": counts.iou, "tp": counts.tp, "fp": counts.fp, "fn": counts.fn}


@dataclass(frozen=True)
class _Pair:
    """The segments of one image with their areas, and the pixels that each pair of ids (targets, predicted) shares."""

    targets: Mapping[int, SegmentInfo]
    predicted: Mapping[int, SegmentInfo]
    overlap: Mapping[tuple[int, int], int]

    @classmethod
    def read(
        cls,
        targets: Any,
        target_segments: Iterable[SegmentInfo],
        prediction: Any,
        predicted_segments: Iterable[SegmentInfo],
    ) -> "_Pair":
        targets, prediction = _id_map("ground-truth", targets), _id_map("predicted", prediction)
        if targets.shape != prediction.shape:
            raise InputError(
                f"a panoptic map of {_size(prediction)} was predicted for one of {_size(targets)} (height x width)"
            )
        target_areas, predicted_areas = _areas(targets), _areas(prediction)
        annotated = _by_id("ground-truth", target_segments)
        predicted = _by_id("predicted", predicted_segments)
        _check_prediction(predicted, predicted_areas)
        return cls(
            {i: s if s.area is not None else replace(s, area=target_areas.get(i, 0)) for i, s in annotated.items()},
            {i: replace(s, area=predicted_areas[i]) for i, s in predicted.items()},
            {divmod(pair, _OFFSET): n for pair, n in _areas(targets * _OFFSET + prediction).items()},
        )

    def counts(self, crowds: Literal["last", "all"]) -> dict[int, Counts]:
        """Return what this image adds to each category."""
        counts: dict[int, Counts] = defaultdict(Counts)
        matched = self._matches()
        for (target_id, _), iou in matched.items():
            counts[self.targets[target_id].category_id] += Counts(iou=iou, tp=1)
        matched_targets, matched_predictions = {t for t, _ in matched}, {p for _, p in matched}
        for segment in self.targets.values():
            if segment.id not in matched_targets and not segment.crowd:
                counts[segment.category_id] += Counts(fn=1)
        crowd_ids = self._crowds(crowds)
        for segment in self.predicted.values():
            ignored = sum(self.overlap.get((other, segment.id), 0) for other in (VOID, *crowd_ids[segment.category_id]))
            if segment.id not in matched_predictions and ignored / _area(segment) <= 0.5:
                counts[segment.category_id] += Counts(fp=1)
        return counts

    def _matches(self) -> dict[tuple[int, int], float]:
        """Return the IoU of each matched pair of ids."""
        matches = {}
        for (target_id, predicted_id), shared in self.overlap.items():
            if target_id not in self.targets or predicted_id not in self.predicted:
                continue
            target, predicted = self.targets[target_id], self.predicted[predicted_id]
            if target.crowd or target.category_id != predicted.category_id:
                continue
            union = _area(predicted) + _area(target) - shared - self.overlap.get((VOID, predicted_id), 0)
            # a union without pixels is that of a ground truth whose stated area is too small; it matches nothing
            if union > 0 and shared / union > 0.5:
                matches[target_id, predicted_id] = shared / union
        return matches

    def _crowds(self, crowds: Literal["last", "all"]) -> dict[int, list[int]]:
        """Return the crowd segments of each category on which predictions are ignored."""
        ids: dict[int, list[int]] = defaultdict(list)
        for segment in self.targets.values():
            if segment.crowd:
                kept = ids[segment.category_id] if crowds == "all" else []
                ids[segment.category_id] = [*kept, segment.id]
        return ids


def _area(segment: SegmentInfo) -> int:
    assert segment.area is not None, "areas are filled in when a pair is read"
    return segment.area


def _id_map(whose: str, ids: Any) -> Integer[np.ndarray, "H W"]:
    array = to_numpy(ids)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise InputError(f"a {whose} panoptic map must be integers [H, W], not {array.dtype} {list(array.shape)}")
    if array.size and not 0 <= array.min() <= array.max() < _OFFSET // 2:
        raise InputError(f"ids of a {whose} panoptic map must be 0 to 2^31 - 1, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


def _areas(ids: npt.NDArray[np.int64]) -> dict[int, int]:
    values, counts = np.unique(ids, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _size(array: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape))


def _by_id(whose: str, segments: Iterable[SegmentInfo]) -> dict[int, SegmentInfo]:
    by_id: dict[int, SegmentInfo] = {}
    for segment in segments:
        if segment.id in by_id:
            raise InputError(f"the {whose} segment id {segment.id} is listed twice")
        by_id[segment.id] = segment
    return by_id


def _check_prediction(segments: Mapping[int, SegmentInfo], areas: Mapping[int, int]) -> None:
    if unlisted := sorted(areas.keys() - segments.keys() - {VOID}):
        raise InputError(f"the predicted map holds the segment id {unlisted[0]}, which its list of segments lacks")
    if missing := sorted(segments.keys() - areas.keys()):
        raise InputError(f"the predicted segment {missing[0]} is listed but has no pixel in the map")
