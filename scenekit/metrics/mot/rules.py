"""Which targets and predictions count: the rules of MOTChallenge and of KITTI's tracking benchmark.

Letters: G targets and P predictions of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError, nearest
from scenekit.metrics.common import box_iou
from scenekit.metrics.mot.matching import matched
from scenekit.metrics.mot.sequence import LEAST, MotObjects, Sequence

MOT_CLASSES = (
    "pedestrian",
    "person_on_vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non_mot_vehicle",
    "static_person",
    "distractor",
    "occluder",
    "occluder_on_ground",
    "occluder_full",
    "reflection",
    "crowd",
)
"""Names of MOTChallenge's classes, whose numbers begin with 1."""

PEDESTRIAN = 1
DISTRACTORS = ("person_on_vehicle", "static_person", "distractor", "reflection")
"""Classes of MOTChallenge that a tracker of pedestrians may follow or not."""

KITTI_LOOK_ALIKE = {"car": ("van",), "pedestrian": ("person", "person_sitting")}
"""Classes that KITTI scores, and those that trackers may take for them."""

DONT_CARE = "dontcare"
"""KITTI's class of regions in which predictions do not count."""

MOST_OCCLUDED, MOST_TRUNCATED, MIN_HEIGHT = 2, 0, 25
"""KITTI: targets beyond these steps do not count; nor do predictions without a target that are no higher (pixels)."""

MOST_WITHIN = 0.5
"""Share of a prediction without a target that may lie in a region in which predictions do not count."""


@dataclass(frozen=True, eq=False)
class Rules:
    """What the rules of a protocol make of the targets of one class, row by row."""

    takes_part: Bool[np.ndarray, " M"]
    """Targets that are matched with predictions at all."""
    counts: Bool[np.ndarray, " M"]
    """Those of them that the metrics measure."""
    ignored: Bool[np.ndarray, " M"]
    """Those of them whose matched predictions are left out."""
    region: Bool[np.ndarray, " M"]
    """Regions in which predictions without a target are left out."""
    min_height: float = -1.0
    """Predictions without a target that are no higher than this, in pixels, are left out."""


def mot_challenge_rules(targets: MotObjects, number: int = PEDESTRIAN, vehicles: bool = False) -> Rules:
    """Return MOTChallenge's rules.

    All classes are matched, and what matches a distractor is left out; ground truth of the class counts unless its flag
    is 0. Ground truth without a class, a number below 1, counts as one of any class.

    Args:
        targets: The ground truth of a sequence.
        number: Number of the class; only pedestrians have distractors.
        vehicles: Whether vehicles that are not tracked are distractors, too, as in MOT20.

    Returns:
        The rules.
    """
    names = (*DISTRACTORS, "non_mot_vehicle") if vehicles else DISTRACTORS
    distractors = [MOT_CLASSES.index(name) + 1 for name in names] if number == PEDESTRIAN else []
    considered = np.ones(len(targets), dtype=bool) if targets.considered is None else targets.considered != 0
    own = (targets.classes == number) | (targets.classes < 1)
    ignored = np.isin(targets.classes, distractors)
    nothing = np.zeros(len(targets), dtype=bool)
    return Rules(takes_part=~nothing, counts=own & considered, ignored=ignored, region=nothing)


def kitti_rules(targets: MotObjects, name: str) -> Rules:
    """Return the rules of KITTI's tracking benchmark.

    Vans beside cars, and sitting persons beside pedestrians, are neither asked for nor wrong; neither are targets that
    are cut off at the border or unknown to be visible, predictions in DontCare regions, and small ones.

    Args:
        targets: The ground truth of a sequence.
        name: The class, "car" or "pedestrian".

    Returns:
        The rules.

    Raises:
        InputError: KITTI scores no such class.
    """
    classes = np.char.lower(targets.classes.astype(str))
    if name not in KITTI_LOOK_ALIKE:
        known = list(KITTI_LOOK_ALIKE)
        raise InputError(f"KITTI scores {' and '.join(known)}, not {name!r}{nearest(name, known)}")
    if targets.occluded is None or targets.truncated is None:
        raise InputError("KITTI's ground truth has columns of occlusion and truncation")
    own, look_alike, tracked = classes == name, np.isin(classes, KITTI_LOOK_ALIKE[name]), targets.ids >= 0
    hidden = (np.trunc(targets.occluded) > MOST_OCCLUDED) | (np.trunc(targets.truncated) > MOST_TRUNCATED)
    takes_part = (own | look_alike) & tracked
    ignored = takes_part & (look_alike | hidden)
    return Rules(takes_part, takes_part & ~ignored, ignored, classes == DONT_CARE, float(MIN_HEIGHT))


def paired(targets: MotObjects, predictions: MotObjects, rules: Rules, length: int) -> Sequence:
    """Apply rules to a sequence.

    Args:
        targets: The ground truth.
        predictions: The predictions of one class.
        rules: What counts of the ground truth.
        length: The number of frames.

    Returns:
        What the metrics measure: targets that count, and predictions that are not left out, with the IoU of their
        boxes.
    """
    kept: tuple[list[Int[np.ndarray, " _"]], ...] = ([], [])
    similarities: list[Float[np.ndarray, "_ _"]] = []
    rows = np.flatnonzero(rules.takes_part), np.flatnonzero(rules.region)
    own, regions = (targets[chosen].by_frame(length) for chosen in rows)
    for within, areas, those in zip(own, regions, predictions.by_frame(length), strict=True):
        owners, areas = rows[0][within], rows[1][areas]
        iou = box_iou(targets.boxes[owners], predictions.boxes[those])
        valid = _not_ignored(iou, rules.ignored[owners], predictions.boxes[those], targets.boxes[areas], rules)
        counts = rules.counts[owners]
        kept[0].append(targets.ids[owners][counts])
        kept[1].append(predictions.ids[those][valid])
        similarities.append(iou[counts][:, valid])
    return Sequence.of(kept[0], kept[1], similarities)


def _not_ignored(
    iou: Float[np.ndarray, "G P"],
    ignored: Bool[np.ndarray, " G"],
    boxes: Float[np.ndarray, "P 4"],
    regions: Float[np.ndarray, "_ 4"],
    rules: Rules,
) -> Bool[np.ndarray, " P"]:
    """Return which predictions of a frame count."""
    rows, columns = matched(iou)
    unmatched = np.ones(len(boxes), dtype=bool)
    unmatched[columns] = False
    low = boxes[:, 3] - boxes[:, 1] <= rules.min_height + LEAST
    left_out = unmatched & (low | (_share_within(boxes, regions) > MOST_WITHIN + LEAST).any(axis=1))
    left_out[columns[ignored[rows]]] = True
    valid: Bool[np.ndarray, " P"] = ~left_out
    return valid


def _share_within(boxes: Float[np.ndarray, "P 4"], regions: Float[np.ndarray, "_ 4"]) -> Float[np.ndarray, "P _"]:
    """Return the share of each box that lies within each region."""
    sides = np.minimum(boxes[:, None, 2:], regions[:, 2:]) - np.maximum(boxes[:, None, :2], regions[:, :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    areas = np.broadcast_to((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)[:, None], shared.shape)
    share: Float[np.ndarray, "P _"] = np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)
    return share
