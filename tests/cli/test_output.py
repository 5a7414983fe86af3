"""The shared output: strict JSON, option parsing."""

import json

import numpy as np
import pytest
import torch

from scenekit.cli.output import print_json, progress, task_names
from scenekit.errors import InputError


def test_json_has_no_nan_and_takes_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {"a": float("nan"), "b": (1, np.float32(np.inf), np.arange(2)), 3: torch.tensor([[0.5, np.nan]]), "c": "ü"}
    )
    document = json.loads(capsys.readouterr().out)
    assert document == {"a": None, "b": [1, None, [0, 1]], "3": [[0.5, None]], "c": "ü"}


def test_task_names() -> None:
    assert task_names(None) is None
    assert task_names("masks, keypoints,masks") == ["masks", "keypoints"]
    with pytest.raises(InputError, match="--tasks expects"):
        task_names(" ,")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([1, 2], "counting")) == [1, 2]
    assert capsys.readouterr() == ("", "")
