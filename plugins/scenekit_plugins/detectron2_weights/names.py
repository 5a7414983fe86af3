"""Names of detectron2's modules and ours; weights, biases and statistics have the same names in both.

All tensors keep their shape and the order of their entries: background is the last class in both, and offsets are
ordered by class (or anchor) in fours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from scenekit.errors import InputError

MOST_BLOCKS = 23
"""Residual blocks in the longest stage of R101 and X101."""

MOST_CONVS = 8
"""Convolutions in the longest region head, that of the keypoints."""

KINDS = (
    "Faster, Mask or Keypoint R-CNN or Panoptic FPN on R50, R101 or X101-FPN; Mesh R-CNN and Cube R-CNN have sources "
    "of their own, meshrcnn and cubercnn"
)

IGNORED = re.compile(r"pixel_(mean|std)|.*\.cell_anchors\.\d+|.*\.num_batches_tracked")
"""Values that the configuration holds, and a counter that is not used."""


def renamed(
    state: Mapping[str, Tensor], file: Path, modules: Mapping[str, str] | None = None, kinds: str = KINDS
) -> dict[str, Tensor]:
    """Rename a state dict.

    Args:
        state: detectron2's state dict, or that of a network built on it.
        file: Path of the checkpoint, for error messages.
        modules: Names of modules and ours; detectron2's if None.
        kinds: What is converted, for error messages.

    Returns:
        Our state dict.

    Raises:
        InputError: If it holds entries that no module of ours has.
    """
    modules = MODULES if modules is None else modules
    kept = {name: value for name, value in state.items() if not IGNORED.fullmatch(name)}
    unknown = [name for name in kept if name.rpartition(".")[0] not in modules]
    if unknown:
        raise InputError(
            f"{file}: {len(unknown)} entries belong to a network that cannot be converted, such as {unknown[0]!r}; "
            f"expected {kinds}"
        )
    pairs = ((name.rpartition("."), value) for name, value in kept.items())
    return {f"{modules[module]}.{leaf}": value for (module, _, leaf), value in pairs}


def detector(levels: int) -> Iterator[tuple[str, str]]:
    """Yield pairs of detectron2's name and ours of the modules between the backbone and the other tasks.

    Args:
        levels: Number of levels of the pyramid that have convolutions, from stride 4 on.
    """
    for level in range(levels):
        yield f"backbone.fpn_lateral{level + 2}", f"stages.backbone.net.fpn.net.inner_blocks.{level}.0"
        yield f"backbone.fpn_output{level + 2}", f"stages.backbone.net.fpn.net.layer_blocks.{level}.0"
    yield "proposal_generator.rpn_head.conv", "stages.rpn.convs.0"
    yield "proposal_generator.rpn_head.objectness_logits", "stages.proposals.objectness"
    yield "proposal_generator.rpn_head.anchor_deltas", "stages.proposals.deltas"
    yield "roi_heads.box_head.fc1", "stages.detection.head.fcs.0.0"
    yield "roi_heads.box_head.fc2", "stages.detection.head.fcs.1.0"
    yield "roi_heads.box_predictor.cls_score", "stages.detection.predictor.classification"
    yield "roi_heads.box_predictor.bbox_pred", "stages.detection.predictor.deltas"


def _modules() -> Iterator[tuple[str, str]]:
    """Yield pairs of detectron2's name and ours."""
    yield from _backbone("backbone.bottom_up", "stages.backbone.net.backbone.body")
    yield from detector(levels=4)
    for index in range(MOST_CONVS):
        yield f"roi_heads.mask_head.mask_fcn{index + 1}", f"heads.masks.convs.{index}.0"
        yield f"roi_heads.keypoint_head.conv_fcn{index + 1}", f"heads.keypoints.convs.{index}.0"
    yield "roi_heads.mask_head.deconv", "heads.masks.deconv"
    yield "roi_heads.mask_head.predictor", "heads.masks.predictor"
    yield "roi_heads.keypoint_head.score_lowres", "heads.keypoints.predictor"
    yield from _semantic("sem_seg_head", "heads.semantic")


def _backbone(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    yield f"{theirs}.stem.conv1", f"{ours}.conv1"
    yield f"{theirs}.stem.conv1.norm", f"{ours}.bn1"
    for stage in (2, 3, 4, 5):
        for block in range(MOST_BLOCKS):
            their_block, our_block = f"{theirs}.res{stage}.{block}", f"{ours}.layer{stage - 1}.{block}"
            for conv in (1, 2, 3):
                yield f"{their_block}.conv{conv}", f"{our_block}.conv{conv}"
                yield f"{their_block}.conv{conv}.norm", f"{our_block}.bn{conv}"
            yield f"{their_block}.shortcut", f"{our_block}.downsample.0"
            yield f"{their_block}.shortcut.norm", f"{our_block}.downsample.1"


def _semantic(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    """Yield names of branches: detectron2's alternate convolution and upsampling, ours also list norm and ReLU."""
    for level in (2, 3, 4, 5):
        for step in range(max(level - 2, 1)):
            yield f"{theirs}.p{level}.{2 * step}", f"{ours}.branches.{level - 2}.{4 * step}"
            yield f"{theirs}.p{level}.{2 * step}.norm", f"{ours}.branches.{level - 2}.{4 * step + 1}"
    yield f"{theirs}.predictor", f"{ours}.predictor"


MODULES: Mapping[str, str] = dict(_modules())
