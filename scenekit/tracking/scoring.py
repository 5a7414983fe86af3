"""Metrics of tracked scenes against the ground truth of a clip.

Letters: M objects of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scenekit.errors import InputError
from scenekit.metrics.mot import MotObjects, Rules, Sequence, TrackingScores, paired
from scenekit.scene import Scene
from scenekit.tracking.tracker import UNCONFIRMED


def score_tracks(
    ground_truth: Iterable[Scene],
    tracked: Iterable[Scene | InputError],
    scores: TrackingScores | None = None,
    name: str = "",
) -> TrackingScores:
    """Compare the tracks of a clip with its ground truth, class by class.

    What matches a crowd, or an object that evaluation ignores, counts neither way.

    Args:
        ground_truth: The scenes of the clip with lasting ids.
        tracked: What `track` made of its frames; an InputError is a frame without objects.
        scores: Those of clips before, to which this clip is added; new ones, if None.
        name: The name of the clip in `scores.sequences()`, in front of that of the class.

    Returns:
        The scores; `scores.result()` is computed from the counts of all classes and clips together.

    Raises:
        InputError: The numbers of scenes differ, or their classes.
    """
    scores, targets, predictions = scores or TrackingScores(), list(ground_truth), list(tracked)
    if len(targets) != len(predictions):
        raise InputError(f"expected a tracked scene for each of {len(targets)} frames, got {len(predictions)}")
    things = {scene.vocabulary.things for scene in (*targets, *predictions) if isinstance(scene, Scene)}
    if len(things) > 1:
        raise InputError("ground truth and tracks have different classes; relabel one of them")
    length, rows, own = len(targets), _objects(targets), _objects(predictions)
    for label in sorted({*rows.classes.tolist(), *own.classes.tolist()}):
        part = _sequence(rows[rows.classes == label], own[own.classes == label], length)
        scores.update(f"{name} {next(iter(things))[label]}".strip(), part)
    return scores


def _objects(scenes: Iterable[Scene | InputError]) -> MotObjects:
    """Return the objects of a clip; those without a track are left out."""
    columns: tuple[list[np.ndarray], ...] = ([], [], [], [], [])
    for frame, scene in enumerate(scenes):
        if isinstance(scene, Scene):
            objects = scene.objects[scene.objects.ids != UNCONFIRMED]
            counts = ~(objects.crowd | objects.ignore)
            parts = (np.full(len(objects), frame), objects.ids, objects.boxes.double(), objects.labels, counts.long())
            for column, part in zip(columns, parts, strict=True):
                column.append(np.asarray(part))
    empty = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, int))
    whole = [np.concatenate((none, *column)) for none, column in zip(empty, columns, strict=True)]
    frames, ids, boxes, labels, considered = whole
    return MotObjects(frames, ids, boxes, labels, considered=considered)


def _sequence(targets: MotObjects, predictions: MotObjects, length: int) -> Sequence:
    """Return what counts of one class."""
    assert targets.considered is not None
    counts = targets.considered != 0
    rules = Rules(takes_part=np.ones_like(counts), counts=counts, ignored=~counts, region=np.zeros_like(counts))
    return paired(targets, predictions, rules, length)
