"""Keypoints as one-hot heat maps over RoI features (He et al., Mask R-CNN, 2017, section 5).

Letters: N regions, L classes, K points of the skeleton, C channels, S pooled side, M side of a heat map,
P trained points.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

from scenekit.config import Config
from scenekit.errors import InputError
from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import KEYPOINTS, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.structures import Keypoints, Regions, Vocabulary
from scenekit.structures.keypoints import ABSENT, VISIBLE
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.keypoints.draw import draw_keypoints
from scenekit_plugins.keypoints.evaluator import KeypointEvaluator
from scenekit_plugins.keypoints.peaks import heatmap_peaks
from scenekit_plugins.layers import conv_stack, init_for_relu


class KeypointConfig(Config):
    """Options of the keypoint head."""

    pooled: int = Field(default=14, ge=1)
    """Side of the RoI features; the heat map has four times that."""
    convs: int = Field(default=8, ge=1, le=1000)
    """Number of convolutions before the deconvolution."""
    channels: int = Field(default=512, ge=1)
    """Channels of these convolutions."""
    hidden_points: bool = True
    """Whether annotated but occluded points are trained too, as in COCO's models."""
    sigma: float = Field(default=0.0, ge=0)
    """Standard deviation of the targets, in cells of the map: a Gaussian around the point (Xiao et al., Simple
    Baselines, 2018); 0 for the cell alone, as in Mask R-CNN.
    """
    score: Literal["probability", "logit"] = "probability"
    """Score of a point: the probability at the peak of its map (detectron2) or the logit there (torchvision)."""


class KeypointHead(Head[Float[Tensor, "N K M M"], Keypoints]):
    """Convolutions, a deconvolution to one heat map per point, and x2 bilinear upsampling."""

    own_points: Tensor

    def __init__(self, core: Core, config: KeypointConfig) -> None:
        super().__init__()
        skeleton = core.vocabulary.skeleton
        if skeleton is None or not skeleton.points:
            raise InputError(
                "task 'keypoints' needs a vocabulary in which a thing has a skeleton, but none has one; add a data set "
                "with keypoints, or leave the task out"
            )
        self.config = config
        self.register_buffer("own_points", points_by_label(core.vocabulary), persistent=False)
        self.convs = conv_stack(core.channels, config.channels, config.convs)
        self.predictor = nn.ConvTranspose2d(config.channels, len(skeleton.points), kernel_size=4, stride=2, padding=1)
        # A transposed convolution has its outputs along axis 1.
        self.axis_names = rows_by_name({"predictor": AxisNames(skeleton.points, axis=1)})
        init_for_relu(self)

    def forward(self, board: Board) -> Float[Tensor, "N K M M"]:
        maps = self.predictor(self.convs(board.pool(OBJECTS, size=self.config.pooled)))
        return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)

    def loss(self, raw: Float[Tensor, "N K M M"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute cross-entropy over the cells of the map, for each annotated point inside its box."""
        regions: Regions = board[OBJECTS]
        cells, inside = heatmap_cells(targets[KEYPOINTS], regions.boxes, raw.shape[-1], self.config.hidden_points)
        logits, cells = raw.float().flatten(2)[inside], cells[inside]
        target = cells if self.config.sigma == 0 else gaussians(cells, raw.shape[-1], self.config.sigma)
        return {"keypoint": safe_mean(F.cross_entropy(logits, target, reduction="none"))}

    def decode(self, raw: Float[Tensor, "N K M M"], board: Board) -> Keypoints:
        """Return the peak of each map, resampled to the size of the box, and its score.

        Points of other classes are absent.
        As in detectron2, probabilities are normalized over the map before resampling, so that they are comparable
        between objects of all sizes.
        """
        regions: Regions = board[OBJECTS]
        visibility = torch.full(raw.shape[:2], VISIBLE, device=raw.device)
        if regions.labels is not None:
            visibility = torch.where(self.own_points[regions.labels], visibility, ABSENT)
        if len(raw) == 0:
            return Keypoints(raw.new_zeros((0, raw.shape[1], 2)), visibility, raw.new_zeros((0, raw.shape[1])))
        if regions.valid is None:
            points, peaks = heatmaps_to_keypoints(raw.float(), regions.boxes)
        else:
            points, peaks = heatmap_peaks(raw.float(), regions.boxes, max(board.images.padded_size))
        if self.config.score == "logit":
            return Keypoints(points[..., :2], visibility, peaks)
        return Keypoints(points[..., :2], visibility, (peaks - raw.float().flatten(2).logsumexp(-1)).exp())


def points_by_label(vocabulary: Vocabulary) -> Bool[Tensor, "L K"]:
    """Return which points the objects of each class have.

    Args:
        vocabulary: The names.

    Returns:
        True where a class has a point; all are for classes without a skeleton.
    """
    points = vocabulary.skeleton.points if vocabulary.skeleton is not None else ()
    own = [vocabulary.points_of(thing) or range(len(points)) for thing in vocabulary.labels]
    return torch.tensor([[place in places for place in range(len(points))] for places in own], dtype=torch.bool)


def gaussians(cells: Int[Tensor, " P"], side: int, sigma: float) -> Float[Tensor, "P _"]:
    """Return a Gaussian around each cell of a map, which sums to 1.

    Args:
        cells: Numbers of the cells, row by row.
        side: Side M of the map.
        sigma: Standard deviation in cells.

    Returns:
        The values of the M * M cells.
    """
    line = torch.arange(side, device=cells.device)
    rows, columns = (
        (-((line - place[:, None]) ** 2) / (2 * sigma**2)).softmax(dim=1) for place in (cells // side, cells % side)
    )
    return (rows[:, :, None] * columns[:, None, :]).flatten(1)


def heatmap_cells(
    targets: Keypoints, boxes: Float[Tensor, "N 4"], side: int, hidden: bool
) -> tuple[Int[Tensor, "N K"], Bool[Tensor, "N K"]]:
    """Return the cell of each point, and which points are trained.

    Args:
        targets: Annotated points in network pixels.
        boxes: Boxes of the heat maps in network pixels.
        side: Side of the heat maps, in cells.
        hidden: Whether occluded points count.

    Returns:
        Index of the cell that each point falls in, and whether the point is annotated and inside its box.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
    cell = ((targets.xy - boxes[:, None, :2]) / sizes[:, None] * side).floor()
    on_far_edge = targets.xy == boxes[:, None, 2:]
    cell = torch.where(on_far_edge, torch.full_like(cell, side - 1), cell)
    labelled = targets.visibility > 0 if hidden else targets.visibility == VISIBLE
    inside = labelled & ((cell >= 0) & (cell < side)).all(-1)
    index = (cell[..., 1] * side + cell[..., 0]).nan_to_num(0).long()
    return index.clamp(0, side * side - 1), inside


def _with_skeleton(vocabulary: Vocabulary) -> tuple[int, ...]:
    return vocabulary.things_with_skeleton


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `keypoints`."""
    yield TaskSpec(
        name="keypoints",
        summary="named points on articulated objects",
        provides=(KEYPOINTS,),
        build=KeypointHead,
        config=KeypointConfig,
        applies_to=_with_skeleton,
        learns_from=(KEYPOINTS,),
        evaluator=KeypointEvaluator,
        draw=on_canvas(draw_keypoints),
        hub_tag="keypoint-detection",
        static=True,
    )
