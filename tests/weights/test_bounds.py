"""A manifest cannot build more than its weights fill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.recipe import ModelConfig
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights import load, save_model
from scenekit.weights.bounds import SPARE_NUMBERS, SPARE_TENSORS, BuildBound

from ..training import toy

CONFIG = ModelConfig.model_validate(
    {
        "backbone": {"name": "toynet", "options": {"width": 8}},
        "pyramid": {"channels": 8},
        "detector_options": {"box_head": {"fcs": [8]}},
        "tasks": {"masks": {"channels": 8, "convs": 1}},
    }
)


@pytest.mark.parametrize(
    ("part", "option", "value"),
    [
        (("tasks", "masks"), "channels", 10**7),
        (("pyramid",), "channels", 10**7),
        (("detector_options", "box_head"), "fcs", [10**9]),
        (("detector_options", "box_head"), "fcs", [8] * 10**4),
        (("backbone", "options"), "width", 10**6),
    ],
)
def test_a_network_far_larger_than_its_weights_is_refused(
    tmp_path: Path, part: tuple[str, ...], option: str, value: object
) -> None:
    toy.register()
    save_model(build(CONFIG, Vocabulary(("cat",))), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    options = manifest["model"]
    for name in part:
        options = options[name]
    options[option] = value
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"manifest.json: the manifest describes a network far larger than the"):
        load(tmp_path)


@pytest.mark.parametrize("count", [10**6, 10**9])
def test_a_million_layers_are_refused_before_anything_is_built(tmp_path: Path, count: int) -> None:
    options = CONFIG.model_dump(mode="json") | {"tasks": {"masks": {"convs": count}}}
    with pytest.raises(InputError, match=r"convs.*less than or equal to 1000"):
        build(ModelConfig.model_validate(options), Vocabulary(("cat",)))


def test_both_bounds_are_counted_over_all_tensors() -> None:
    state = {"weight": torch.zeros(10)}
    with BuildBound(state, "here"):
        torch.empty(3, 4)
        torch.full((2, 2), 1.0)
        torch.zeros(size=(5,))
        with pytest.raises(InputError, match=r"here: .* larger than the 10 numbers of the weights"):
            torch.ones(SPARE_NUMBERS, 1)
    with pytest.raises(InputError), BuildBound(state, "here"):
        for _ in range(SPARE_TENSORS + 5):
            torch.zeros(())
