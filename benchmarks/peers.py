"""Mask R-CNN R50-FPN with the same weights in torchvision and in scenekit, for the same workload.

The weights are random, scaled so that an image of 800x1066 gets 40 detections out of several hundred candidates. In
both, batch norm, the stem and the first stage are frozen, as in torchvision's fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.scene import Objects
from scenekit.training.checkpointing import checkpointing_trunks, trunks_of
from scenekit.weights import convert, load, save_model

NAME = "maskrcnn_resnet50_fpn"
SIZE = (800, 1066)
DETECTIONS = 40
LEARNING_STAGES = 3
RECOMPUTED = "recomputed"
"""Ours with gradient checkpointing."""
SPREAD = {
    "rpn.head.cls_logits": 1.0,
    "rpn.head.bbox_pred": 0.3,
    "roi_heads.box_predictor.cls_score": 2.0,
    "roi_heads.box_predictor.bbox_pred": 0.3,
    "roi_heads.mask_predictor.mask_fcn_logits": 1.0,
}
"""Standard deviation of the outputs of the last layers."""


def write_twins(folder: Path) -> None:
    """Write the weights of both networks, in the format of each library."""
    theirs = _their_network()
    _fill(theirs)
    torch.save(theirs.state_dict(), folder / "theirs.pth")
    converted = convert(f"torchvision/{NAME}", folder / "theirs.pth")
    config = converted.config
    backbone = {**config.backbone.options, "trainable_stages": LEARNING_STAGES}
    changed = config.model_copy(
        update={
            "backbone": config.backbone.model_copy(update={"options": backbone}),
            "detector_options": {**config.detector_options, "box_head": {"detections": DETECTIONS}},
        }
    )
    ours = sk.build(changed, converted.vocabulary)
    ours.load_state_dict(converted.state_dict())
    save_model(ours, folder / "ours.safetensors")


def inference(whose: str, folder: Path, device: torch.device, batch: int) -> Callable[[], Any]:
    """Return the inference step: from images in memory to masks in the original images."""
    images = [image(seed).to(device) for seed in range(batch)]
    precision = _precision(device)
    if whose == "theirs":
        theirs = _theirs(folder, device).eval()

        @torch.inference_mode()
        def detect() -> Any:
            with precision():
                return theirs(images)

        return detect
    ours = _ours(folder, device).eval()

    @torch.inference_mode()
    def predict() -> Any:
        with precision():
            return ours.scenes(ours(ours.preprocess(images)))

    return predict


def training(whose: str, folder: Path, device: torch.device, batch: int) -> Callable[[], Any]:
    """Return the training step: preprocessing of images and targets, losses, gradients, and SGD with momentum.

    That of "recomputed" is ours with gradient checkpointing.
    """
    precision = _precision(device)
    if whose == "theirs":
        theirs = _theirs(folder, device).train()
        images = [image(seed).to(device) for seed in range(batch)]
        targets = [_their_target(seed, device) for seed in range(batch)]
        return _stepper(theirs, lambda: theirs(images, targets), precision)
    ours = _ours(folder, device).train()
    samples = [_our_sample(seed, ours.vocabulary) for seed in range(batch)]

    def losses() -> Mapping[str, Tensor]:
        seeds = list(range(batch))
        packed = collate(
            samples, vocabulary=ours.vocabulary, keys=ours.learns_from, config=ours.config.input, seeds=seeds
        )
        found: Mapping[str, Tensor] = ours(*(part.to(device) for part in packed)).losses
        return found

    if whose != RECOMPUTED:
        return _stepper(ours, losses, precision)
    trunks = trunks_of(ours)

    def recomputed() -> Mapping[str, Tensor]:
        with checkpointing_trunks(trunks):
            return losses()

    return _stepper(ours, recomputed, precision)


def _stepper(
    model: nn.Module, losses: Callable[[], Mapping[str, Tensor]], precision: Callable[[], AbstractContextManager[Any]]
) -> Callable[[], Any]:
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1e-6, momentum=0.9)

    def step() -> None:
        with precision():
            total = torch.stack([loss.float() for loss in losses().values()]).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def _theirs(folder: Path, device: torch.device) -> Any:
    network = _their_network()
    network.load_state_dict(torch.load(folder / "theirs.pth", weights_only=True, mmap=True))
    return _placed(network, device)


def _ours(folder: Path, device: torch.device) -> sk.SceneModel:
    model: sk.SceneModel = _placed(load(folder / "ours.safetensors"), device)
    return model


def _placed(network: nn.Module, device: torch.device) -> Any:
    return network.to(device, memory_format=torch.channels_last) if device.type == "cuda" else network


def _precision(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Return the autocast context: bfloat16 on a GPU, none on a CPU."""
    return lambda: torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _their_network() -> Any:
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=LEARNING_STAGES
    )
    return MaskRCNN(backbone, 91, box_detections_per_img=DETECTIONS)


@torch.no_grad()
def _fill(theirs: Any) -> None:
    """Fill the last batch norms of residual blocks, which keep activations small, and scale the last layers."""
    for name, module in theirs.backbone.named_modules():
        if name.endswith("bn3"):
            module.weight.fill_(0.2)
    layers = {name: layer for name, layer in theirs.named_modules() if name in SPREAD}
    for name, layer in layers.items():
        scale_once(layer, SPREAD[name])
    theirs.eval()([image(0)])


def scale_once(layer: nn.Module, spread: float) -> None:
    """Scale the layer at its next call so that the standard deviation of its outputs is `spread`."""

    def hook(layer: Any, _inputs: Any, output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        handle.remove()
        levels = output if isinstance(output, tuple) else (output,)
        factor = spread / torch.cat([level.flatten() for level in levels]).std()
        layer.weight.mul_(factor)
        layer.bias.mul_(factor)
        scaled = tuple(level * factor for level in levels)
        return scaled if isinstance(output, tuple) else scaled[0]

    handle = layer.register_forward_hook(hook)


def image(seed: int) -> Tensor:
    """Draw smooth blobs of color with noise, [3 H W] in 0..1."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 12, 16, generator=source)
    smooth = nn.functional.interpolate(coarse, size=SIZE, mode="bicubic")[0]
    return (smooth + 0.1 * torch.randn(3, *SIZE, generator=source)).clamp(0, 1)


def _ground_truth(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw boxes [8 4], labels [8] and bitmaps [8 H W] of eight objects, each a disk in its box."""
    source = torch.Generator().manual_seed(seed)
    corners = torch.rand(8, 2, generator=source) * torch.tensor([SIZE[1] - 320.0, SIZE[0] - 320.0])
    boxes = torch.cat((corners, corners + 40 + 270 * torch.rand(8, 2, generator=source)), dim=1).round()
    y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    center, radius = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    offsets = torch.stack((x, y))[None] - center[:, :, None, None]
    return boxes, torch.arange(8), (offsets / radius[:, :, None, None]).square().sum(dim=1) <= 1


def _our_sample(seed: int, vocabulary: sk.Vocabulary) -> sk.Sample:
    boxes, labels, disks = _ground_truth(seed)
    scene = sk.Scene(SIZE, vocabulary, {sk.OBJECTS: Objects(boxes, labels)}, {sk.MASKS: sk.Masks.from_dense(disks)})
    pixels = (image(seed) * 255).round().to(torch.uint8)
    return sk.Sample(pixels, scene, sk.Supervision(frozenset({sk.MASKS})), seed)


def _their_target(seed: int, device: torch.device) -> dict[str, Tensor]:
    boxes, labels, disks = _ground_truth(seed)
    target = {"boxes": boxes, "labels": labels + 1, "masks": disks.to(torch.uint8)}
    return {name: value.to(device) for name, value in target.items()}
