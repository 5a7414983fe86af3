"""Names of the parameters of torchvision's one-stage detectors.

Letters: A reference boxes per cell, C classes without background, K columns per reference box.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from torch import Tensor

from scenekit_plugins.torchvision_weights.names import TRUNK, Names, Rules

ANCHORS = 9
"""Anchors per cell of RetinaNet."""


def by_column(anchors: int, background: bool = True) -> Callable[[Tensor], Tensor]:
    """Return a function from rows by reference box, then column, to rows by column, then reference box.

    Args:
        anchors: Number A of reference boxes per cell.
        background: Whether the first column is a background, which is left out.

    Returns:
        The function, for a weight or a bias [A*K ...].
    """

    def rearrange(rows: Tensor) -> Tensor:
        by_anchor = _by_anchor(rows, anchors)
        return by_anchor[:, int(background) :].transpose(0, 1).flatten(0, 1)

    return rearrange


def background_last(anchors: int) -> Callable[[Tensor], Tensor]:
    """Return a function from rows by reference box, then class, to rows by class, background last.

    Args:
        anchors: Number A of reference boxes per cell.

    Returns:
        The function, for a weight or a bias [A*K ...].
    """
    return lambda rows: _by_anchor(rows, anchors).roll(-1, dims=1).transpose(0, 1).flatten(0, 1)


def _by_anchor(rows: Tensor, anchors: int) -> Tensor:
    return rows.reshape(anchors, -1, *rows.shape[1:])


RETINANET = Names(
    rules=(
        *TRUNK,
        (r"head\.classification_head\.conv\.(\d+)\.(\d+)\.", r"stages.retinanet.class_tower.\1.\2."),
        (r"head\.regression_head\.conv\.(\d+)\.(\d+)\.", r"stages.retinanet.box_tower.\1.\2."),
        (r"head\.classification_head\.cls_logits\.", r"stages.retinanet.classification."),
        (r"head\.regression_head\.bbox_reg\.", r"stages.retinanet.offsets."),
    ),
    numbered=(  # files before 0.13, where ReLU counts
        (r"head\.classification_head\.conv\.(\d+)\.(?!\d)", "stages.retinanet.class_tower.{}.0.", lambda n: n // 2),
        (r"head\.regression_head\.conv\.(\d+)\.(?!\d)", "stages.retinanet.box_tower.{}.0.", lambda n: n // 2),
    ),
    rearranged={
        "stages.retinanet.classification.": by_column(ANCHORS),
        "stages.retinanet.offsets.": by_column(ANCHORS, background=False),
    },
)
"""RetinaNet: no image shows its first class, the background."""

FCOS = Names(
    rules=(
        *TRUNK,
        (r"head\.classification_head\.cls_logits\.", r"stages.fcos.classification."),
        (r"head\.regression_head\.bbox_reg\.", r"stages.fcos.distances."),
        (r"head\.regression_head\.bbox_ctrness\.", r"stages.fcos.centerness."),
    ),
    numbered=(  # convolution, norm and ReLU of each layer count
        (r"head\.classification_head\.conv\.(\d+)\.", "stages.fcos.class_tower.{}.", lambda n: f"{n // 3}.{n % 3}"),
        (r"head\.regression_head\.conv\.(\d+)\.", "stages.fcos.box_tower.{}.", lambda n: f"{n // 3}.{n % 3}"),
    ),
    rearranged={"stages.fcos.classification.": by_column(1)},
)
"""FCOS: no image shows its first class, the background."""

SSD300_BOXES = (4, 6, 6, 6, 4, 4)
SSDLITE_BOXES = (6,) * 6
"""Default boxes per cell of each map."""

_SSD: Rules = (
    (r"head\.classification_head\.module_list\.", r"stages.ssd.classification."),
    (r"head\.regression_head\.module_list\.", r"stages.ssd.offsets."),
)


def _ssd_rows(boxes: Sequence[int], layer: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return what is done with the rows of the last `layer` of each map."""
    rows = {}
    for level, each in enumerate(boxes):
        rows[f"stages.ssd.classification.{level}.{layer}"] = background_last(each)
        rows[f"stages.ssd.offsets.{level}.{layer}"] = by_column(each, background=False)
    return rows


SSD300 = Names(
    rules=(
        (r"backbone\.scale_weight$", r"stages.ssd.maps.scale"),
        (r"backbone\.features\.", r"stages.backbone.net.backbone.body.features."),
        (r"backbone\.extra\.0\.7\.", r"stages.ssd.maps.fc."),
        *_SSD,
    ),
    numbered=(  # the first block begins with the fourth pooling of VGG16, its module 23
        (r"backbone\.extra\.0\.(\d+)\.(?!\d)", "stages.backbone.net.backbone.body.features.{}.", lambda n: n + 23),
        (r"backbone\.extra\.([1-9])\.", "stages.ssd.maps.extra.{}.", lambda n: n - 1),
    ),
    rearranged=_ssd_rows(SSD300_BOXES, ""),
)
"""SSD300 on VGG16."""

SSDLITE = Names(
    rules=(
        (r"backbone\.features\.0\.13\.", r"stages.backbone.net.backbone.body.features.13.block.0."),
        (r"backbone\.features\.0\.", r"stages.backbone.net.backbone.body.features."),
        (r"backbone\.features\.1\.0\.", r"stages.backbone.net.backbone.body.features.13.block."),
        (r"backbone\.extra\.", r"stages.ssd.maps.extra."),
        *_SSD,
    ),
    numbered=(
        (r"backbone\.features\.1\.([1-9])\.", "stages.backbone.net.backbone.body.features.{}.", lambda n: n + 13),
    ),
    rearranged=_ssd_rows(SSDLITE_BOXES, "1."),
    ignored=re.compile(r"backbone\.features\..*\.num_batches_tracked"),
)
"""SSDLite on MobileNetV3, whose 14th block is divided behind its first convolution."""
