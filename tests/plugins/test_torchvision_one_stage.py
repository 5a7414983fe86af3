"""Numbers and names of torchvision's one-stage detectors; their outputs and losses are compared with all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import detection

from scenekit.detection.one_stage.fcos import FCOSConfig
from scenekit.detection.one_stage.retinanet import RetinaNetConfig
from scenekit.detection.one_stage.ssd import SSDConfig
from scenekit.errors import InputError
from scenekit.weights import convert
from scenekit_plugins.torchvision_weights.names import renamed
from scenekit_plugins.torchvision_weights.networks import NETWORKS, configured
from scenekit_plugins.torchvision_weights.one_stage_names import RETINANET, background_last, by_column

from .torchvision_twins import ONE_STAGE


def both(name: str) -> tuple[Any, Any]:
    """The network that torchvision builds, without memory, and our configuration."""
    with torch.device("meta"):
        theirs = getattr(detection, name)(weights=None, weights_backbone=None)
    return theirs, configured(NETWORKS[name], NETWORKS[name].eps)


@pytest.mark.parametrize("name", ONE_STAGE)
def test_every_number_is_torchvisions(name: str) -> None:
    theirs, config = both(name)
    kinds: dict[str, Any] = {"retinanet": RetinaNetConfig, "fcos": FCOSConfig, "ssd": SSDConfig}
    own = kinds[config.detector].model_validate(config.detector_options)
    assert own.score_threshold == theirs.score_thresh and own.nms_threshold == theirs.nms_thresh
    assert (own.candidates, own.detections) == (theirs.topk_candidates, theirs.detections_per_img)
    transform = theirs.transform
    assert config.input.mean == pytest.approx(transform.image_mean)
    assert config.input.std == pytest.approx(transform.image_std)
    assert config.input.divisor == transform.size_divisible
    assert config.input.fixed_size == transform.fixed_size
    assert (config.input.min_size, config.input.max_size) == (transform.min_size[-1], transform.max_size)


@pytest.mark.parametrize("name", ["retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"])
def test_anchors_and_losses_of_retinanet(name: str) -> None:
    theirs, config = both(name)
    own = RetinaNetConfig.model_validate(config.detector_options)
    assert own.anchors.sizes == theirs.anchor_generator.sizes
    assert set(theirs.anchor_generator.aspect_ratios) == {own.anchors.ratios}
    matcher = theirs.proposal_matcher
    assert (own.foreground, own.background) == (matcher.high_threshold, matcher.low_threshold)
    assert own.box_loss == theirs.head.regression_head._loss_type
    assert own.tower.convs == len(theirs.head.classification_head.conv)


def test_the_radius_of_fcos() -> None:
    theirs, config = both("fcos_resnet50_fpn")
    assert FCOSConfig.model_validate(config.detector_options).radius == theirs.center_sampling_radius


@pytest.mark.parametrize("name", ["ssd300_vgg16", "ssdlite320_mobilenet_v3_large"])
def test_negatives_of_ssd(name: str) -> None:
    theirs, config = both(name)
    own = SSDConfig.model_validate(config.detector_options)
    assert own.negatives == theirs.neg_to_pos_ratio
    assert own.foreground == theirs.proposal_matcher.high_threshold


def test_rows_by_class() -> None:
    """Two reference boxes of three columns, the first of them background."""
    rows = torch.tensor([0, 1, 2, 10, 11, 12])
    assert by_column(2)(rows).tolist() == [1, 11, 2, 12]
    assert by_column(2, background=False)(rows).tolist() == [0, 10, 1, 11, 2, 12]
    assert background_last(2)(rows).tolist() == [1, 11, 2, 12, 0, 10]


def test_names_of_older_files() -> None:
    """ReLU counted there."""
    old = {
        "head.classification_head.conv.6.weight": "stages.retinanet.class_tower.3.0.weight",
        "head.regression_head.conv.2.bias": "stages.retinanet.box_tower.1.0.bias",
        "backbone.fpn.inner_blocks.2.weight": "stages.backbone.net.fpn.net.inner_blocks.2.0.weight",
    }
    assert set(renamed({name: torch.zeros(2) for name in old}, RETINANET)) == set(old.values())


def test_a_file_of_another_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).state_dict()
    file = tmp_path / "ssdlite.pth"
    torch.save(state, file)
    assert convert("torchvision/ssdlite320_mobilenet_v3_large", file).vocabulary.things == (
        "class 1",
        "class 2",
        "class 3",
    )
    for other in ("fcos_resnet50_fpn", "retinanet_resnet50_fpn", "fasterrcnn_resnet50_fpn"):
        with pytest.raises(InputError, match=rf"not the weights of torchvision's {other}: .* is missing"):
            convert(f"torchvision/{other}", file)
