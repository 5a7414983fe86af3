"""Presets and options."""

import pytest
from pydantic import ValidationError

from scenekit.detection import PRESETS, DetectorConfig


def test_a_preset_fills_what_is_not_said_otherwise() -> None:
    config = DetectorConfig.model_validate({"preset": "torchvision_v2", "rpn": {"samples": 64}})
    assert (config.rpn.samples, config.rpn.convs, config.rpn.post_nms_train) == (64, 2, 2000)
    assert config.anchors.rounded and not config.pooler.aligned
    assert config.box_head.convs == (256, 256, 256, 256)
    assert config == DetectorConfig.preset("torchvision_v2", rpn={"samples": 64})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    config = DetectorConfig.preset(name)
    assert DetectorConfig.model_validate_json(config.model_dump_json()) == config


def test_no_preset_is_the_default() -> None:
    assert DetectorConfig() == DetectorConfig.preset("default") == DetectorConfig.model_validate({})


def test_misspelt_names_are_named() -> None:
    with pytest.raises(ValidationError, match="did you mean 'torchvision'"):
        DetectorConfig.preset("torchvison")
    with pytest.raises(ValidationError, match=r"box_head\.sample"):
        DetectorConfig.model_validate({"box_head": {"sample": 3}})
    with pytest.raises(ValidationError, match="as many sizes on each level"):
        DetectorConfig.model_validate({"anchors": {"sizes": [[16], [32, 64]]}})


@pytest.mark.parametrize(
    "options",
    [
        {"rpn": {"samples": 0}},
        {"rpn": {"positive_fraction": 1.5}},
        {"pooler": {"levels": 0}},
        {"pooler": {"canonical_size": 0}},
        {"box_head": {"size": 0}},
        {"box_head": {"nms_threshold": 7}},
        {"box_head": {"smooth_l1_beta": -1}},
        {"box_head": {"fcs": [64, 0]}},
        {"box_head": {"coder_weights": [10, 10, 0, 5]}},
        {"anchors": {"sizes": [[32], [0]]}},
        {"anchors": {"ratios": [1, -2]}},
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ValidationError, match=r"should be (greater|less) than"):
        DetectorConfig.model_validate(options)
