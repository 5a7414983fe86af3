"""What a recipe takes from the model that it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scenekit.recipe import ModelConfig, Recipe
from scenekit.recipe.initial import with_initial
from scenekit.recipe.provenance import resolve

INITIAL = ModelConfig.model_validate(
    {
        "input": {"min_size": 224, "mean": [0.5, 0.5, 0.5]},
        "backbone": {"name": "mobilenet_v2", "options": {"norm": "frozen"}},
        "detector_options": {"rpn": {"samples": 128}, "box_head": {"fcs": [64]}},
        "tasks": {"masks": {"channels": 64, "convs": 3}, "semantic": {}},
    }
)


def merged(**model: Any) -> ModelConfig:
    recipe = Recipe.parse({"init": "start", "model": model, "data": {"train": [{"name": "synthetic"}]}})
    return with_initial(recipe, INITIAL).model


def test_without_a_model_section_it_is_the_initial_model() -> None:
    assert merged() == INITIAL
    recipe = Recipe.parse({"init": "start", "data": {"train": [{"name": "synthetic"}]}})
    assert with_initial(recipe, INITIAL).model == INITIAL


def test_what_the_recipe_sets_goes_first_section_by_section() -> None:
    model = merged(input={"min_size": 96}, detector_options={"rpn": {"post_nms_test": 10}})
    assert model.input.min_size == 96 and model.input.mean == (0.5, 0.5, 0.5)
    assert model.detector_options == {"rpn": {"samples": 128, "post_nms_test": 10}, "box_head": {"fcs": [64]}}
    assert model.tasks == INITIAL.tasks


def test_named_tasks_are_the_tasks_of_the_run() -> None:
    assert merged(tasks={"masks": {"convs": 2}, "depth": {}}).tasks == {
        "masks": {"channels": 64, "convs": 2},
        "depth": {},
    }
    assert merged(tasks={}).tasks == {}


def test_options_of_another_backbone_or_detector_are_not_taken() -> None:
    assert merged(backbone={"name": "resnet18"}).backbone.options == {}
    assert merged(backbone={"name": "mobilenet_v2"}).backbone.options == {"norm": "frozen"}
    assert merged(detector="grid").detector_options == {}


def test_the_old_name_of_faster_rcnn_keeps_its_options(caplog: pytest.LogCaptureFixture) -> None:
    assert merged(detector="rcnn").detector_options == INITIAL.detector_options
    assert merged(detector="rcnn").detector == "faster_rcnn"
    assert merged(detector="rcnn", detector_options={"proposals": {"name": "files"}}).detector == "rcnn"


@pytest.mark.parametrize(
    ("place", "value", "origin"),
    [
        ("model.input.min_size", 224, "init start"),
        ("model.input.max_size", 640, "file"),
        ("model.backbone.options.norm", "frozen", "init start"),
        ("model.backbone.options.levels", None, "default"),
        ("model.detector_options.rpn.samples", 64, "override"),
        ("model.tasks.masks.channels", 64, "init start"),
        ("model.tasks.masks.convs", 2, "file"),
        ("model.tasks.masks.pooled", 14, "default"),
    ],
)
def test_values_and_their_origins(tmp_path: Path, place: str, value: object, origin: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "init: start\nmodel: {input: {max_size: 640}, tasks: {masks: {convs: 2}}}\ndata: {train: [{name: synthetic}]}\n"
    )
    resolved = resolve(path, ["model.detector_options.rpn.samples=64"], lambda name: INITIAL)
    found: Any = resolved.values
    for name in place.split("."):
        found = found[name]
    assert (found, resolved.to_json()["origins"][place]) == (value, origin)
    assert "semantic" not in resolved.values["model"]["tasks"]
