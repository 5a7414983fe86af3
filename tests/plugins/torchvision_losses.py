"""Losses of torchvision's networks and ours on the same labelled images, with the same sampled regions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scenekit.data.collate import collate
from scenekit.data.sample import Sample, Supervision
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS
from scenekit.ops.rng import generator
from scenekit.ops.sampling import sample_balanced
from scenekit.scene import Objects, Scene
from scenekit.structures import Keypoints, Masks

from .torchvision_twins import Twins, image

SEEDS = (3, 4)
"""Of the two images of a batch: what they show, and what is sampled in them."""

LOSSES = {
    "proposals.objectness": "loss_objectness",
    "proposals.rpn_box": "loss_rpn_box_reg",
    "detection.classification": "loss_classifier",
    "detection.box": "loss_box_reg",
    "masks.mask": "loss_mask",
    "keypoints.keypoint": "loss_keypoint",
}
DENSE_LOSSES = {
    "detection.classification": "classification",
    "detection.box": "bbox_regression",
    "detection.centerness": "bbox_ctrness",
}


def losses(pair: Twins) -> dict[str, tuple[float, float]]:
    """(theirs, ours) of every loss that torchvision has for the network, by our name.

    Images already have the size of the input, as torchvision's resampling of masks is a matter of the data.
    """
    samples = [_sample(pair, seed) for seed in SEEDS]
    model = pair.ours
    batch, targets = collate(
        samples, vocabulary=model.vocabulary, keys=model.learns_from, config=model.config.input, seeds=SEEDS
    )
    ours = model(batch, targets).losses
    theirs = _theirs(pair.theirs, samples)
    assert len(ours) == len(theirs)
    names = DENSE_LOSSES if "classification" in theirs else LOSSES
    return {name: (theirs[names[name]].item(), value.item()) for name, value in ours.items()}


def _theirs(model: Any, samples: list[Sample]) -> dict[str, Tensor]:
    """In training mode, without which torchvision gives no losses, but with batch norms as they are."""
    stages = {model.rpn: "proposals", model.roi_heads: "detection"} if hasattr(model, "rpn") else {}
    before = {stage: stage.fg_bg_sampler for stage in stages}
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    try:
        for stage, purpose in stages.items():
            stage.fg_bg_sampler = OurSampler(
                purpose, before[stage].batch_size_per_image, before[stage].positive_fraction
            )
        found: dict[str, Tensor] = model([one.image / 255 for one in samples], [_labels(one) for one in samples])
        return found
    finally:
        model.eval()
        for stage, sampler in before.items():
            stage.fg_bg_sampler = sampler


class OurSampler:
    """Chooses for torchvision what we choose; its labels are -1 (left out), 0 (background) and above (foreground)."""

    def __init__(self, purpose: str, count: int, fraction: float) -> None:
        self.purpose, self.count, self.fraction = purpose, count, fraction

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        positives, negatives = [], []
        for seed, own in zip(SEEDS, labels, strict=True):
            source = generator(seed, self.purpose)
            rows = sample_balanced(own >= 1, own == 0, self.count, self.fraction, source)
            chosen = torch.zeros_like(own, dtype=torch.bool).index_fill(0, rows, True)
            positives.append((chosen & (own >= 1)).to(torch.uint8))
            negatives.append((chosen & (own == 0)).to(torch.uint8))
        return positives, negatives


def _sample(pair: Twins, seed: int) -> Sample:
    """An image of the input's size with four objects: ellipses with seventeen points, some of them hidden."""
    config = pair.ours.config.input
    size = config.fixed_size or (config.min_size, config.min_size * 5 // 4)
    source = torch.Generator().manual_seed(seed)
    corners = torch.rand(4, 2, 2, generator=source) * torch.tensor([0.5 * size[1], 0.5 * size[0]])
    boxes = torch.cat((corners[:, 0], corners[:, 0] + corners[:, 1] + 12), dim=1).round()
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    inside = ((torch.stack((x, y)) - center[:, :, None, None]) / half[:, :, None, None]).square().sum(dim=1) < 1
    points = boxes[:, None, :2] + torch.rand(4, 17, 2, generator=source) * 2 * half[:, None]
    seen = torch.randint(0, 3, (4, 17), generator=source)
    things = len(pair.ours.vocabulary.things)
    scene = Scene(
        size,
        pair.ours.vocabulary,
        {OBJECTS: Objects(boxes, torch.randint(0, things, (4,), generator=source))},
        {MASKS: Masks.from_dense(inside), KEYPOINTS: Keypoints(points, seen)},
    )
    pixels = (image(size, source) * 255).to(torch.uint8)
    return Sample(pixels, scene, Supervision(frozenset({MASKS, KEYPOINTS})), seed)


def _labels(one: Sample) -> dict[str, Tensor]:
    """The same for torchvision, whose background is 0."""
    objects, keypoints = one.scene.objects, one.scene[KEYPOINTS]
    return {
        "boxes": objects.boxes,
        "labels": objects.labels + 1,
        "masks": one.scene[MASKS].dense.to(torch.uint8),
        "keypoints": torch.cat((keypoints.xy, keypoints.visibility[..., None]), dim=2),
    }
