"""A model with random weights, and the program run in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.cli.main import main
from scenekit.weights import save_model

SMALL: dict[str, Any] = {
    "input": {"min_size": 64, "max_size": 96},
    "backbone": {"name": "mobilenet_v3_small"},
    "pyramid": {"channels": 16},
    "detector_options": {
        "anchors": {"sizes": [[16.0], [32.0], [64.0], [128.0], [224.0]]},
        "rpn": {"pre_nms_test": 30, "post_nms_test": 20},
        "box_head": {"fcs": [32], "detections": 5},
    },
    "tasks": {
        "semantic": {"channels": 16, "norm_groups": 4},
        "masks": {"channels": 16, "convs": 1},
        "keypoints": {"channels": 16, "convs": 1},
        "panoptic": {},
    },
}
"""Every task in a network that runs in a few milliseconds."""


@pytest.fixture(scope="session")
def vocabulary() -> sk.Vocabulary:
    """That of the synthetic scenes."""
    return sk.dataset("synthetic", split="test", cache=False).vocabulary


@pytest.fixture(scope="session")
def tiny_model(vocabulary: sk.Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a saved model."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_model(sk.build(sk.ModelConfig.model_validate(SMALL), vocabulary), folder)
    return str(folder)


@pytest.fixture(scope="session")
def clip_model(vocabulary: sk.Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model with masks and the task of events, with random weights."""
    torch.manual_seed(0)
    events = {"rows": 2, "columns": 2, "width": 16, "lstm": {"width": 16, "features": 16}}
    tasks = {"masks": SMALL["tasks"]["masks"], "events": {**events, "score_threshold": 0.0, "max_events": 4}}
    folder = tmp_path_factory.mktemp("eventful") / "model"
    save_model(sk.build(sk.ModelConfig.model_validate({**SMALL, "tasks": tasks}), vocabulary), folder)
    return str(folder)


@dataclass(frozen=True)
class Result:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `scenekit ARGUMENTS...`."""

    def run(*arguments: str | Path) -> Result:
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Result(int(leaving.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def refused(run: Callable[..., Result]) -> Callable[..., str]:
    """Runs a command that must refuse its input: status 2, one line of error, no other output; returns the line."""

    def refused(*arguments: str | Path) -> str:
        result = run(*arguments)
        assert (result.status, result.out) == (2, "") and result.err.startswith("error: "), result
        assert result.err.count("\n") == 1 and "Traceback" not in result.err
        return result.err

    return refused
