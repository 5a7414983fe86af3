"""Names of torchvision's parameters and ours, and the order of their classes.

Letters: C foreground classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Rules = tuple[tuple[str, str], ...]
Numbered = tuple[tuple[str, str, Callable[[int], int | str]], ...]

TRUNK: Rules = (
    (r"backbone\.body\.(\d+)\.", r"stages.backbone.net.backbone.body.features.\1."),  # MobileNet
    (r"backbone\.body\.", r"stages.backbone.net.backbone.body."),  # ResNet
    (r"backbone\.fpn\.(\w+)\.(\d+)\.(weight|bias)$", r"stages.backbone.net.fpn.net.\1.\2.0.\3"),  # files before 0.13
    (r"backbone\.fpn\.", r"stages.backbone.net.fpn.net."),
)
"""Names of a backbone with a feature pyramid."""

RULES: Rules = (
    *TRUNK,
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

NUMBERED: Numbered = (
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


@dataclass(frozen=True)
class Names:
    """The names and the order of the classes of one kind of detector."""

    rules: Rules
    """(prefix of torchvision's name, our prefix); the first rule that matches applies."""
    numbered: Numbered = ()
    """(prefix of torchvision's name, our prefix, our number by torchvision's), where the numbers differ."""
    rearranged: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    """By our prefix, what is done with the rows of a parameter."""
    ignored: re.Pattern[str] = IGNORED
    """Names of torchvision without a counterpart."""


RCNN = Names(RULES, NUMBERED, REARRANGED)
"""Faster, Mask and Keypoint R-CNN."""


def renamed(state: Mapping[str, Tensor], names: Names = RCNN) -> dict[str, Tensor]:
    """Rename a state dict and reorder its classes; names that match no rule are kept.

    Args:
        state: torchvision's state dict.
        names: Names of the kind of detector.

    Returns:
        Our state dict.
    """
    kept = {_ours(name, names): value for name, value in state.items() if not names.ignored.fullmatch(name)}
    return {name: _rearranged(name, value, names) for name, value in kept.items()}


def _ours(name: str, names: Names) -> str:
    for pattern, template, number in names.numbered:
        if match := re.match(pattern, name):
            return template.format(number(int(match[1]))) + name[match.end() :]
    for pattern, replacement in names.rules:
        if match := re.match(pattern, name):
            return match.expand(replacement) + name[match.end() :]
    return name


def _rearranged(name: str, value: Tensor, names: Names) -> Tensor:
    for prefix, rearrange in names.rearranged.items():
        if name.startswith(prefix):
            return rearrange(value)
    return value
