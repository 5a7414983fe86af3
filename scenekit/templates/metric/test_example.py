"""The metric gives numbers that were worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scenekit_example import Example, example

import scenekit as sk

VOCABULARY = sk.Vocabulary(things=("cat", "dog"))
BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]])


def scene(boxes: torch.Tensor, labels: list[int]) -> sk.Scene:
    """Return an image of 64 x 64 pixels."""
    return sk.Scene((64, 64), VOCABULARY, streams={sk.OBJECTS: sk.Objects(boxes, torch.tensor(labels))})


TARGET = scene(BOXES, [0, 1, 1])
PREDICTION = scene(BOXES + torch.tensor([[2.0], [0], [0]]), [0, 1, 0])
"""The first box is off by 2 pixels (IoU 64 / 136 < 0.5), the third has the wrong class: one of three is detected."""


def test_one_of_three_objects_is_detected() -> None:
    sample = sk.Sample(torch.zeros(3, 64, 64, dtype=torch.uint8), TARGET, sk.Supervision(), 0)
    metric, other = Example(VOCABULARY), Example(VOCABULARY)
    metric.update(sample, PREDICTION)
    assert metric.result() == {"recall": pytest.approx(1 / 3)}
    other.update(sample, TARGET)
    metric.merge(other)
    assert metric.result() == {"recall": pytest.approx(4 / 6)}


def test_the_command_reads_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, each in (("targets", TARGET), ("predictions", replace(PREDICTION, streams=PREDICTION.streams))):
        (tmp_path / name).mkdir()
        each.save(tmp_path / name / "a.json")
    example(tmp_path / "targets", tmp_path / "predictions")
    assert json.loads(capsys.readouterr().out) == {"recall": pytest.approx(1 / 3)}
