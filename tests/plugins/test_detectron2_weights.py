"""Which networks of detectron2 are converted, that nothing is left over or missing, and what is refused.

The shapes are written down from detectron2's configurations, on the meta device: they take no memory.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.detection import DetectorConfig
from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.weights.checkpoint import fill
from scenekit_plugins.detectron2_weights import DETECTRON2
from scenekit_plugins.detectron2_weights.architecture import infer
from scenekit_plugins.detectron2_weights.names import renamed
from tests.plugins import detectron2_parity as parity

FILE = Path("model_final.pkl")
R50, R101, X101 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 4, 23, 3)

State = dict[str, Tensor]


def entry(state: State, name: str, *shape: int, bias: bool = True) -> None:
    state[f"{name}.weight"] = torch.empty(shape, device="meta")
    if bias:
        state[f"{name}.bias"] = torch.empty(shape[0], device="meta")


def normed_conv(state: State, name: str, *shape: int) -> None:
    entry(state, name, *shape, bias=False)
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        state[f"{name}.norm.{leaf}"] = torch.empty(shape[0], device="meta")


def resnet(blocks: tuple[int, ...], groups: int = 1, width_per_group: int = 64) -> State:
    """A bottleneck network (He et al., 2016, table 1; Xie et al., 2017, table 1)."""
    state: State = {}
    normed_conv(state, "backbone.bottom_up.stem.conv1", 64, 3, 7, 7)
    before = 64
    for stage, count in enumerate(blocks):
        width, after = groups * width_per_group * 2**stage, 256 * 2**stage
        for block in range(count):
            name = f"backbone.bottom_up.res{stage + 2}.{block}"
            if block == 0:
                normed_conv(state, f"{name}.shortcut", after, before, 1, 1)
            normed_conv(state, f"{name}.conv1", width, before, 1, 1)
            normed_conv(state, f"{name}.conv2", width, width // groups, 3, 3)
            normed_conv(state, f"{name}.conv3", after, width, 1, 1)
            before = after
    return state


def detector(classes: int = 80, channels: int = 256, hidden: int = 1024) -> State:
    state: State = {}
    for level in (2, 3, 4, 5):
        entry(state, f"backbone.fpn_lateral{level}", channels, 256 * 2 ** (level - 2), 1, 1)
        entry(state, f"backbone.fpn_output{level}", channels, channels, 3, 3)
    entry(state, "proposal_generator.rpn_head.conv", channels, channels, 3, 3)
    entry(state, "proposal_generator.rpn_head.objectness_logits", 3, channels, 1, 1)
    entry(state, "proposal_generator.rpn_head.anchor_deltas", 12, channels, 1, 1)
    entry(state, "roi_heads.box_head.fc1", hidden, channels * 49)
    entry(state, "roi_heads.box_head.fc2", hidden, hidden)
    entry(state, "roi_heads.box_predictor.cls_score", classes + 1, hidden)
    entry(state, "roi_heads.box_predictor.bbox_pred", classes * 4, hidden)
    return state


def mask_head(classes: int = 80, channels: int = 256) -> State:
    state: State = {}
    for number in (1, 2, 3, 4):
        entry(state, f"roi_heads.mask_head.mask_fcn{number}", channels, channels, 3, 3)
    entry(state, "roi_heads.mask_head.deconv", channels, channels, 2, 2)
    entry(state, "roi_heads.mask_head.predictor", classes, channels, 1, 1)
    return state


def model_of(state: State) -> sk.SceneModel:
    """The network with the checkpoint in it, strictly: every entry used, every parameter filled."""
    with torch.device("meta"):
        model = build(*infer(state, FILE))
    fill(model, renamed(state, FILE), "does not fit")
    return model


@pytest.mark.parametrize(
    ("network", "tasks"),
    [("keypoint", ("keypoints",)), ("panoptic", ("masks", "semantic", "panoptic"))],
)
def test_heads_follow_from_the_names(network: str, tasks: tuple[str, ...]) -> None:
    """State dicts of detectron2 0.6 itself."""
    state = {name: torch.empty(shape, device="meta") for name, shape in parity.shapes(network).items()}
    assert model_of(state).tasks == tasks


@pytest.mark.parametrize(
    ("state", "name", "std", "stride_in_1x1"),
    [
        (resnet(R50), "resnet50", (1.0, 1.0, 1.0), True),
        (resnet(R101), "resnet101", (1.0, 1.0, 1.0), True),
        (resnet(X101, groups=32, width_per_group=8), "resnext101_32x8d", (57.375, 57.120, 58.395), False),
    ],
    ids=["R50", "R101", "X101"],
)
def test_backbone_follows_from_the_shapes(state: State, name: str, std: tuple[float, ...], stride_in_1x1: bool) -> None:
    model = model_of({**state, **detector(), **mask_head()})
    assert model.tasks == ("masks",)
    backbone, images = model.config.backbone, model.config.input
    assert (backbone.name, backbone.options["stride_in_1x1"]) == (name, stride_in_1x1)
    assert [255 * value for value in images.std] == pytest.approx(std)
    assert [255 * value for value in images.mean] == pytest.approx((103.530, 116.280, 123.675))
    assert images.bgr and (images.min_size, images.max_size, images.divisor) == (800, 1333, 32)


def test_sizes_follow_from_the_shapes() -> None:
    config, vocabulary = infer({**resnet(R50), **detector(7, 64, 32), **mask_head(7, 64)}, FILE)
    assert vocabulary.things == tuple(f"class {number}" for number in range(1, 8))
    assert config.pyramid.channels == 64
    assert config.tasks["masks"]["channels"] == 64
    assert config.detector_options["box_head"] == {"size": 7, "fcs": [32, 32]}


def test_the_detector_is_that_of_base_rcnn_fpn() -> None:
    """The numbers of detectron2's defaults and Base-RCNN-FPN.yaml."""
    options = infer({**resnet(R50), **detector()}, FILE)[0].detector_options
    config = DetectorConfig.model_validate(options)
    anchors, rpn, pooler, box = config.anchors, config.rpn, config.pooler, config.box_head
    assert (anchors.sizes, anchors.ratios) == (((32,), (64,), (128,), (256,), (512,)), (0.5, 1, 2))
    assert (anchors.rounded, anchors.offset, anchors.stride) == (False, 0, "nominal")
    assert (rpn.pre_nms_train, rpn.pre_nms_test, rpn.post_nms_train, rpn.post_nms_test) == (2000, 1000, 1000, 1000)
    assert (rpn.nms_threshold, rpn.min_box_size, rpn.score_threshold) == (0.7, 0, 0)
    assert (rpn.background, rpn.foreground, rpn.samples, rpn.positive_fraction) == (0.3, 0.7, 256, 0.5)
    assert (box.score_threshold, box.nms_threshold, box.detections, box.min_box_size) == (0.05, 0.5, 100, 0)
    assert (box.foreground, box.samples, box.positive_fraction) == (0.5, 512, 0.25)
    assert (box.size, box.fcs, box.coder_weights) == (7, (1024, 1024), (10, 10, 5, 5))
    assert (rpn.smooth_l1_beta, box.smooth_l1_beta) == (0, 0)
    assert (pooler.levels, pooler.aligned, pooler.sampling_ratio) == (4, True, 0)
    assert (pooler.canonical_size, pooler.canonical_level) == (224, 4)
    assert (pooler.level_epsilon, pooler.epsilon_inside_log) == (1e-8, True)


def test_what_the_configuration_says_is_ignored() -> None:
    ignored = (
        "pixel_mean",
        "pixel_std",
        "proposal_generator.anchor_generator.cell_anchors.0",
        "backbone.bottom_up.stem.conv1.norm.num_batches_tracked",
    )
    assert renamed(dict.fromkeys(ignored, torch.zeros(3)), FILE) == {}


def without(state: State, part: str) -> State:
    return {name: value for name, value in state.items() if part not in name}


def cascade() -> State:
    return {name.replace("box_head.", "box_head.0."): value for name, value in detector().items()}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({**resnet(R50), **without(detector(), "rpn_head")}, "has no proposal_generator.rpn_head.conv.weight"),
        ({**resnet(R50), **cascade()}, "has no roi_heads.box_head.fc1.weight"),
        ({**resnet(R50), **without(detector(), "fpn")}, "has no backbone.fpn_output2.weight"),
        (resnet(R50), "Faster, Mask or Keypoint R-CNN or a Panoptic FPN"),
        ({**resnet(R50), **detector(), **without(mask_head(), "mask_fcn1")}, "has no roi_heads.mask_head.mask_fcn1"),
        ({**resnet(R50), **detector(), "backbone.fpn_output2.weight": torch.empty(0, 256, 3, 3)}, "has an empty"),
        ({**resnet(R50), **detector(), "backbone.fpn_output2.weight": torch.tensor(1.0)}, "has an empty"),
        ({**resnet((3, 8, 36, 3)), **detector()}, "36 blocks in res4"),
        ({**resnet(R101, groups=32, width_per_group=4), **detector()}, "32 groups of 4 channels"),
        (
            {**resnet(R50), **detector(), "backbone.fpn_lateral2.norm.weight": torch.empty(256)},
            "'backbone.fpn_lateral2.norm.weight'",
        ),
        ({**resnet(R50), **detector(), "roi_heads.box_predictor.bbox_pred.weight": torch.empty(4, 1024)}, "offsets"),
        ({**resnet(R50), **without(detector(), "fpn_lateral3.bias")}, "inner_blocks.1.0.bias missing"),
        (
            {**resnet(R50), **detector(), "proposal_generator.rpn_head.objectness_logits.weight": torch.empty(5, 256)},
            "objectness.weight of another shape",
        ),
    ],
)
def test_other_networks_are_refused(state: State, told: str) -> None:
    with pytest.raises(InputError, match=told):
        model_of(state)


def test_names_of_models_are_not_downloaded() -> None:
    with pytest.raises(InputError, match=r"MODEL_ZOO.md and run: scenekit convert detectron2 CHECKPOINT"):
        sk.load("detectron2/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x")


def test_the_file_needs_no_name_beside_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the network is determined from the file"):
        DETECTRON2.convert("mask_rcnn", tmp_path / "model_final.pkl")


def test_reference_shapes_are_those_written_down_here() -> None:
    """So that R101 and X101 above, of which there is no reference, are built by rules that give R50's."""
    written = {name: list(value.shape) for name, value in {**resnet(R50), **detector(), **mask_head()}.items()}
    assert written == json.loads((parity.REFERENCE / "mask_state_dict.json").read_text())
