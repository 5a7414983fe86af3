"""Average precision of 3D boxes by Omni3D's protocol (Brazil et al., Omni3D, CVPR 2023), and of their 2D boxes.

Letters: G ground-truth objects, D detections of one image and category, T thresholds of IoU, R points of recall.

The rules are COCO's, with the IoU of volumes: of each image and category the 100 detections of the highest score
match, one after another, the free object that they overlap most; those of ignored objects count neither way. AP is the
mean of precision at 101 points of recall, over the thresholds 0.05, 0.10, ..., 0.50 in 3D and 0.50, 0.55, ..., 0.95 in
2D. In place of COCO's areas stand depths: near to 10 m, medium to 35 m, far. Not Omni3D's, but in the same way, is the
average precision seen from above, with the IoU of footprints.

Objects that cannot be judged fairly are ignored, see `Omni3DFilter`. Where not everything is labelled, `proximity` also
leaves out detections that are close to no object of their category in the image (IoU of the 2D boxes up to 0.3), and
only pairs that are close may match; in images without such an object all detections count, as in the authors' program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError
from scenekit.metrics.checks import decimals
from scenekit.metrics.common import box_iou, match, ratio
from scenekit.ops.boxes3d import footprints
from scenekit.ops.iou3d import bev_overlap, box3d_overlap, is_box3d

Mode = Literal["2D", "3D", "BEV"]
MODES: tuple[Mode, ...] = ("2D", "3D")
"""Omni3D's own."""

_THRESHOLDS_3D = np.linspace(0.05, 0.5, 10)
THRESHOLDS: Mapping[Mode, np.ndarray] = {"2D": np.linspace(0.5, 0.95, 10), "3D": _THRESHOLDS_3D, "BEV": _THRESHOLDS_3D}
SINGLE: Mapping[Mode, Sequence[int]] = {"2D": (50, 75, 95), "3D": (15, 25, 50), "BEV": (15, 25, 50)}
"""Thresholds, in percent, at which AP is reported alone."""

_DEPTHS = {"": (0.0, 1e5), "n": (0.0, 10.0), "m": (10.0, 35.0), "f": (35.0, 1e5)}
RANGES: Mapping[Mode, Mapping[str, tuple[float, float]]] = {
    "2D": {"": (0.0, 1e10), "s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)},
    "3D": _DEPTHS,
    "BEV": _DEPTHS,
}
"""Square pixels, and metres of depth."""

RECALLS = np.linspace(0, 1, 101)
MOST_DETECTIONS = (1, 10, 100)
_EPS = 1e-3
"""Tolerance of corners as a share of the diagonal of their box: files round them."""

CLOSE = 0.3
"""IoU in the image above which a detection is close to an object."""


@dataclass(frozen=True)
class Omni3DFilter:
    """Which ground-truth objects are ignored.

    Objects behind the camera, without a valid 3D box, without a point of lidar or segmentation, or with an error of
    depth above 0.5 are always ignored.

    Attributes:
        truncation: From this share beyond the image on.
        visibility: Up to this visible share.
        min_height: Up to this height, as a share of the image's.
        max_height: From this height on, as a share of the image's.
        max_depth: Beyond this depth in metres.
    """

    truncation: float = 0.33333333
    visibility: float = 0.33333333
    min_height: float = 1 / 16
    max_height: float = 1.5
    max_depth: float = 1e8


@dataclass(frozen=True, eq=False)
class Omni3DObjects:
    """The boxes of one image and category.

    Attributes:
        boxes: xyxy pixels.
        corners: Metres, in the order of `Boxes3D.corners`.
        depths: Of the centers, in metres.
        ignored: Which ground-truth objects count neither way.
        scores: Of detections.
    """

    boxes: Float[np.ndarray, "N 4"]
    corners: Float[np.ndarray, "N 8 3"]
    depths: Float[np.ndarray, " N"]
    ignored: Bool[np.ndarray, " N"]
    scores: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.depths)

    def rows(self, rows: Int[np.ndarray, " M"]) -> Omni3DObjects:
        """Return some of them.

        Args:
            rows: Which ones.

        Returns:
            The objects of these rows.
        """
        return Omni3DObjects(
            self.boxes[rows], self.corners[rows], self.depths[rows], self.ignored[rows], self.scores[rows]
        )

    def extents(self, mode: Mode) -> Float[np.ndarray, " N"]:
        """Return what `RANGES` limit.

        Args:
            mode: "2D", "3D" or "BEV".

        Returns:
            Areas (square pixels) in "2D", else depths (metres).
        """
        return (self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1) if mode == "2D" else self.depths


class Omni3DAP:
    """Accumulates images; `result` gives fractions.

    Args:
        categories: Their names.
        proximity: Leave out detections that are close to no object; only close pairs match.
        modes: The IoU that AP is measured by.
    """

    def __init__(self, categories: Sequence[str], proximity: bool = False, modes: Sequence[Mode] = MODES) -> None:
        self.categories, self.proximity, self.modes = tuple(categories), proximity, tuple(modes)
        self._pairs: dict[str, list[_Pair]] = {name: [] for name in self.categories}

    def update(self, category: str, targets: Omni3DObjects, prediction: Omni3DObjects) -> None:
        """Add the objects of one category in one image.

        Args:
            category: Its name.
            targets: The ground truth.
            prediction: The detections.

        Raises:
            InputError: A score is not finite.
        """
        decimals("scores", prediction.scores)
        order = np.argsort(-prediction.scores, kind="stable")[: MOST_DETECTIONS[-1]]
        kept = prediction.rows(order)
        needed = {*self.modes, *(("2D",) if self.proximity else ())}
        iou = {mode: overlaps(kept, targets) for mode, overlaps in _IOU.items() if mode in needed}
        if self.proximity:
            close = iou["2D"] > CLOSE
            iou = {mode: np.where(close, values, 0) for mode, values in iou.items()}
        self._pairs[category].append(_Pair(targets, kept, iou))

    def merge(self, other: Omni3DAP) -> None:
        """Add the images of another instance.

        Args:
            other: One of the same categories, modes and rule of proximity.

        Raises:
            InputError: Categories, modes or rules of proximity differ.
        """
        mine, theirs = ((each.categories, each.proximity, each.modes) for each in (self, other))
        if mine != theirs:
            raise InputError("AP of different categories, modes or rules of proximity cannot be merged")
        for name, pairs in self._pairs.items():
            pairs += other._pairs[name]

    def result(self) -> dict[str, dict[str, Any]]:
        """Compute AP.

        Returns:
            By mode: AP, AP at single thresholds (AP25), by range (APn), recall (AR100), and `per_category_AP`; NaN
            where there is nothing to measure.
        """
        return {mode: self._scores(mode) for mode in self.modes}

    def _scores(self, mode: Mode) -> dict[str, Any]:
        thresholds = THRESHOLDS[mode]
        curves = {name: self._curves(mode, limits, 100) for name, limits in RANGES[mode].items()}
        everything = curves[""]
        scores = {"AP": _mean(precision for precision, _ in everything.values())}
        for percent in SINGLE[mode]:
            place = int(np.abs(thresholds - percent / 100).argmin())
            scores[f"AP{percent}"] = _mean(precision[place] for precision, _ in everything.values())
        scores |= {f"AP{name}": _mean(p for p, _ in curve.values()) for name, curve in curves.items() if name}
        for most in MOST_DETECTIONS:
            scores[f"AR{most}"] = _mean(r for _, r in self._curves(mode, RANGES[mode][""], most).values())
        scores |= {f"AR{name}": _mean(r for _, r in curve.values()) for name, curve in curves.items() if name}
        return {**scores, "per_category_AP": {name: _mean([p]) for name, (p, _) in everything.items()}}

    def per_category(self, mode: Mode) -> dict[str, dict[int, float]]:
        """Compute AP of each category at the single thresholds.

        Args:
            mode: "2D", "3D" or "BEV".

        Returns:
            Fractions by category and percent.
        """
        places = {percent: int(np.abs(THRESHOLDS[mode] - percent / 100).argmin()) for percent in SINGLE[mode]}
        return {
            name: {percent: _mean([precision[place]]) for percent, place in places.items()}
            for name, (precision, _) in self._curves(mode, RANGES[mode][""], MOST_DETECTIONS[-1]).items()
        }

    def _curves(
        self, mode: Mode, limits: tuple[float, float], most: int
    ) -> dict[str, tuple[Float[np.ndarray, "T 101"], Float[np.ndarray, " T"]]]:
        """Compute precision at each point of recall and the highest recall, per category, at each threshold."""
        return {
            name: _curve([_judged(pair, mode, limits, most, self.proximity) for pair in pairs], len(THRESHOLDS[mode]))
            for name, pairs in self._pairs.items()
        }


@dataclass(frozen=True, eq=False)
class _Pair:
    targets: Omni3DObjects
    prediction: Omni3DObjects
    iou: Mapping[Mode, Float[np.ndarray, "D G"]]


@dataclass(frozen=True, eq=False)
class _Judged:
    """Detections by falling score: whether they match an object, whether they count; and how many objects count."""

    scores: Float[np.ndarray, " D"]
    matched: Bool[np.ndarray, "T D"]
    counted: Bool[np.ndarray, "T D"]
    objects: int


def _judged(pair: _Pair, mode: Mode, limits: tuple[float, float], most: int, proximity: bool) -> _Judged:
    outside = [(o.extents(mode) < limits[0]) | (o.extents(mode) > limits[1]) for o in (pair.targets, pair.prediction)]
    ignored = pair.targets.ignored | outside[0]
    rows = match(pair.iou[mode][:most], ignored, THRESHOLDS[mode])
    matched = rows >= 0
    left_out = outside[1][:most]
    if proximity and len(ignored):
        left_out = left_out | (pair.iou["2D"][:most].max(axis=1, initial=0) <= CLOSE)
    counted = np.where(matched, np.append(~ignored, False)[rows], ~left_out)
    return _Judged(pair.prediction.scores[:most], matched, counted, int((~ignored).sum()))


def _curve(judged: Sequence[_Judged], T: int) -> tuple[Float[np.ndarray, "T 101"], Float[np.ndarray, " T"]]:
    objects = sum(each.objects for each in judged)
    if not objects:
        return np.full((T, len(RECALLS)), np.nan), np.full(T, np.nan)
    order = np.argsort(-np.concatenate([each.scores for each in judged]), kind="stable")
    matched = np.concatenate([each.matched for each in judged], axis=1)[:, order]
    counted = np.concatenate([each.counted for each in judged], axis=1)[:, order]
    tp, fp = (np.cumsum(hits & counted, axis=1, dtype=float) for hits in (matched, ~matched))
    recall = tp / objects
    precision = tp / np.maximum(tp + fp, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.pad(precision, ((0, 0), (0, 1)))
    places = np.stack([np.searchsorted(row, RECALLS, side="left") for row in recall])
    return np.take_along_axis(padded, places, axis=1), recall.max(axis=1, initial=0)


def _iou_3d(a: Omni3DObjects, b: Omni3DObjects) -> Float[np.ndarray, "D G"]:
    """Compute the IoU of volumes; 0 for boxes without volume, such as those of objects without a valid 3D box."""
    iou = np.zeros((len(a), len(b)))
    if iou.size:
        corners = [torch.from_numpy(objects.corners) for objects in (a, b)]
        rows, columns = (is_box3d(each, _EPS) for each in corners)
        cells = np.ix_(rows.numpy(), columns.numpy())
        iou[cells] = box3d_overlap(corners[0][rows], corners[1][columns], _EPS)[1].numpy()
    return iou


def _iou_bev(a: Omni3DObjects, b: Omni3DObjects) -> Float[np.ndarray, "D G"]:
    """Compute the IoU of footprints; 0 for boxes without volume."""
    iou = np.zeros((len(a), len(b)))
    if iou.size:
        corners = [torch.from_numpy(objects.corners) for objects in (a, b)]
        rows, columns = (is_box3d(each, _EPS) for each in corners)
        prints = footprints(corners[0][rows]), footprints(corners[1][columns])
        iou[np.ix_(rows.numpy(), columns.numpy())] = bev_overlap(*prints)[1].numpy()
    return iou


_IOU: Mapping[Mode, Callable[[Omni3DObjects, Omni3DObjects], np.ndarray]] = {
    "2D": lambda a, b: box_iou(a.boxes, b.boxes),
    "3D": _iou_3d,
    "BEV": _iou_bev,
}


def _mean(values: Iterator[np.ndarray] | Sequence[np.ndarray]) -> float:
    """Return the mean of the values that are not NaN."""
    flat = np.concatenate([np.ravel(value) for value in values])
    known = flat[~np.isnan(flat)]
    return ratio(float(known.sum()), len(known))
