"""Which detections stand for which objects, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.evaluation.matching import by_score, ignored_detections, matched_rows, overlaps


def objects(boxes: list[list[float]], labels: list[int], **columns: Any) -> sk.Objects:
    return sk.Objects(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64), **columns)


def test_overlap_with_a_crowd_is_the_share_of_the_detection() -> None:
    found = objects([[0.0, 0, 10, 10]], [0])
    true = objects([[5.0, 0, 25, 10], [5.0, 0, 25, 10]], [0, 0], crowd=torch.tensor([False, True]))
    assert overlaps(found, true).tolist() == [[pytest.approx(50 / 250), pytest.approx(0.5)]]


def test_best_scores_choose_first_within_their_class() -> None:
    true = objects([[0.0, 0, 10, 10], [50.0, 0, 60, 10]], [0, 1])
    found = objects([[0.0, 0, 10, 8], [0.0, 0, 10, 10], [50.0, 0, 60, 10], [52.0, 0, 60, 10]], [0, 0, 0, 1])
    everything = torch.ones(4, dtype=torch.bool)
    scores = torch.tensor([0.9, 0.5, 0.8, 0.1])
    rows = matched_rows(true, found, everything[:2], everything, scores)
    assert sorted(zip(*(part.tolist() for part in rows), strict=True)) == [(0, 0), (1, 3)]
    less = matched_rows(true, found, torch.tensor([True, False]), torch.tensor([False, True, True, True]), scores)
    assert [part.tolist() for part in less] == [[0], [1]]
    none = matched_rows(sk.Objects.empty(), found, everything[:0], everything, scores)
    assert [part.tolist() for part in none] == [[], []]


def test_excused_is_what_stands_for_nothing_known() -> None:
    """Detections of an object that is known, of one that is not, of a crowd, of nothing, and of another class."""
    boxes = [[0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 90, 50]]
    true = objects(boxes, [0, 0, 0], crowd=torch.tensor([False, False, True]))
    boxes = [[0.0, 0, 10, 9], [20.0, 0, 30, 9], [50.0, 10, 60, 20], [0.0, 60, 10, 70], [20.0, 0, 30, 9]]
    found = objects(boxes, [0, 0, 0, 0, 1])
    told = torch.tensor([True, False, True])
    assert ignored_detections(found, true, told).tolist() == [False, True, True, False, False]
    assert ignored_detections(found, sk.Objects.empty(), told[:0]).tolist() == [False] * 5


def test_order_by_score_keeps_ties() -> None:
    assert by_score(torch.tensor([0.5, 0.9, 0.5])).tolist() == [1, 0, 2]
