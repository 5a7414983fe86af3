"""Which checkpoints of Cube R-CNN are converted, and that its numbers stay the same.

Letters: N regions, C classes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models import resnet18

from scenekit.detection import DetectorConfig
from scenekit.errors import InputError
from scenekit.keys import BOXES3D
from scenekit.model.build import build
from scenekit.model.preprocess import pack
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import fill
from scenekit.weights.convert import renamed as with_names
from scenekit_plugins.boxes3d.coding import rotation_of
from scenekit_plugins.boxes3d.config import Boxes3DConfig, CodeConfig
from scenekit_plugins.boxes3d.network import CubeNetwork
from scenekit_plugins.detectron2_weights import CUBE_RCNN
from scenekit_plugins.detectron2_weights.cubercnn import INDOOR, OMNI3D, OUTDOOR, PRIORS, SCALES, SIZES, infer
from scenekit_plugins.detectron2_weights.names import renamed

FOLDER = Path(__file__).parents[1] / "reference" / "mesh3d"
SHAPES = json.loads((FOLDER / "omni3d_state_dict.json").read_text())["models"]
HEADS = np.load(FOLDER / "omni3d_cube_head.npz")
CASES = sorted({name.rsplit("/", 1)[0] for name in HEADS.files if name.endswith("/x")})
ONE_BIN, MORE_BINS = ([name for name in CASES if name.endswith("bins=1") == one] for one in (True, False))

FILE = Path("model_final.pth")
CUBE = "roi_heads.cube_head."
State = dict[str, Tensor]


def reference(network: str) -> State:
    """The shapes of Cube R-CNN's own state dict, with priors."""
    state = {name: torch.empty(shape, device="meta") for name, shape in SHAPES[network].items()}
    return {**state, SIZES: torch.ones(SHAPES[network][SIZES])}


def small(cube: State, classes: int = 3, channels: int = 5, bins: int = 1) -> State:
    """A checkpoint on a ResNet-18 with narrow heads; `cube` is its cube head."""
    torch.manual_seed(3)
    trunk = {f"backbone.bottom_up.{name}": v for name, v in resnet18().state_dict().items() if name[:3] != "fc."}
    layers: dict[str, tuple[int, ...]] = {
        "proposal_generator.rpn_head.conv": (channels, channels, 3, 3),
        "proposal_generator.rpn_head.objectness_logits": (3, channels, 1, 1),
        "proposal_generator.rpn_head.anchor_deltas": (12, channels, 1, 1),
        "roi_heads.box_head.fc1": (7, channels * 4),
        "roi_heads.box_head.fc2": (6, 7),
        "roi_heads.box_predictor.cls_score": (classes + 1, 6),
        "roi_heads.box_predictor.bbox_pred": (classes * 4, 6),
    }
    for level, inputs in zip((2, 3, 4, 5, 6), (64, 128, 256, 512, 512), strict=True):
        layers[f"backbone.fpn_lateral{level}"] = (channels, inputs, 1, 1)
        layers[f"backbone.fpn_output{level}"] = (channels, channels, 3, 3)
    weights = {f"{name}.weight": 0.1 * torch.randn(shape) for name, shape in layers.items()}
    biases = {f"{name}.bias": 0.1 * torch.randn(shape[0]) for name, shape in layers.items()}
    priors = {SIZES: 0.2 + torch.rand(1, classes, 2, 3), SCALES: torch.ones(classes, bins)}
    return {**trunk, **weights, **biases, **priors, **cube}


def cube_of(case: str) -> State:
    """The weights of the peer's cube head."""
    prefix = f"{case}/param."
    arrays = {name: HEADS[name] for name in HEADS.files if name.startswith(prefix)}
    return {CUBE + name.removeprefix(prefix): torch.from_numpy(array) for name, array in arrays.items()}


def values_of(state: State) -> State:
    return renamed({name: v for name, v in state.items() if name not in PRIORS}, FILE, CUBE_RCNN.modules)


def test_the_released_network_is_converted_whole() -> None:
    state = reference("cubercnn_ResNet34_FPN")
    with torch.device("meta"):
        model = build(*infer(state, FILE))
    fill(model, values_of(state), "does not fit")
    assert model.tasks == ("boxes3d",) and model.vocabulary.things == OMNI3D


def test_the_network_is_that_of_its_configuration() -> None:
    """The numbers of Base.yaml and cubercnn_ResNet34_FPN.yaml."""
    config, _ = infer(reference("cubercnn_ResNet34_FPN"), FILE)
    images = config.input
    assert (images.min_size, images.max_size, images.divisor, images.bgr) == (512, 4096, 64, True)
    assert [255 * value for value in images.std] == pytest.approx((57.375, 57.120, 58.395))
    assert (config.backbone.name, config.pyramid.extra) == ("resnet34", "pool_backbone")
    detector = DetectorConfig.model_validate(config.detector_options)
    assert (detector.pooler.levels, detector.pooler.aligned, detector.pooler.sampling_ratio) == (5, True, 0)
    assert (detector.box_head.score_threshold, detector.box_head.detections) == (0.01, 100)
    assert detector.anchors.sizes == ((32,), (64,), (128,), (256,), (512,))
    boxes = Boxes3DConfig.model_validate(config.tasks["boxes3d"])
    assert (boxes.pooled, boxes.fcs, boxes.towers, boxes.uncertainty) == (7, (1024, 1024), "shared", True)
    assert boxes.code == CodeConfig()  # held against Cube R-CNN's "released" numbers in boxes3d/test_reference.py
    assert (boxes.loss.corners, boxes.first_uncertainty) == ("nearest", 5)


@pytest.mark.parametrize("names", [OMNI3D, INDOOR, OUTDOOR], ids=len)
def test_class_names_follow_from_their_number(names: tuple[str, ...]) -> None:
    assert len(names) in (50, 38, 11) and "bicycle" in names and len(set(names)) == len(names)
    state = reference("cubercnn_ResNet34_FPN")
    count = len(names)
    for name, rows in (
        ("roi_heads.box_predictor.cls_score", count + 1),
        ("roi_heads.box_predictor.bbox_pred", 4 * count),
    ):
        state[f"{name}.weight"] = torch.empty(rows, 1024, device="meta")
    state |= {SIZES: torch.ones(1, count, 2, 3), f"{CUBE}bbox_3D_pose.weight": torch.empty(6 * count, 1024)}
    assert infer(state, FILE)[1].things == names


@pytest.mark.parametrize("case", ONE_BIN)
def test_the_cube_head_gives_the_numbers_of_cube_r_cnn(case: str) -> None:
    state = small(cube_of(case))
    config, vocabulary = infer(state, FILE)
    options = Boxes3DConfig.model_validate(config.tasks["boxes3d"])
    network = CubeNetwork(5 * options.pooled**2, vocabulary.things, options)
    prefix = "heads.boxes3d.network."
    network.load_state_dict({n.removeprefix(prefix): v for n, v in values_of(state).items() if n.startswith(prefix)})
    x, deltas, z, dims, rotation, uncertainty = (
        torch.from_numpy(HEADS[f"{case}/{name}"]) for name in ("x", "deltas", "z", "dims", "pose", "uncert")
    )
    found = network(x)
    ours = (found.deltas, found.depth, found.size, rotation_of(found.pose, options.code.pose), found.uncertainty)
    for mine, theirs in zip(ours, (deltas, z.reshape(found.depth.shape), dims, rotation, uncertainty), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def state() -> State:
    return small(cube_of("6d|shared_fc=True|bins=1"))


@pytest.fixture(scope="module")
def model(state: State, tmp_path_factory: pytest.TempPathFactory) -> SceneModel:
    """A model from a file of a training run."""
    file = tmp_path_factory.mktemp("cube") / "model_recent.pth"
    torch.save({"model": state, "optimizer": {"state": {}, "param_groups": []}, "iteration": 7}, file)
    return CUBE_RCNN.convert("", file)


def test_the_pyramid_is_that_of_detectron2(model: SceneModel, state: State) -> None:
    """The trunk is torchvision's; the rest is written down from He et al. and Lin et al., with one more level."""
    image = torch.randint(0, 256, (3, 96, 140), dtype=torch.uint8)
    batch = pack([image], model.config.input)
    assert batch.pixels.shape[2:] == (128, 192)  # multiples of 64
    net = resnet18().eval()
    net.load_state_dict(
        {n.removeprefix("backbone.bottom_up."): v for n, v in state.items() if ".bottom_up." in n}, False
    )
    with torch.inference_mode():
        features = net.maxpool(net.relu(net.bn1(net.conv1(batch.pixels))))
        maps = []
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            maps.append(features := layer(features))
        maps.append(F.max_pool2d(maps[-1], kernel_size=1, stride=2))
        merged: list[Tensor] = []
        for level, features in reversed(list(enumerate(maps, start=2))):
            weight, bias = (state[f"backbone.fpn_lateral{level}.{leaf}"] for leaf in ("weight", "bias"))
            lateral = F.conv2d(features, weight, bias)
            merged.insert(0, lateral + F.interpolate(merged[0], scale_factor=2.0) if merged else lateral)
        wanted = [
            F.conv2d(features, *(state[f"backbone.fpn_output{level}.{leaf}"] for leaf in ("weight", "bias")), padding=1)
            for level, features in enumerate(merged, start=2)
        ]
        found = model.stages["backbone"].net(batch.pixels)
    assert found.strides == (4, 8, 16, 32, 64)
    for mine, theirs in zip(found.maps, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_priors_are_those_of_the_checkpoint_under_any_class_names(model: SceneModel, state: State) -> None:
    assert torch.equal(model.heads["boxes3d"].priors.size, state[SIZES][0])
    other = with_names(model, ["class 2", "mug", "human"])
    assert torch.equal(other.heads["boxes3d"].priors.size, state[SIZES][0])
    assert other.vocabulary.things == ("class 2", "mug", "human")


def test_the_model_predicts_boxes(model: SceneModel) -> None:
    scene = model.predict(torch.randint(0, 256, (3, 96, 140), dtype=torch.uint8), threshold=0.0)
    assert len(scene[BOXES3D]) == len(scene.objects) > 0


def case_of(name: str) -> State:
    return small(cube_of(name), bins=int(name.rpartition("=")[2]))


def changed(entry: str, value: Any) -> State:
    return {**small(cube_of("6d|shared_fc=True|bins=1")), entry: value}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: reference("cubercnn_DLA34_FPN"), "the trunk of this one is a DLA"),
        (lambda: case_of(MORE_BINS[0]), "bins of depth by the size of a box in pixels"),
        (lambda: changed(SIZES, torch.zeros(1, 3, 2, 3)), "has sizes that are not positive"),
        (lambda: changed(SIZES, torch.ones(1, 4, 2, 3)), "no roi_heads.priors_dims_per_cat of 3 classes"),
        (lambda: changed(f"{CUBE}bbox_3D_pose.weight", torch.ones(6, 12)), "rotations of this one have 2 numbers"),
        (lambda: {n: v for n, v in case_of(ONE_BIN[0]).items() if "layer3" not in n}, "not a ResNet of torchvision"),
    ],
    ids=["DLA", "bins", "sizes", "classes", "pose", "trunk"],
)
def test_other_networks_are_refused(make: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        infer(make(), FILE)


def test_the_file_needs_no_name_beside_it() -> None:
    with pytest.raises(InputError, match="use cubercnn without a name"):
        CUBE_RCNN.convert("cubercnn_ResNet34_FPN", FILE)
