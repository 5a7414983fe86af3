"""Instance masks (He et al., Mask R-CNN, 2017).

Letters: N regions, K classes (things; 1 where they share a mask), C channels, S pooled side, M mask side, G rows of the
ground truth, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, UInt8
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from scenekit.config import Config
from scenekit.hooks import Coverage, LabelerSpec, TaskSpec, hookimpl
from scenekit.keys import AMODAL_MASKS, MASKS, OBJECTS, VISIBILITY
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.scene import Scene
from scenekit.structures import Geometry, Masks, Regions
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.layers import Norm, conv_stack, init_for_relu
from scenekit_plugins.masks.draw import draw_masks
from scenekit_plugins.masks.evaluator import MaskEvaluator
from scenekit_plugins.masks.pasting import paste_masks
from scenekit_plugins.masks.recording import record_masks
from scenekit_plugins.masks.visibility import visible_shares


class MaskConfig(Config):
    """Options of the mask head."""

    pooled: int = Field(default=14, ge=1)
    """Side of the RoI features; the mask has twice that."""
    convs: int = Field(default=4, ge=1, le=1000)
    """Number of convolutions before the deconvolution."""
    channels: int = Field(default=256, ge=1)
    """Channels of these convolutions."""
    conv_norm: Norm | None = None
    """Normalization after each convolution."""
    agnostic: bool = False
    """Whether there is one mask for all classes instead of one per class: less to learn, and learned from all of them.
    """
    binary_targets: bool = False
    """Whether resampled targets are rounded to 0 or 1 (detectron2) instead of soft (torchvision)."""
    aligned_targets: bool = True
    """Whether targets are resampled exactly; torchvision is half a pixel off."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Smallest probability inside a mask."""
    rounded_pasting: bool = False
    """Whether masks are pasted into boxes of whole pixels, as in torchvision, instead of at pixel centers."""


class MaskHead(Head[Float[Tensor, "N K M M"], Float[Tensor, "N M M"]]):
    """A fully convolutional network on RoI features with one mask per class, or one for all of them."""

    def __init__(self, core: Core, config: MaskConfig) -> None:
        super().__init__()
        self.config = config
        self.convs = conv_stack(core.channels, config.channels, config.convs, config.conv_norm)
        self.deconv = nn.ConvTranspose2d(config.channels, config.channels, kernel_size=2, stride=2)
        things = core.vocabulary.things
        self.predictor = nn.Conv2d(config.channels, 1 if config.agnostic else len(things), kernel_size=1)
        self.axis_names = {} if config.agnostic else rows_by_name({"predictor": AxisNames(things)})
        init_for_relu(self)

    def forward(self, board: Board) -> Float[Tensor, "N K M M"]:
        features = board.pool(OBJECTS, size=self.config.pooled)
        logits: Tensor = self.predictor(F.relu(self.deconv(self.convs(features)), inplace=True))
        return logits

    def loss(self, raw: Float[Tensor, "N K M M"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute binary cross-entropy of the mask of the ground-truth class (section 3 of the paper)."""
        regions: Regions = board[OBJECTS]
        bitmaps, rows = targets.packed(MASKS)
        assert rows is not None and regions.labels is not None
        target = crop_masks(bitmaps, rows, regions.boxes, raw.shape[-1], self.config.aligned_targets)
        if self.config.binary_targets:
            target = (target >= 0.5).to(target)
        own = self._of_class(raw, regions.labels)
        return {"mask": safe_mean(F.binary_cross_entropy_with_logits(own, target, reduction="none"))}

    def decode(self, raw: Float[Tensor, "N K M M"], board: Board) -> Float[Tensor, "N M M"]:
        return self._of_class(raw, board[OBJECTS].labels).sigmoid()

    def _of_class(self, raw: Float[Tensor, "N K M M"], labels: Int[Tensor, " N"]) -> Float[Tensor, "N M M"]:
        """Return the logits of each region's class."""
        own = raw[:, 0] if self.config.agnostic else raw[torch.arange(len(raw), device=raw.device), labels]
        return own.float()

    def finish(self, value: Float[Tensor, "N M M"], scene: Scene, geometry: Geometry) -> Masks:
        config = self.config
        return paste_masks(value.cpu(), scene.objects.boxes, scene.size, config.threshold, config.rounded_pasting)


def crop_masks(
    bitmaps: UInt8[Tensor, "G H W"], rows: Tensor, boxes: Float[Tensor, "N 4"], side: int, aligned: bool = True
) -> Float[Tensor, "N M M"]:
    """Resample ground-truth masks inside boxes by RoIAlign.

    `aligned`: pixel (i, j) covers [i, i + 1) x [j, j + 1), as everywhere here and in detectron2. torchvision's heads
    take pixel centers as integers instead, half a pixel off.

    Args:
        bitmaps: Masks of the ground truth.
        rows: The mask of each box.
        boxes: Boxes in network pixels.
        side: Side of the result.
        aligned: Whether pixels are aligned exactly.

    Returns:
        Shares of the cells that the masks cover.
    """
    if len(boxes) == 0:
        return boxes.new_zeros((0, side, side))
    used, place = torch.unique(rows, return_inverse=True)
    rois = torch.cat((place[:, None].to(boxes), boxes.detach()), dim=1)
    cropped: Tensor = roi_align(bitmaps[used, None].to(boxes), rois, (side, side), spatial_scale=1.0, aligned=aligned)
    return cropped[:, 0]


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `masks`."""
    yield TaskSpec(
        name="masks",
        summary="which pixels belong to each object",
        provides=(MASKS,),
        build=MaskHead,
        config=MaskConfig,
        learns_from=(MASKS,),
        evaluator=MaskEvaluator,
        draw=on_canvas(draw_masks),
        draw_covers=Coverage.AREAS,
        hub_tag="image-segmentation",
        record=record_masks,
        static=True,
    )


@hookimpl
def scenekit_labelers() -> Iterator[LabelerSpec]:
    """Yield the labeler `visibility`."""
    yield LabelerSpec(
        name="visibility",
        summary="the share of each object that nothing hides, from its visible and its amodal mask",
        needs=(MASKS, AMODAL_MASKS),
        provides=(VISIBILITY,),
        build=lambda: visible_shares,
    )
