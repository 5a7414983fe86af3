"""Localization error: cases worked by hand, torchvision's IoU, and files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from scenekit.errors import InputError
from scenekit.metrics.localization import ObjectLocalization, score_localization_files
from scenekit.metrics.localization.error import pairwise_iou

BOX = [[0.0, 0.0, 10.0, 10.0]]


@pytest.mark.parametrize(
    ("label", "box", "accuracy", "error"),
    [
        ("cat", [0, 0, 10, 10], 1.0, 0.0),
        ("dog", [0, 0, 10, 10], 0.0, 1.0),  # the class is wrong
        ("cat", [0, 0, 5, 10], 1.0, 0.0),  # IoU 50 / 100, just enough
        ("cat", [0, 0, 4.9, 10], 1.0, 1.0),  # IoU 0.49
        ("cat", [20, 20, 30, 30], 1.0, 1.0),
    ],
)
def test_cases_worked_by_hand(label: str, box: list[float], accuracy: float, error: float) -> None:
    metric = ObjectLocalization()
    metric.update(["cat"], BOX, [label], [box])
    result = metric.result()
    assert (result["accuracy"], result["localization_error"]) == (accuracy, error)


def test_best_five_as_ilsvrc_and_any_object_of_the_class() -> None:
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60]]
    for cutoff, error in ((1, 1.0), (5, 0.0)):
        metric = ObjectLocalization(cutoff)
        metric.update(["cat", "cat"], boxes, ["dog", "cat"], [[0, 0, 1, 1], [50, 50, 60, 61]])
        assert metric.result()["localization_error"] == error


def test_iou_is_torchvisions() -> None:
    corners = torch.rand(2, 6, 2, 2, dtype=torch.float64).sort(dim=2).values
    first, second = corners.flatten(2)
    np.testing.assert_allclose(pairwise_iou(first.numpy(), second.numpy()), box_iou(first, second).numpy())


def test_merged_parts_are_the_whole() -> None:
    parts = [ObjectLocalization() for _ in range(3)]
    for metric, label in ((parts[0], "cat"), (parts[1], "dog")):
        for one in (metric, parts[2]):
            one.update(["cat"], BOX, [label], BOX)
    parts[0].merge(parts[1])
    assert parts[0].result() == parts[2].result()


@pytest.mark.parametrize(
    ("line", "told"),
    [("a cat 0 0 5\n", "line 1: expected"), ("a cat 0 0 0 5\n", "above 0"), ("a cat 0 0 x 5\n", "four numbers")],
)
def test_files_that_cannot_be_scored(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "gt.txt").write_text(line)
    with pytest.raises(InputError, match=told):
        score_localization_files(tmp_path / "gt.txt", tmp_path / "gt.txt")
