"""The head: center, size and rotation of each object in the camera frame.

Letters: N regions of the batch, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.evaluation.evaluator import Evaluator
from scenekit.keys import BOXES3D, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, unlabelled_loss
from scenekit.model.targets import Targets
from scenekit.structures import Boxes3D, Regions
from scenekit.structures.tensors import map_tensors
from scenekit_plugins.boxes3d.coding import Cubes, Views, decode_cubes
from scenekit_plugins.boxes3d.config import Boxes3DConfig, Priors
from scenekit_plugins.boxes3d.evaluator import Boxes3DEvaluator
from scenekit_plugins.boxes3d.losses import cube_losses, turned
from scenekit_plugins.boxes3d.network import ClassNumbers, CubeNetwork, Numbers, PositionEmbedding
from scenekit_plugins.boxes3d.pooled_depth import DepthCorrection, placed_by
from scenekit_plugins.boxes3d.priors import ClassPriors, usable
from scenekit_plugins.boxes3d.refinement import refined
from scenekit_plugins.depth_samples import Samples, object_samples


class Boxes3DHead(Head[Numbers, Boxes3D]):
    """Cube R-CNN's head (Brazil et al., Omni3D, CVPR 2023) on the features of the objects.

    `scores` of its boxes are sqrt(p exp(-u)) of the object's score p and the uncertainty u of the box (1 without one);
    the scores of OBJECTS stay as they are. Boxes are in the frame of the image's camera; without one, of the assumed
    camera, so that metres are no more accurate than the assumption. Of an image that comes with depth, boxes move along
    their rays to it, and are corrected by it (see `refine` and `depth` of `Boxes3DConfig`).

    Boxes that are invalid (NaN, sides of 0, no rotation), whose center is not in front of the camera, or of an image
    without a camera give no loss.
    """

    symmetry: Int[Tensor, " C"]

    def __init__(self, core: Core, config: Boxes3DConfig) -> None:
        super().__init__()
        self.config, self.vocabulary, things = config, core.vocabulary, core.vocabulary.things
        features = core.channels * config.pooled**2
        self.network = CubeNetwork(features, things, config)
        self.position = PositionEmbedding(config.position_width, features) if config.position_width else None
        self.depth = None if config.depth is None else DepthCorrection(len(things), config.depth_width)
        symmetry = [core.vocabulary.symmetry.get(name, 1) for name in things]
        self.register_buffer("symmetry", torch.tensor(symmetry, dtype=torch.int64), persistent=False)
        self.priors = ClassPriors(things, config.priors or Priors(), config.code)
        self.axis_names = {f"network.{name}": axes for name, axes in self.network.axis_names.items()}
        if self.depth is not None:
            self.axis_names["depth.label.weight"] = (AxisNames(things),)
            self.requires_grad_(not config.depth_alone)
            self.depth.requires_grad_(True)

    def forward(self, board: Board) -> Numbers:
        regions: Regions = board[OBJECTS]
        assert regions.labels is not None, "objects have labels before any head runs"
        features = board.pool(OBJECTS, size=self.config.pooled).flatten(1)
        if self.position is not None:
            features = features + self.position(Views.of(board.images, regions).positions)
        numbers: ClassNumbers = self.network(features)
        return numbers.of(regions.labels)

    def loss(self, raw: Numbers, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute `xy`, `z`, `dims` and `pose`, and as configured `joint` and `uncertainty`.

        The corrections by depth have the same losses, as `depth_xy` and so on, where images come with depth.
        """
        regions, boxes = board[OBJECTS], targets[BOXES3D]
        with in_full(raw):
            rows = (usable(boxes) & board.images.has_camera[regions.image_index]).nonzero()[:, 0]
            views = Views.of(board.images, regions)[rows]
            predicted = self._cubes(raw[rows], views, regions.labels[rows])
            target = Cubes.projected(boxes[rows], views)
            uncertainty = raw.uncertainty[rows] if self.config.uncertainty else None
            by_depth = self._depth_losses(predicted, target, board, rows)
            if self.config.depth_alone:
                return by_depth
            return self._losses(predicted, target, views, regions.labels[rows], uncertainty) | by_depth

    def _losses(
        self,
        predicted: Cubes,
        target: Cubes,
        views: Views,
        labels: Int[Tensor, " N"],
        uncertainty: Float[Tensor, " N"] | None = None,
    ) -> dict[str, Tensor]:
        if self.config.loss.corners == "symmetric":
            target = replace(target, rotation=turned(target.rotation, predicted.rotation, self.symmetry[labels]))
        return cube_losses(predicted, target, views.sides, uncertainty, self.config.loss, self.config.code.depth)

    def _depth_losses(
        self, predicted: Cubes, target: Cubes, board: Board, rows: Int[Tensor, " M"]
    ) -> dict[str, Tensor]:
        """Compute the losses of the corrections by depth; the boxes that they correct learn nothing from them."""
        if self.depth is None:
            return {}
        samples = self._samples(board)
        if samples is None:
            return unlabelled_loss(self.depth)
        with_depth = samples.usable[rows].nonzero()[:, 0]
        own, regions = samples[rows[with_depth]], board[OBJECTS].subset(rows[with_depth])
        placed = refined(map_tensors(Tensor.detach, predicted.boxes())[with_depth], own)
        cubes = self.depth(placed, regions, board.images, own)
        losses = self._losses(cubes, target[with_depth], Views.of(board.images, regions), regions.labels)
        return {f"depth_{name}": loss for name, loss in losses.items()}

    def decode(self, raw: Numbers, board: Board) -> Boxes3D:
        """Decode boxes in metres, which do not depend on the resolution of the image."""
        regions: Regions = board[OBJECTS]
        assert regions.labels is not None
        with in_full(raw):
            cubes = self._cubes(raw, Views.of(board.images, regions), regions.labels)
            certain = (-raw.uncertainty).exp()
            scores = certain if regions.scores is None else regions.scores.float() * certain
            return self._with_depth(cubes.boxes(scores.sqrt()), board)

    def _with_depth(self, boxes: Boxes3D, board: Board) -> Boxes3D:
        """Move boxes to the depth that images come with, and correct them by it, if the options say so."""
        samples = self._samples(board) if len(boxes) else None
        if samples is None:
            return boxes
        placed = refined(boxes, samples)
        if self.depth is None:
            return placed
        cubes = self.depth(placed, board[OBJECTS], board.images, samples)
        return placed_by(cubes, placed, samples.usable & (cubes.depth > 0) & cubes.depth.isfinite())

    def _samples(self, board: Board) -> Samples | None:
        """Return the depth inside of the objects; None without depth, or if it is not used."""
        return object_samples(board) if self.config.refine else None

    def prepare_evaluator(self, evaluator: Evaluator) -> Evaluator:
        """Return an evaluator that uses KITTI's protocol too, where the options ask for it."""
        if self.config.kitti is None or not isinstance(evaluator, Boxes3DEvaluator):
            return evaluator
        return Boxes3DEvaluator(self.vocabulary, kitti=self.config.kitti)

    def _cubes(self, numbers: Numbers, views: Views, labels: Int[Tensor, " N"]) -> Cubes:
        return decode_cubes(numbers, views, self.priors(labels, views), self.config.code)


def in_full(numbers: Numbers) -> torch.autocast:
    """Hold autocast off: half precision resolves pixels to one in 256, which is too coarse for geometry.

    Args:
        numbers: Predicted numbers, for their device.

    Returns:
        The context.
    """
    return torch.autocast(numbers.deltas.device.type, enabled=False)
