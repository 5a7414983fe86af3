"""torchvision's detectors, held against torchvision: outputs and losses of the same weights, numbers, names, faults."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models import Weights, WeightsEnum, detection
from torchvision.ops import FrozenBatchNorm2d

from scenekit.detection import DetectorConfig
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.recipe import ModelConfig
from scenekit.weights import convert, load
from scenekit_plugins import coco, torchvision_weights
from scenekit_plugins.torchvision_weights.networks import NETWORKS, configured

from .torchvision_losses import losses
from .torchvision_twins import NAMES, RCNN, Twins, differences, pictures, predicted, twins

MASK, POINT = "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn"


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    torch.set_num_threads(1)
    return twins(request.param, tmp_path_factory.mktemp("weights"))


@torch.no_grad()
def test_outputs_are_torchvisions(pair: Twins) -> None:
    """Images of several sizes in one batch, and one of them alone; theirs one by one, as its batches are padded."""
    images = pictures(seed=1)
    for batch in (images, images[1:2]):
        theirs = [pair.theirs([image])[0] for image in batch]
        found = differences(theirs, predicted(pair.ours, batch))
        assert found.detections >= 6 * len(batch) and found.unmatched == 0
        assert found.scores < 1e-4 and found.boxes < 1e-3
        assert (found.masks or 0.0) < 1e-3 and (found.keypoints or 0.0) < 1e-3
        assert (found.keypoint_scores or 0.0) < 1e-3
    for image in theirs:
        for mask, box in zip(image.get("masks", []), image["boxes"], strict=False):
            inside = (mask >= 0.5).sum() / (box[2:] - box[:2]).prod()
            assert 0.05 < inside < 0.98, "neither empty nor full"
    scores = torch.cat([image["scores"] for image in theirs])
    assert scores.min() > 0.05 and scores.max() < 1 - 1e-3


def test_losses_are_torchvisions(pair: Twins) -> None:
    """All of them, with the regions that our seeds sample."""
    found = losses(pair)
    assert found
    for name, (theirs, ours) in found.items():
        assert theirs > 0 and ours == pytest.approx(theirs, rel=1e-5), name


@pytest.mark.parametrize("name", RCNN)
def test_every_number_is_torchvisions(name: str) -> None:
    """Read from the network that torchvision builds."""
    with torch.device("meta"):
        theirs: Any = getattr(detection, name)(weights=None, weights_backbone=None)
    config = configured(NETWORKS[name], eps=1e-5)
    own = DetectorConfig.model_validate(config.detector_options)
    rpn, roi, transform = theirs.rpn, theirs.roi_heads, theirs.transform
    assert (config.input.min_size, config.input.max_size) == (transform.min_size[-1], transform.max_size)
    assert (list(config.input.mean), list(config.input.std)) == (transform.image_mean, transform.image_std)
    assert config.input.divisor == transform.size_divisible
    assert own.anchors.sizes == rpn.anchor_generator.sizes
    assert set(rpn.anchor_generator.aspect_ratios) == {own.anchors.ratios}
    assert own.rpn.convs == len(rpn.head.conv)
    assert rpn._pre_nms_top_n == {"training": own.rpn.pre_nms_train, "testing": own.rpn.pre_nms_test}
    assert rpn._post_nms_top_n == {"training": own.rpn.post_nms_train, "testing": own.rpn.post_nms_test}
    assert own.rpn.nms_threshold == rpn.nms_thresh and own.rpn.score_threshold == rpn.score_thresh
    assert own.rpn.min_box_size == rpn.min_size
    assert (own.rpn.samples, own.rpn.positive_fraction) == sampler(rpn)
    assert (own.rpn.foreground, own.rpn.background) == thresholds(rpn)
    head = own.box_head
    assert (head.samples, head.positive_fraction) == sampler(roi)
    assert (head.foreground, head.background) == thresholds(roi)
    assert head.coder_weights == roi.box_coder.weights
    assert (head.score_threshold, head.nms_threshold) == (roi.score_thresh, roi.nms_thresh)
    assert head.detections == roi.detections_per_img
    assert (head.size,) * 2 == roi.box_roi_pool.output_size
    assert own.pooler.sampling_ratio == roi.box_roi_pool.sampling_ratio


def sampler(stage: Any) -> tuple[int, float]:
    return stage.fg_bg_sampler.batch_size_per_image, stage.fg_bg_sampler.positive_fraction


def thresholds(stage: Any) -> tuple[float, float]:
    return stage.proposal_matcher.high_threshold, stage.proposal_matcher.low_threshold


def test_words_are_cocos() -> None:
    things = vocabulary_of(MASK).things
    assert len(things) == 90 and (things[0], things[11], things[89]) == ("person", "unused 12", "toothbrush")
    assert vocabulary_of(POINT).skeletons == {"person": coco.PERSON} and len(coco.PERSON.edges) == 19
    assert coco.PERSON.mirror_order[:3] == (0, 2, 1)


def vocabulary_of(name: str) -> Any:
    categories = {MASK: 91, POINT: 2}[name]
    state = {
        "roi_heads.box_predictor.cls_score.bias": torch.zeros(categories),
        "roi_heads.keypoint_predictor.kps_score_lowres.bias": torch.zeros(17),
    }
    return torchvision_weights.networks.vocabulary(NETWORKS[name], state, "here")


@pytest.fixture(scope="module")
def state() -> Mapping[str, Tensor]:
    """Of a small mobile network with five classes."""
    torch.manual_seed(0)
    builder = detection.fasterrcnn_mobilenet_v3_large_320_fpn
    found: dict[str, Tensor] = builder(weights=None, weights_backbone=None, num_classes=6).state_dict()
    return found


MOBILE = "torchvision/fasterrcnn_mobilenet_v3_large_320_fpn"


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def refused(reason: str, source: str, file: Path, labels: list[str] | None = None) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        convert(source, file, labels)
    assert "\n" not in str(caught.value)


def test_another_number_of_classes(state: Mapping[str, Tensor], tmp_path: Path) -> None:
    file = saved(dict(state), tmp_path / "own.pth")
    assert convert(MOBILE, file).vocabulary.things == tuple(f"class {number}" for number in range(1, 6))
    words = ["cup", "fork", "knife", "spoon", "plate"]
    assert convert(MOBILE, file, words).vocabulary.things == tuple(words)
    refused("has 5 classes; expected as many labels, got 2", MOBILE, file, words[:2])


def test_files_that_do_not_fit(state: Mapping[str, Tensor], tmp_path: Path) -> None:
    file = saved(dict(state), tmp_path / "own.pth")
    refused(
        "not the weights of torchvision's fasterrcnn_resnet50_fpn: .*missing",
        "torchvision/fasterrcnn_resnet50_fpn",
        file,
    )
    refused("cls_score.bias is missing", MOBILE, saved({"x": torch.zeros(1)}, tmp_path / "other.pth"))
    refused("unknown network 'fasterrcnn_resnet5'; did you mean", "torchvision/fasterrcnn_resnet5", file)
    refused("unknown network ''", "torchvision", file)
    (tmp_path / "cut.pth").write_bytes(file.read_bytes()[:1000])
    refused("cut off", MOBILE, tmp_path / "cut.pth")
    refused("no such file", MOBILE, tmp_path / "none.pth")


def test_names_of_older_files() -> None:
    old = {
        "backbone.fpn.inner_blocks.2.weight": "stages.backbone.net.fpn.net.inner_blocks.2.0.weight",
        "rpn.head.conv.bias": "stages.rpn.convs.0.bias",
        "roi_heads.mask_head.mask_fcn4.weight": "heads.masks.convs.3.0.weight",
    }
    assert set(torchvision_weights.names.renamed({name: torch.zeros(2) for name in old})) == set(old.values())


def published(monkeypatch: pytest.MonkeyPatch, name: str, content: Mapping[str, Tensor] | Exception) -> None:
    """In place of the download."""

    def get_state_dict(self: Any, progress: bool, check_hash: bool) -> Mapping[str, Tensor]:
        assert check_hash
        if isinstance(content, Exception):
            raise content
        return content

    monkeypatch.setattr(type(NETWORKS[name].weights.DEFAULT), "get_state_dict", get_state_dict)


def test_published_weights_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    theirs = detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    published(monkeypatch, "fasterrcnn_resnet50_fpn", theirs.state_dict())
    model = load("torchvision/fasterrcnn_resnet50_fpn")
    assert not model.training and model.vocabulary.things == coco.THINGS_BY_ID
    assert {module.eps for module in model.modules() if isinstance(module, FrozenBatchNorm2d)} == {0.0}
    rows = model.state_dict()["stages.detection.predictor.classification.weight"]
    assert torch.equal(rows, theirs.roi_heads.box_predictor.cls_score.weight.roll(-1, dims=0))


@pytest.mark.parametrize("fault", [OSError("no route"), RuntimeError("invalid hash value")])
def test_published_weights_out_of_reach(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, POINT, fault)
    with pytest.raises(
        InputError, match=rf"fc266e95\.pth could not be loaded \({fault}\); .*scenekit convert"
    ) as caught:
        load(f"torchvision/{POINT}")
    assert "\n" not in str(caught.value)


def test_the_published_file_is_known_by_its_checksum(
    state: Mapping[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address ends in the first digits of the file's SHA-256."""
    name = MOBILE.partition("/")[2]
    file = saved(dict(state), tmp_path / "own.pth")
    right = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    for ending, eps in ((right, 0.0), ("0" * 8, 1e-5)):

        class Published(WeightsEnum):
            DEFAULT = Weights(f"https://example.org/net-{ending}.pth", transforms=None, meta={})

        monkeypatch.setitem(NETWORKS, name, replace(NETWORKS[name], weights=Published, published_eps=0.0))
        model = convert(MOBILE, file)
        assert {module.eps for module in model.modules() if isinstance(module, FrozenBatchNorm2d)} == {eps}


def test_the_source_names_what_it_knows() -> None:
    source = registry().get("weights", "torchvision")
    assert set(NAMES) <= set(source.names)
    assert all(re.search(r"-[0-9a-f]{8}\.pth$", NETWORKS[name].weights.DEFAULT.url) for name in NAMES)


def test_configurations_survive_json() -> None:
    for name in NAMES:
        config = configured(NETWORKS[name], 1e-5)
        assert ModelConfig.model_validate_json(config.model_dump_json()) == config
