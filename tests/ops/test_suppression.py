"""Soft-NMS against cases worked by hand and, in its limit, torchvision's NMS."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import batched_nms

from scenekit.ops.suppression import soft_nms

BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30], [0, 0, 10, 8]])
"""IoU of the second with the first 0.5, of the fourth with the first 0.8, of the fourth with the second 5/8."""
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.6])
SAME = torch.zeros(4, dtype=torch.int64)


def test_linear_by_hand() -> None:
    """First 0.9. Then 0.8 * 0.5 = 0.4, 0.7, 0.6 * 0.2 = 0.12: the third. Then the second, 0.4: 0.12 * 0.375 = 0.045."""
    rows, scores = soft_nms(BOXES, SCORES, SAME, decay="linear", iou_threshold=0.5)
    assert rows.tolist() == [0, 2, 1, 3]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.4, 0.045])


def test_linear_leaves_what_overlaps_less_than_the_threshold() -> None:
    rows, scores = soft_nms(BOXES, SCORES, SAME, decay="linear", iou_threshold=0.7)
    assert rows.tolist() == [0, 1, 2, 3] and scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.12])


def test_gaussian_by_hand() -> None:
    """sigma = 0.5: the second becomes 0.8 exp(-0.25 / 0.5), the fourth 0.6 exp(-0.64 / 0.5) exp(-(5/8)^2 / 0.5)."""
    rows, scores = soft_nms(BOXES, SCORES, SAME, decay="gaussian", sigma=0.5)
    assert rows.tolist() == [0, 2, 1, 3]
    last = 0.6 * math.exp(-1.28) * math.exp(-(0.625**2) / 0.5)
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-0.5), last])


def test_classes_do_not_affect_each_other_and_weak_boxes_are_dropped() -> None:
    labels = torch.tensor([0, 1, 0, 0])
    rows, scores = soft_nms(BOXES, SCORES, labels, decay="linear", score_threshold=0.2)
    assert rows.tolist() == [0, 1, 2] and torch.equal(scores, SCORES[:3])


def test_twins_and_no_boxes() -> None:
    """Of two equal boxes the second is multiplied by 0, and picked boxes never return."""
    rows, scores = soft_nms(BOXES[[0, 0]], SCORES[:2], SAME[:2], decay="linear", score_threshold=0.0)
    assert rows.tolist() == [0] and scores.tolist() == pytest.approx([0.9])
    rows, scores = soft_nms(BOXES[:0], SCORES[:0], SAME[:0])
    assert rows.dtype == torch.int64 and len(rows) == len(scores) == 0


def test_a_limit_keeps_the_best() -> None:
    whole, cut = soft_nms(BOXES, SCORES, SAME), soft_nms(BOXES, SCORES, SAME, limit=2)
    assert torch.equal(cut[0], whole[0][:2]) and torch.equal(cut[1], whole[1][:2])


def test_with_a_narrow_gaussian_it_is_nms_of_touching_boxes() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(60, 2, generator=generator) * 80
    boxes = torch.cat((corner, corner + 10 + torch.rand(60, 2, generator=generator) * 10), dim=1)
    scores, labels = torch.rand(60, generator=generator) + 0.1, torch.arange(60) % 3
    rows, lowered = soft_nms(boxes, scores, labels, sigma=1e-9, score_threshold=0.05)
    assert torch.equal(rows, batched_nms(boxes, scores, labels, 1e-4)) and torch.equal(lowered, scores[rows])
