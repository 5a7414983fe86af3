"""Metrics of tracked scenes against ground truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.structures import Vocabulary
from tests.tracking.streams import box, crossing, scene


def test_each_class_is_matched_by_itself() -> None:
    """One object of two in each frame has the wrong label: neither class finds it."""
    truth = [scene([box(0), box(100)], number, [0, 1]) for number in range(3)]
    found = [scene([box(0), box(100)], number, [0, 0]) for number in range(3)]
    scores = sk.score_tracks(truth, found, name="clip")
    assert list(scores.sequences()) == ["clip car", "clip person"]
    row = scores.result()
    assert (row["FP"], row["FN"], row["IDS"]) == (3, 3, 0)
    assert row["MOTA"] == pytest.approx(0.0) and row["IDF1"] == pytest.approx(0.5)


def test_clips_are_added_up() -> None:
    scores = sk.score_tracks(crossing(), sk.track(crossing()), name="a")
    assert sk.score_tracks(crossing(), [InputError("damaged")] * 20, scores, "b") is scores
    row = scores.result()
    assert row["FN"] == 40 and row["MOTA"] == pytest.approx(0.5) and scores.sequences()["a car"]["HOTA"] == 1


def test_crowds_and_ignored_objects_count_neither_way() -> None:
    truth = [scene([box(0), box(100)], number) for number in range(3)]
    for one in truth:
        one.objects.crowd[0] = True
    row = sk.score_tracks(truth, [scene([box(0), box(100)], number) for number in range(3)]).result()
    assert (row["FP"], row["FN"], row["HOTA"]) == (0, 0, 1)


def test_objects_without_a_track_are_no_predictions() -> None:
    found = [
        replace(one, streams={sk.OBJECTS: replace(one.objects, ids=torch.tensor([-1, -1]))}) for one in crossing(2)
    ]
    assert sk.score_tracks(crossing(2), found).result()["FN"] == 4


def test_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="a tracked scene for each of 3 frames, got 2"):
        sk.score_tracks(crossing(3), crossing(2))
    other = replace(scene([], 0), vocabulary=Vocabulary(things=("bus",)))
    with pytest.raises(InputError, match="have different classes"):
        sk.score_tracks(crossing(1), [other])
