"""Names of the parameters of torchvision's one-stage detectors.

Letters: A reference boxes per cell, C classes without background, K columns per reference box.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from scenekit_plugins.torchvision_weights.names import TRUNK, Names

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
        by_anchor = rows.unflatten(0, (anchors, -1))
        return by_anchor[:, int(background) :].transpose(0, 1).flatten(0, 1)

    return rearrange


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
