"""The command prints what is in the file."""

import json
from pathlib import Path

import pytest
import torch
from scenekit_example import example

import scenekit as sk


def test_it_counts_objects_of_each_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = sk.Objects(torch.tensor([[0.0, 0, 5, 5]] * 3), torch.tensor([1, 0, 1]), torch.tensor([0.9, 0.4, 0.6]))
    scene = sk.Scene((8, 8), sk.Vocabulary(("cat", "dog")), streams={sk.OBJECTS: objects})
    scene.save(tmp_path / "scene.json")
    example(tmp_path / "scene.json")
    assert json.loads(capsys.readouterr().out) == {"dog": 2}
    example(tmp_path / "scene.json", threshold=0.3)
    assert json.loads(capsys.readouterr().out) == {"dog": 2, "cat": 1}
