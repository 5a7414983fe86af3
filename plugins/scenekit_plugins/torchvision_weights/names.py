"""Names of torchvision's parameters and ours, and the order of their classes.

Letters: C foreground classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

RULES: tuple[tuple[str, str], ...] = (
    (r"backbone\.body\.(\d+)\.", r"stages.backbone.net.backbone.body.features.\1."),  # MobileNet
    (r"backbone\.body\.", r"stages.backbone.net.backbone.body."),  # ResNet
    (r"backbone\.fpn\.(\w+)\.(\d+)\.(weight|bias)$", r"stages.backbone.net.fpn.net.\1.\2.0.\3"),  # files before 0.13
    (r"backbone\.fpn\.", r"stages.backbone.net.fpn.net."),
    (r"rpn\.head\.conv\.(weight|bias)$", r"stages.rpn.convs.0.\1"),  # files before 0.13
    (r"rpn\.head\.conv\.(\d+)\.0\.", r"stages.rpn.convs.\1."),
    (r"rpn\.head\.cls_logits\.", r"stages.proposals.objectness."),
    (r"rpn\.head\.bbox_pred\.", r"stages.proposals.deltas."),
    (r"roi_heads\.box_head\.fc6\.", r"stages.detection.head.fcs.0.0."),
    (r"roi_heads\.box_head\.fc7\.", r"stages.detection.head.fcs.1.0."),
    (r"roi_heads\.box_head\.(\d+)\.(\d+)\.", r"stages.detection.head.convs.\1.\2."),
    (r"roi_heads\.box_head\.5\.", r"stages.detection.head.fcs.0.0."),  # after four convolutions and the flattening
    (r"roi_heads\.box_predictor\.cls_score\.", r"stages.detection.predictor.classification."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", r"stages.detection.predictor.deltas."),
    (r"roi_heads\.mask_head\.(\d+)\.(\d+)\.", r"heads.masks.convs.\1.\2."),
    (r"roi_heads\.mask_predictor\.conv5_mask\.", r"heads.masks.deconv."),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.", r"heads.masks.predictor."),
    (r"roi_heads\.keypoint_predictor\.kps_score_lowres\.", r"heads.keypoints.predictor."),
)
"""(prefix of torchvision's name, our prefix); the first rule that matches applies."""

NUMBERED: tuple[tuple[str, str, Callable[[int], int]], ...] = (
    (r"roi_heads\.mask_head\.mask_fcn(\d+)\.", "heads.masks.convs.{}.0.", lambda number: number - 1),  # before 0.13
    (r"roi_heads\.keypoint_head\.(\d+)\.", "heads.keypoints.convs.{}.0.", lambda layer: layer // 2),  # ReLU counts
)
"""(prefix of torchvision's name, our prefix, our number by torchvision's), where the numbers differ."""

IGNORED = re.compile(r"backbone\.body\..*\.num_batches_tracked")
"""Counters of batch norms that are frozen here."""

REARRANGED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "stages.detection.predictor.classification.": lambda rows: rows.roll(-1, dims=0),
    "stages.detection.predictor.deltas.": lambda rows: rows[4:],
    "heads.masks.predictor.": lambda rows: rows[1:],
}
"""Background is torchvision's first class. Here it is the last, and has neither offsets nor a mask."""


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict and reorder its classes; names that match no rule are kept.

    Args:
        state: torchvision's state dict.

    Returns:
        Our state dict.
    """
    kept = {_ours(name): value for name, value in state.items() if not IGNORED.fullmatch(name)}
    return {name: _rearranged(name, value) for name, value in kept.items()}


def _ours(name: str) -> str:
    for pattern, template, number in NUMBERED:
        if match := re.match(pattern, name):
            return template.format(number(int(match[1]))) + name[match.end() :]
    for pattern, replacement in RULES:
        if match := re.match(pattern, name):
            return match.expand(replacement) + name[match.end() :]
    return name


def _rearranged(name: str, value: Tensor) -> Tensor:
    for prefix, rearrange in REARRANGED.items():
        if name.startswith(prefix):
            return rearrange(value)
    return value
