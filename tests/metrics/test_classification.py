"""Accuracy of image classes: a case worked by hand, files, and files that cannot be scored."""

import math
from pathlib import Path

import pytest

from scenekit.errors import InputError
from scenekit.metrics.classification import ImageClassification, score_class_files
from scenekit.metrics.notes import Notes


def test_a_case_worked_by_hand() -> None:
    """Of two cats one is first, one fourth; of two dogs one is first, one sixth: 2/4 and 3/4."""
    metric = ImageClassification(("cat", "dog", "c", "d", "e", "f"))
    metric.update(0, [0, 1, 2, 3, 4])
    metric.update(0, [1, 2, 3, 0, 4])
    metric.update(1, [1, 0, 2, 3, 4])
    metric.update(1, [0, 2, 3, 4, 5])
    result = metric.result()
    assert (result["top1"], result["top5"], result["mean_class"], result["images"]) == (0.5, 0.75, 0.5, 4)
    assert result["per_class"]["dog"] == {"top1": 0.5, "top5": 0.5, "images": 2}
    assert set(result["per_class"]) == {"cat", "dog"}


def test_merged_parts_are_the_whole() -> None:
    parts = [ImageClassification(("a", "b")) for _ in range(3)]
    for metric, target, best in ((parts[0], 0, 0), (parts[1], 1, 0)):
        metric.update(target, [best])
        parts[2].update(target, [best])
    parts[0].merge(parts[1])
    assert parts[0].result() == parts[2].result()


def test_nothing_to_measure_is_no_number() -> None:
    result = ImageClassification(("a",)).result()
    assert all(math.isnan(result[name]) for name in ("top1", "top5", "mean_class"))


@pytest.mark.parametrize("predicted", [[2], [0, 0], [-1]])
def test_labels_that_cannot_be(predicted: list[int]) -> None:
    with pytest.raises(InputError):
        ImageClassification(("a", "b")).update(0, predicted)


def test_predicted_classes_that_no_image_has_are_noted(tmp_path: Path) -> None:
    """One image of two is right; "cta" may be a slip, a second best class of a model with more classes is none."""
    notes = Notes()
    scores = score_class_files(*files(tmp_path, "a cat\nb cat\n", "a cat bird\nb cta\n"), notes)
    assert scores["top1"] == 0.5
    assert notes.lines() == [
        f"{tmp_path / 'pred.txt'} has 2 classes that no image of {tmp_path / 'gt.txt'} has: 'bird', 'cta'"
    ]


def files(tmp_path: Path, truth: str, prediction: str) -> tuple[Path, Path]:
    (tmp_path / "gt.txt").write_text(truth)
    (tmp_path / "pred.txt").write_text(prediction)
    return tmp_path / "gt.txt", tmp_path / "pred.txt"


@pytest.mark.parametrize(
    ("truth", "prediction", "told"),
    [
        ("", "a cat", "has no line"),
        ("a\n", "a cat", "line 1: expected an image and its class"),
        ("a cat\na dog\n", "a cat", "'a' has 2 lines"),
        ("a cat\n", "b cat\n", "1 images have no ground truth, such as 'b'"),
        (
            "a cat\nb dog\n",
            "a 0\nb 1\n",
            r"no image of .* has any of the predicted classes \('0', '1'\); .*'cat', 'dog'",
        ),
    ],
)
def test_files_that_cannot_be_scored(tmp_path: Path, truth: str, prediction: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        score_class_files(*files(tmp_path, truth, prediction))
