"""Options of the detector that change when a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import scenekit as sk
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.model.scene_model import SceneModel
from scenekit.testing.detectors import set_up
from scenekit.testing.images import VOCABULARY
from scenekit.weights import detector_options
from scenekit.weights.detector_options import suppresses_across_classes, with_suppression
from tests import tiny


def small(name: str) -> SceneModel:
    spec = registry().get("detector", name)
    return set_up(spec, spec.example, VOCABULARY).model


def at(options: Mapping[str, Any], path: str) -> Any:
    for name in path.split("."):
        options = options[name]
    return options


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("faster_rcnn", "box_head.across_classes"),
        ("fast_rcnn", "box_head.across_classes"),
        ("rcnn", "detection.across_classes"),
        ("sliding_window", "detection.across_classes"),
        *((name, "across_classes") for name in ("retinanet", "fcos", "ssd", "yolo")),
    ],
)
def test_every_detector_suppresses_across_classes_where_its_option_is(
    name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small(name)
    given: list[Mapping[str, Any]] = []
    monkeypatch.setattr(detector_options, "with_detector_options", lambda same, options: given.append(options) or same)
    assert suppresses_across_classes(model) and with_suppression(model, 0.7) is model
    assert at(given[0], path) == 0.7


def test_the_model_has_the_same_weights_and_the_option() -> None:
    model = sk.build(tiny.config(()), tiny.VOCABULARY)
    other = with_suppression(model, 0.6)
    assert tiny.same_weights(model, other)
    assert other.stages["detection"].config.across_classes == 0.6 and not other.training


def test_a_model_without_a_detector_cannot() -> None:
    config = tiny.config(["semantic"]).model_copy(update={"detector": None, "detector_options": {}})
    model = sk.build(config, tiny.VOCABULARY)
    assert not suppresses_across_classes(model)
    with pytest.raises(InputError, match="a model without a detector has no option across_classes"):
        with_suppression(model, 0.5)
