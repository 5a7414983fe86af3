"""The shared output: strict JSON, option parsing."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console

from scenekit.cli import output
from scenekit.cli.output import print_json, progress, rated_progress, task_names
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


def test_rated_progress_shows_number_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(rated_progress([1, 2], "[clip].mp4", 2)) == [1, 2]
    assert capsys.readouterr() == ("", "")
    terminal = Console(stderr=True, force_terminal=True, force_interactive=True, width=100, _environ={"TERM": "xterm"})
    monkeypatch.setattr(output, "console", terminal)
    assert list(rated_progress(iter([1, 2, 3]), "[clip].mp4", 3)) == [1, 2, 3]
    shown = capsys.readouterr().err
    assert "[clip].mp4" in shown and "3/3" in shown and "/s" in shown and "0:00:00" in shown
    assert list(rated_progress(iter([1]), "camera", None)) == [1]
