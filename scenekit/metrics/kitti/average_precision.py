"""Average precision by KITTI's protocol: 2D boxes, orientation, seen from above, and 3D.

Letters: G ground-truth objects, D detections of one image, T thresholds of the score.

Geiger et al., Are we ready for Autonomous Driving?, CVPR 2012, and the benchmark's program. Ground-truth objects
are matched to detections one after another, in the order of the file, and each detection is matched once:

* Objects too small, too hidden or too truncated for a difficulty, and classes that look alike (a van for cars, a
  sitting person for pedestrians), are ignored: they match detections without counting. So are small detections.
* A first pass gives each object the detection of the highest score; the scores of these matches make up to 41
  thresholds, at which recall grows in equal steps. With fewer than 41 objects there are fewer, and even perfect
  detections stay below 100: that is the official behavior.
* A second pass, at each threshold, gives each object the detection that overlaps it most.
* In 2D, false positives inside a region marked DontCare do not count.

AP11 is the mean of the best precision at or beyond recalls 0, 0.1, ..., 1; AP40 that at 1/40, 2/40, ..., 1 (Simonelli
et al., Disentangling Monocular 3D Object Detection, ICCV 2019). Overlaps must be above the minimum, not equal to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError
from scenekit.metrics.checks import decimals
from scenekit.metrics.common import box_iou, ratio
from scenekit.ops.boxes3d import turned_rectangles
from scenekit.ops.iou3d import bev_overlap

Metric = Literal["2D", "BEV", "3D"]
METRICS: tuple[Metric, ...] = get_args(Metric)
SHOWN: Mapping[Metric, Sequence[str]] = {"2D": ("2D", "AOS"), "BEV": ("BEV",), "3D": ("3D",)}

CLASSES = ("Car", "Pedestrian", "Cyclist")
LOOK_ALIKE = {"Car": "Van", "Pedestrian": "Person_sitting"}
DONT_CARE = "DontCare"
TYPES = (*CLASSES, *LOOK_ALIKE.values(), "Truck", "Tram", "Misc", DONT_CARE)

MIN_OVERLAPS: Mapping[str, Mapping[str, Mapping[Metric, float]]] = {
    "Car": {"strict": {"2D": 0.7, "BEV": 0.7, "3D": 0.7}, "loose": {"2D": 0.7, "BEV": 0.5, "3D": 0.5}},
    **{
        name: {"strict": {"2D": 0.5, "BEV": 0.5, "3D": 0.5}, "loose": {"2D": 0.5, "BEV": 0.25, "3D": 0.25}}
        for name in ("Pedestrian", "Cyclist")
    },
}
"""The official ones are `strict`."""

SAMPLES = 41
"""The largest number of thresholds, and points of the curve of precision over recall."""

COUNTED, IGNORED, OTHER = 0, 1, -1
"""The role of an object or a detection for a class and difficulty."""


@dataclass(frozen=True)
class Difficulty:
    """The limits of objects that count.

    Attributes:
        name: "easy", "moderate" or "hard".
        min_height: Of the 2D box, in pixels; objects must be higher.
        max_occlusion: 0 to 3.
        max_truncation: 0 to 1.
    """

    name: str
    min_height: float
    max_occlusion: int
    max_truncation: float

    def exceeded(self, targets: KittiObjects) -> Bool[np.ndarray, " G"]:
        """Return which objects do not count.

        Args:
            targets: The objects of an image.

        Returns:
            Whether an object is too small, too hidden or truncated too far.
        """
        exceeded: Bool[np.ndarray, " G"] = (
            (targets.occluded > self.max_occlusion)
            | (targets.truncated > self.max_truncation)
            | (targets.heights <= self.min_height)
        )
        return exceeded


DIFFICULTIES = (
    Difficulty("easy", 40.0, 0, 0.15),
    Difficulty("moderate", 25.0, 1, 0.3),
    Difficulty("hard", 25.0, 2, 0.5),
)


@dataclass(frozen=True, eq=False)
class KittiObjects:
    """The objects of one image in the conventions of KITTI's text files.

    Attributes:
        names: Classes.
        truncated: 0 to 1.
        occluded: 0 visible, 1 partly, 2 largely hidden, 3 unknown.
        alphas: Observation angles, in radians.
        boxes: xyxy pixels.
        sizes: Height, width, length in metres.
        locations: The middle of the lower face in the camera frame, in metres.
        rotations: About the y axis of the camera, in radians.
        scores: Of detections only.
    """

    names: tuple[str, ...]
    truncated: Float[np.ndarray, " N"]
    occluded: Int[np.ndarray, " N"]
    alphas: Float[np.ndarray, " N"]
    boxes: Float[np.ndarray, "N 4"]
    sizes: Float[np.ndarray, "N 3"]
    locations: Float[np.ndarray, "N 3"]
    rotations: Float[np.ndarray, " N"]
    scores: Float[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def heights(self) -> Float[np.ndarray, " N"]:
        """Heights of the 2D boxes in pixels."""
        heights: Float[np.ndarray, " N"] = np.abs(self.boxes[:, 3] - self.boxes[:, 1])
        return heights

    def named(self, name: str) -> Bool[np.ndarray, " N"]:
        """Return which objects are of a class.

        Args:
            name: The class, in any case.

        Returns:
            Whether an object is of the class.
        """
        return np.array([other.lower() == name.lower() for other in self.names], dtype=bool)


class KittiAP:
    """Accumulates images; `result` gives the averages in percent."""

    def __init__(self) -> None:
        self._images: list[_Image] = []

    def update(self, targets: KittiObjects, prediction: KittiObjects) -> None:
        """Add one image.

        Args:
            targets: The ground truth.
            prediction: The detections.

        Raises:
            InputError: The detections have no scores, or one that is not finite.
        """
        if prediction.scores is None:
            raise InputError("detections need scores: 16 columns a line")
        scores = decimals("scores", prediction.scores)
        self._images.append(_Image(targets, prediction, scores, overlaps(targets, prediction)))

    def merge(self, other: KittiAP) -> None:
        """Add the images of another instance.

        Args:
            other: Another instance.
        """
        self._images += other._images

    def result(self) -> dict[str, float]:
        """Compute AP.

        Returns:
            Percent by names such as `KITTI/Car_3D_AP40_moderate_strict`: class, metric (2D, AOS, BEV, 3D), kind,
            difficulty, overlap. `KITTI/Overall_...` are the means over the classes that have objects of the
            difficulty, at the strict overlaps. NaN where there is no object of the class and difficulty.
        """
        averages: dict[str, float] = {}
        for name in CLASSES:
            for level, minima in MIN_OVERLAPS[name].items():
                for difficulty in DIFFICULTIES:
                    for metric in METRICS:
                        curves = self.curves(name, difficulty, metric, minima[metric])
                        for shown, curve in curves.items():
                            averages |= _averages(f"{name}_{shown}", f"{difficulty.name}_{level}", curve)
        return {f"KITTI/{name}": value for name, value in (averages | _over_classes(averages)).items()}

    def curves(
        self, name: str, difficulty: Difficulty, metric: Metric, min_overlap: float
    ) -> dict[str, Float[np.ndarray, " 41"]]:
        """Compute the best precision at or beyond each of 41 recalls.

        Args:
            name: The class.
            difficulty: Which objects count.
            metric: "2D", "BEV" or "3D".
            min_overlap: The IoU that a match must exceed.

        Returns:
            Fractions by metric; with "2D" also "AOS", of orientation.
        """
        cases = [_Case.of(image, name, difficulty, metric, min_overlap) for image in self._images]
        count = sum(int((case.targets == COUNTED).sum()) for case in cases)
        if not count:
            return {shown: np.full(SAMPLES, np.nan) for shown in SHOWN[metric]}
        thresholds = recall_thresholds(np.concatenate([_matched_scores(case) for case in cases]), count)
        sums = sum((_counts(case, thresholds) for case in cases), np.zeros((3, len(thresholds))))
        tp, fp, similarity = sums
        with np.errstate(invalid="ignore"):
            curves = (tp / (tp + fp), similarity / (tp + fp))
        return {shown: _envelope(curve) for shown, curve in zip(SHOWN[metric], curves, strict=False)}


def overlaps(targets: KittiObjects, prediction: KittiObjects) -> dict[Metric, Float[np.ndarray, "D G"]]:
    """Compute the IoU of every detection with every object.

    Args:
        targets: The ground truth.
        prediction: The detections.

    Returns:
        Fractions by metric; 0 for objects without a 3D box, such as DontCare.
    """
    bev, volume = _in_space(targets, prediction)
    return {"2D": box_iou(prediction.boxes, targets.boxes), "BEV": bev, "3D": volume}


def recall_thresholds(scores: Float[np.ndarray, " K"], count: int) -> Float[np.ndarray, " T"]:
    """Choose the scores at which recall comes closest to 0, 1/40, 2/40, ...

    Args:
        scores: Of the matched detections.
        count: The number of objects.

    Returns:
        Thresholds, falling.
    """
    falling, chosen, recall = np.sort(scores)[::-1], [], 0.0
    for i, score in enumerate(falling):
        last = i == len(falling) - 1
        here, next_ = (i + 1) / count, (i + (1 if last else 2)) / count
        if last or next_ - recall >= recall - here:
            chosen.append(score)
            recall += 1 / (SAMPLES - 1)
    return np.array(chosen)


@dataclass(frozen=True, eq=False)
class _Image:
    targets: KittiObjects
    prediction: KittiObjects
    scores: Float[np.ndarray, " D"]
    overlaps: Mapping[Metric, Float[np.ndarray, "D G"]]


@dataclass(frozen=True, eq=False)
class _Case:
    """An image for one class, difficulty and metric: the role of each object, and the detections that overlap it."""

    targets: Int[np.ndarray, " G"]
    prediction: Int[np.ndarray, " D"]
    scores: Float[np.ndarray, " D"]
    overlaps: Float[np.ndarray, "D G"]
    reaches: Bool[np.ndarray, "D G"]
    similarity: Float[np.ndarray, "D G"]
    ignored: Bool[np.ndarray, " D"]

    @classmethod
    def of(cls, image: _Image, name: str, difficulty: Difficulty, metric: Metric, min_overlap: float) -> _Case:
        targets, prediction = image.targets, image.prediction
        iou = image.overlaps[metric]
        turn = prediction.alphas[:, None] - targets.alphas
        inside = _inside_dont_care(targets, prediction) > min_overlap
        return cls(
            _roles_of_targets(targets, name, difficulty),
            _roles_of_detections(prediction, name, difficulty),
            image.scores,
            iou,
            iou > min_overlap,
            (1 + np.cos(turn)) / 2,
            inside if metric == "2D" else np.zeros_like(inside),
        )


def _roles_of_targets(targets: KittiObjects, name: str, difficulty: Difficulty) -> Int[np.ndarray, " G"]:
    own = targets.named(name)
    alike = targets.named(LOOK_ALIKE[name]) if name in LOOK_ALIKE else np.zeros_like(own)
    return np.where(own & ~difficulty.exceeded(targets), COUNTED, np.where(own | alike, IGNORED, OTHER))


def _roles_of_detections(prediction: KittiObjects, name: str, difficulty: Difficulty) -> Int[np.ndarray, " D"]:
    """Return the roles; small detections are ignored whatever their class is, as in the official program."""
    own = np.where(prediction.named(name), COUNTED, OTHER)
    return np.where(prediction.heights < difficulty.min_height, IGNORED, own)


def _matched_scores(case: _Case) -> Float[np.ndarray, " K"]:
    """Return, for the first pass, the scores of the detections that match counted objects."""
    free, scores = case.prediction != OTHER, []
    for i in np.flatnonzero(case.targets != OTHER):
        candidates = np.flatnonzero(free & case.reaches[:, i])
        if len(candidates):
            matched = candidates[case.scores[candidates].argmax()]
            free[matched] = False
            if case.targets[i] == COUNTED and case.prediction[matched] == COUNTED:
                scores.append(case.scores[matched])
    return np.array(scores, dtype=float)


def _counts(case: _Case, thresholds: Float[np.ndarray, " T"]) -> Float[np.ndarray, "3 T"]:
    """Compute the second pass at all thresholds at once: true positives, false ones, and the sum of similarities."""
    free = (case.scores >= thresholds[:, None]) & (case.prediction != OTHER)  # [T D]
    counted = case.prediction == COUNTED
    tp, similarity = np.zeros((2, len(thresholds)))
    if not free.size:
        return np.stack((tp, tp, similarity))
    for i in np.flatnonzero(case.targets != OTHER):
        candidates = free & case.reaches[:, i]
        best = np.where(candidates & counted, case.overlaps[:, i], -1).argmax(axis=1)
        matched = np.where((candidates & counted).any(axis=1), best, candidates.argmax(axis=1))
        rows = np.flatnonzero(candidates.any(axis=1))
        free[rows, matched[rows]] = False
        if case.targets[i] == COUNTED:
            rows = rows[counted[matched[rows]]]
            tp[rows] += 1
            similarity[rows] += case.similarity[matched[rows], i]
    fp = (free & counted & ~case.ignored).sum(axis=1)
    return np.stack((tp, fp, similarity))


def _inside_dont_care(targets: KittiObjects, prediction: KittiObjects) -> Float[np.ndarray, " D"]:
    """Compute the largest share of each detection's box that lies in one region of DontCare."""
    regions = targets.boxes[targets.named(DONT_CARE)]
    areas = (prediction.boxes[:, 2:] - prediction.boxes[:, :2]).prod(axis=1)
    low = np.maximum(prediction.boxes[:, None, :2], regions[:, :2])
    high = np.minimum(prediction.boxes[:, None, 2:], regions[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    shares = np.divide(shared, areas[:, None], out=np.zeros_like(shared), where=areas[:, None] > 0)
    largest: Float[np.ndarray, " D"] = shares.max(axis=1, initial=0)
    return largest


def _in_space(targets: KittiObjects, prediction: KittiObjects) -> tuple[np.ndarray, np.ndarray]:
    """Compute the IoU seen from above, and of the volumes of upright boxes."""
    bev, volume = np.zeros((2, len(prediction), len(targets)))
    rows, columns = (np.flatnonzero(_has_box3d(objects)) for objects in (prediction, targets))
    cells = np.ix_(rows, columns)
    area, iou = bev_overlap(_footprints(prediction)[rows], _footprints(targets)[columns])
    bev[cells] = iou.numpy()
    tops = [objects.locations[:, 1] - objects.sizes[:, 0] for objects in (prediction, targets)]
    bottom = np.minimum(prediction.locations[:, None, 1], targets.locations[:, 1])
    common = np.maximum(bottom - np.maximum(tops[0][:, None], tops[1]), 0)[cells]
    volumes = [objects.sizes.prod(axis=1) for objects in (prediction, targets)]
    shared = area.numpy() * common
    volume[cells] = shared / (volumes[0][rows, None] + volumes[1][columns] - shared)
    return bev, volume


def _has_box3d(objects: KittiObjects) -> Bool[np.ndarray, " N"]:
    """Return which objects have a 3D box: sides above 0, and numbers that are finite."""
    numbers = np.column_stack((objects.sizes, objects.locations, objects.rotations))
    has: Bool[np.ndarray, " N"] = (objects.sizes > 0).all(axis=1) & np.isfinite(numbers).all(axis=1)
    return has


def _footprints(objects: KittiObjects) -> torch.Tensor:
    """Return the corners (x, z) of length x width; at rotation 0 the length lies along x."""
    middles, yaws, (_, width, length) = objects.locations[:, [0, 2]], objects.rotations, objects.sizes.T
    return turned_rectangles(*map(torch.from_numpy, (middles, length, width, yaws)))


def _envelope(values: Float[np.ndarray, " T"]) -> Float[np.ndarray, " 41"]:
    """Return the largest value at or beyond each point; 0 beyond the highest recall."""
    curve = np.zeros(SAMPLES)
    curve[: len(values)] = np.nan_to_num(values)
    return np.maximum.accumulate(curve[::-1])[::-1]


def _averages(start: str, end: str, curve: Float[np.ndarray, " 41"]) -> dict[str, float]:
    means = {"AP11": curve[::4].mean(), "AP40": curve[1:].mean()}
    return {f"{start}_{kind}_{end}": 100 * float(mean) for kind, mean in means.items()}


def _over_classes(averages: Mapping[str, float]) -> dict[str, float]:
    """Return the means over the classes that occur, at the official overlaps."""
    strict = [name for name in averages if name.endswith("strict")]
    names = [name.removeprefix(CLASSES[0]) for name in strict if name.startswith(CLASSES[0])]
    columns = {name: [averages[f"{each}{name}"] for each in CLASSES] for name in names}
    present = {name: [value for value in column if value == value] for name, column in columns.items()}
    return {f"Overall{name.removesuffix('_strict')}": ratio(sum(row, 0.0), len(row)) for name, row in present.items()}
