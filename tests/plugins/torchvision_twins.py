"""A network of torchvision whose weights detect something, its twin of ours, and how far their outputs lie apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection

from scenekit.keys import KEYPOINTS, MASKS
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from scenekit.weights import convert

RCNN = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
    "keypointrcnn_resnet50_fpn",
)
ONE_STAGE = (
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
)
NAMES = (*RCNN, *ONE_STAGE)
SMALL = {"min_size": 128, "max_size": 192}
FEW = {"rpn_post_nms_top_n_test": 60, "rpn_post_nms_top_n_train": 60, "box_detections_per_img": 7}
FEW_DENSE = {"topk_candidates": 60, "detections_per_img": 7}
"""Small images and few regions, so that a network runs in seconds."""

SIZES = ((150, 201), (97, 64), (240, 320))
"""Enlarged, enlarged upright, and shrunk until the longer side fits."""

SPREAD = {
    "rpn.head.cls_logits": 1.0,
    "rpn.head.bbox_pred": 0.1,
    "roi_heads.box_predictor.cls_score": 0.7,
    "roi_heads.box_predictor.bbox_pred": 0.2,
    "roi_heads.mask_predictor.mask_fcn_logits": 1.0,
    "roi_heads.keypoint_predictor.kps_score_lowres": 1.0,
    "head.classification_head.cls_logits": 0.7,
    "head.regression_head.bbox_reg": 0.2,
    "head.regression_head.bbox_ctrness": 0.7,
}
"""Standard deviation that the outputs of the last layers get: clear decisions, but no saturated ones."""


@dataclass(frozen=True)
class Twins:
    """The same network twice."""

    theirs: Any
    ours: SceneModel


def pictures(seed: int = 0) -> list[Tensor]:
    """Smooth blobs of color with noise, floating point of 0..1, one for each of `SIZES`."""
    source = torch.Generator().manual_seed(seed)
    return [image(size, source) for size in SIZES]


def image(size: tuple[int, int], source: torch.Generator) -> Tensor:
    """One of them, of any size."""
    coarse = torch.rand(1, 3, 6, 7, generator=source)
    smooth = nn.functional.interpolate(coarse, size=size, mode="bicubic")[0]
    return (smooth + 0.1 * torch.randn(3, *size, generator=source)).clamp(0, 1)


def twins(name: str, folder: Path) -> Twins:
    """torchvision's network, filled by a fixed rule, and ours, converted from its state dict; both at reduced sizes."""
    theirs = filled(name)
    file = folder / f"{name}.pth"
    torch.save(theirs.state_dict(), file)
    ours = convert(f"torchvision/{name}", file)
    file.unlink()
    _reduce(ours, _sizes(name))
    return Twins(theirs, ours)


def _sizes(name: str) -> dict[str, int]:
    """Those of the input; the network that is made for small images keeps its own."""
    return {} if re.search("3[02]0", name) else SMALL


def filled(name: str) -> Any:
    """The network with fixed random weights and statistics."""
    torch.manual_seed(7)
    few = FEW_DENSE if name in ONE_STAGE else FEW
    model = getattr(detection, name)(weights=None, weights_backbone=None, **_sizes(name), **few).eval()
    scoring = model if name in ONE_STAGE else model.roi_heads
    told, scoring.score_thresh = scoring.score_thresh, 0.0  # every head gets regions to see
    (_observe if "mobilenet" in name else _settle)(model)
    _spread(model)
    scoring.score_thresh = told
    if name in ONE_STAGE:
        _learn_background(model)
    return model


@torch.no_grad()
def _learn_background(model: Any) -> None:
    """Give the class 0 of independent sigmoids, which no ground truth has, the scores that training would give it."""
    layer = getattr(model.head.classification_head, "cls_logits", None)
    if layer is None:  # softmax with background
        return
    layer.weight.unflatten(0, (-1, 91))[:, 0] = 0.0
    layer.bias.unflatten(0, (-1, 91))[:, 0] = -30.0
    if hasattr(model.head.regression_head, "bbox_ctrness"):  # distances below 0 are cut: boxes would be empty
        model.head.regression_head.bbox_reg.bias += 2.0


@torch.no_grad()
def _settle(model: Any) -> None:
    """Give batch norms random weights and statistics."""
    for norm in _norms(model):
        nn.init.uniform_(norm.weight, 0.3, 0.9)
        nn.init.normal_(norm.bias, std=0.1)
        nn.init.normal_(norm.running_mean, std=0.1)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)


@torch.no_grad()
def _observe(model: Any) -> None:
    """Give batch norms random weights and what they see of an image as statistics.

    With random ones a network without shortcuts sees all places nearly alike, and rounding decides among them.
    """
    for norm in _norms(model):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = None
        norm.train()
    model(pictures() if "SSD" in type(model).__name__ else pictures()[:1])  # the last map of SSD is a single place
    for norm in _norms(model):  # one variance a layer: channels that hardly vary would magnify what rounding leaves
        norm.running_var.fill_(norm.running_var.mean())
    model.eval()


def _norms(model: Any) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def _spread(model: Any) -> None:
    """Scale and shift last layers so that each of their outputs varies as wished, over places or regions."""
    layers = {name: layer for name, layer in model.named_modules() if _spread_of(name, layer) is not None}
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, output, name=name: seen[name].append(output))
        for name, layer in layers.items()
    ]
    model([pictures()[0]])
    for hook, (name, layer) in zip(hooks, layers.items(), strict=True):
        hook.remove()
        outputs = torch.cat([output.movedim(1, -1).flatten(0, -2) for output in seen[name]])
        if len(outputs) == 1:  # a single place does not vary
            continue
        factor = _spread_of(name, layer) / outputs.std(dim=0)
        channels = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        layer.weight *= factor.view([-1 if axis == channels else 1 for axis in range(layer.weight.dim())])
        layer.bias.copy_((layer.bias - outputs.mean(dim=0)) * factor)


def _spread_of(name: str, layer: Any) -> float | None:
    """The standard deviation of a last layer, None for others."""
    if ".module_list." in name and isinstance(layer, nn.Conv2d) and not re.search(r"\.0\.0$", name):
        return (0.7 if name.endswith(".1") else 2.0) if "classification" in name else 0.2
    return SPREAD.get(name)


def _reduce(model: SceneModel, sizes: dict[str, int]) -> None:
    """Those sizes and the numbers of `FEW` in a model that is built already."""
    model.config = model.config.model_copy(update={"input": model.config.input.model_copy(update=sizes)})
    if "proposals" not in model.stages:
        detector: Any = model.stages["detection"]
        few = {"candidates": FEW_DENSE["topk_candidates"], "detections": FEW_DENSE["detections_per_img"]}
        detector.options = detector.options.model_copy(update=few)
        return
    regions = FEW["rpn_post_nms_top_n_test"]
    for stage, numbers in {
        "proposals": {"post_nms_test": regions, "post_nms_train": regions},
        "detection": {"detections": FEW["box_detections_per_img"]},
    }.items():
        config: Any = model.stages[stage].config
        model.stages[stage].config = config.model_copy(update=numbers)


@torch.no_grad()
def predicted(model: SceneModel, images: Sequence[Tensor]) -> list[Scene]:
    """Scenes of one batch."""
    return model.scenes(model(model.preprocess(images)))


@dataclass(frozen=True)
class Differences:
    """Largest differences over all detections; `unmatched` have no partner with the same label in nearly its place.

    `boxes` and `keypoints` in pixels of the image, `masks` as the share of pixels of the images.
    """

    detections: int
    unmatched: int
    scores: float
    boxes: float
    masks: float | None = None
    keypoints: float | None = None
    keypoint_scores: float | None = None


def differences(theirs: Sequence[Mapping[str, Tensor]], ours: Sequence[Scene]) -> Differences:
    """What the two say of the same images, detection by detection."""
    parts = [_of_image(expected, scene) for expected, scene in zip(theirs, ours, strict=True)]
    total = sum(part.detections for part in parts)

    def largest(name: str) -> float | None:
        values = [getattr(part, name) for part in parts if part.detections]
        return None if not values or values[0] is None else max(values)

    return Differences(
        total,
        sum(part.unmatched for part in parts),
        largest("scores") or 0.0,
        largest("boxes") or 0.0,
        largest("masks"),
        largest("keypoints"),
        largest("keypoint_scores"),
    )


def _of_image(expected: Mapping[str, Tensor], scene: Scene) -> Differences:
    objects = scene.objects
    assert objects.scores is not None
    solid = (expected["boxes"][:, 2:] > expected["boxes"][:, :2]).all(dim=1)  # an empty box is no object here
    expected = {name: value[solid] for name, value in expected.items()}
    far = (expected["boxes"][:, None] - objects.boxes[None]).abs().amax(dim=2)
    far[expected["labels"][:, None] - 1 != objects.labels[None]] = torch.inf
    if min(far.shape) == 0:
        return Differences(len(far), abs(len(far) - len(objects)), 0.0, 0.0)
    near, place = far.min(dim=1)
    rows = (near < 0.5).nonzero()[:, 0]
    place = place[rows]
    unmatched = len(far) - len(rows) + len(objects) - len(place.unique())
    found: dict[str, Tensor] = {
        "scores": objects.scores[place] - expected["scores"][rows],
        "boxes": objects.boxes[place] - expected["boxes"][rows],
    }
    if "keypoints" in expected:
        found["keypoints"] = scene[KEYPOINTS].xy[place] - expected["keypoints"][rows, :, :2]
        found["keypoint_scores"] = scene[KEYPOINTS].scores[place] - expected["keypoints_scores"][rows]
    apart = {name: float(difference.abs().max()) for name, difference in found.items()}
    if "masks" in expected:
        wrong = scene[MASKS].dense[place] != (expected["masks"][rows, 0] >= 0.5)
        apart["masks"] = float(wrong.float().mean())
    return Differences(len(far), unmatched, **apart)
