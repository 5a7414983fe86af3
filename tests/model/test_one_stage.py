"""A detector without region proposals: what the core asks of it, and the tasks on top of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError, PluginError
from scenekit.keys import CAPTIONS, MASKS, OBJECTS, PHRASE_CAPTIONS, PHRASES
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.structures import Captions
from tests.model import one_stage
from tests.tiny import VOCABULARY, batch, config, sample

CAPTION_OPTIONS: dict[str, Any] = {"lstm": {"features": 16, "width": 16}, "max_tokens": 4}


def built(tasks: dict[str, Any]) -> SceneModel:
    torch.manual_seed(0)
    values = {**config().model_dump(), "detector": "grid", "detector_options": {}, "tasks": tasks}
    return sk.build(ModelConfig.model_validate(values), VOCABULARY).eval()


def test_external_boxes_are_labelled_row_by_row() -> None:
    with one_stage.installed():
        boxes = torch.tensor([[3.0, 4.0, 30.0, 40.0], [5.0, 5.0, 20.0, 20.0], [0.0, 0.0, 9.0, 9.0]])
        scene = built({"masks": {"channels": 8, "convs": 1}}).predict(sample().image, given={OBJECTS: boxes})
        torch.testing.assert_close(scene.objects.boxes, boxes)
        assert len(scene[MASKS]) == 3


def test_a_detector_that_ignores_external_boxes_is_named() -> None:
    with one_stage.installed(keeps_given=False):
        model = built({})
        assert len(model.predict(sample().image, threshold=0.0).objects) == 24
        with pytest.raises(PluginError, match=r"put 24 regions of 'objects' .* for 2 external ones.*scenekit-grid"):
            model.predict(sample().image, given={OBJECTS: [[3, 4, 30, 40], [5, 5, 20, 20]]})


def test_a_detector_that_moves_external_boxes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with one_stage.installed(keeps_given=False):
        monkeypatch.setattr(one_stage.Grid, "cells", lambda self, board: replace_boxes(board.given[OBJECTS]))
        with pytest.raises(PluginError, match=r"with other boxes .*scenekit-grid"):
            built({}).predict(sample().image, given={OBJECTS: [[3, 4, 30, 40], [5, 5, 20, 20]]})


def replace_boxes(regions: Any) -> Any:
    return type(regions)(regions.boxes + 1.0, regions.image_index)


def test_captions_without_phrases_need_no_proposals() -> None:
    with one_stage.installed():
        with pytest.raises(InputError, match="two-stage detector"):
            built({"captions": CAPTION_OPTIONS})
        model = built({"captions": {**CAPTION_OPTIONS, "phrases": False}})
        assert set(model.stages) == {"backbone", "grid"} and model.learns_from == (CAPTIONS,)
        scene = model.predict(sample().image, threshold=0.0)
        assert len(scene[CAPTIONS]) == len(scene.objects) > 0
        assert PHRASE_CAPTIONS not in scene and PHRASES not in scene.streams
        losses = model(*batch(model, [sample(values={CAPTIONS: Captions((("a person",), ("a cup",)))})])).losses
        assert losses["captions.object"].isfinite() and losses["captions.object"] > 0


def test_captions_of_nothing_are_refused() -> None:
    with one_stage.installed(), pytest.raises(InputError, match="nothing is left to describe"):
        built({"captions": {"phrases": False, "objects": False}})
