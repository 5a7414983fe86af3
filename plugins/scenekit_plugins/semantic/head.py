"""What all semantic heads have in common: classes, loss and label maps, whichever network makes the logits.

Letters: B images, L classes of the head (labels, or stuff and one for all things), C channels, h w cells of the logits,
H W pixels of logits at the resolution of the loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.fields.semantic import IGNORE
from scenekit.keys import SEMANTIC
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.layout import for_convolutions
from scenekit.ops.losses import safe_mean
from scenekit.scene import Scene
from scenekit.structures import Geometry, ImageBatch, by_size
from scenekit_plugins.semantic.classes import Classes
from scenekit_plugins.semantic.config import SemanticConfig
from scenekit_plugins.semantic.label_maps import best_labels


class SemanticHead(Head[Float[Tensor, "B L h w"], Float[Tensor, "B L h w"]]):
    """Logits on a grid of cells, their loss and their label maps; each decoder is a subclass with a network.

    Args:
        core: What the model has.
        config: Options of the task.
        stride: Network pixels per cell of the logits, whose middle pixel a cell stands for.
    """

    exported_docs = MappingProxyType(
        {"semantic": "class of each pixel, by place among the things and then the stuff [H W]; -1 for none"}
    )
    passes: int = 0
    """How many forward passes of a network the last call made: one for each image, or for each crop of one."""

    def __init__(self, core: Core, config: SemanticConfig, stride: int) -> None:
        super().__init__()
        self.stride, self.loss_at = stride, config.loss_at
        self.classes = Classes.of(core.vocabulary, config.things)
        self.axis_names = rows_by_name({"predictor": AxisNames(self.classes.names)})

    @abstractmethod
    def logits(self, maps: Sequence[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B L h w"]:
        """Run the network, on images of one size.

        Args:
            maps: What `maps` returned, for these images.

        Returns:
            Logits of every `stride`-th pixel along both axes.
        """

    def maps(self, board: Board) -> Sequence[Float[Tensor, "B _ _ _"]]:
        """Return what the network reads: the images, unless a decoder reads something else.

        Args:
            board: The view of this head.

        Returns:
            Maps that span the padded images.
        """
        return [for_convolutions(board.images.pixels)]

    def count_passes(self, maps: Sequence[Float[Tensor, "B _ _ _"]]) -> int:
        """Return how many forward passes `logits` makes.

        Args:
            maps: As for `logits`.

        Returns:
            The number of images.
        """
        return len(maps[0])

    def predictor_of(self, channels: int) -> nn.Conv2d:
        """Build the layer that classifies cells; each decoder has it as `predictor`.

        Args:
            channels: Channels of its input.

        Returns:
            A 1x1 convolution.
        """
        return nn.Conv2d(channels, len(self.classes.names), kernel_size=1)

    def forward(self, board: Board) -> Float[Tensor, "B L h w"]:
        self.passes = 0
        (logits,) = by_size(self._counted, self.maps(board), board.images)  # GroupNorm averages over the image
        return logits

    def _counted(self, maps: Sequence[Tensor]) -> list[Tensor]:
        if not torch.compiler.is_exporting():
            self.passes += self.count_passes(maps)
        return [self.logits(maps)]

    def loss(self, raw: Float[Tensor, "B L h w"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute cross-entropy over annotated pixels, of the classes that the image's labels cover."""
        height, width = (side * self.stride for side in raw.shape[2:])
        covered = self.classes.covered(targets.covered[SEMANTIC]) if SEMANTIC in targets.covered else None
        labels = self.classes.from_labels(targets[SEMANTIC])
        # The logits cover the image with whole cells, so that the last ones may extend beyond it.
        labels = F.pad(labels, (0, width - labels.shape[2], 0, height - labels.shape[1]), value=IGNORE)
        if self.loss_at == "input":
            logits = F.interpolate(raw.float(), scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        else:
            logits, half = raw.float(), self.stride // 2
            labels = labels[:, half :: self.stride, half :: self.stride]
        if covered is not None and not bool(covered.all()):
            logits, labels = _within(covered, logits, labels)
        each = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
        return {"pixel": safe_mean(each[labels != IGNORE])}

    def decode(self, raw: Float[Tensor, "B L h w"], board: Board) -> Float[Tensor, "B L h w"]:
        return raw

    def exported(self, value: Float[Tensor, "B L h w"], images: ImageBatch) -> Int[Tensor, "B H W"]:
        """Return the best label of each pixel of the network's input, without padding; IGNORE as in `Classes`."""
        height, width = images.sizes[0]
        logits = F.interpolate(value.float(), scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        return self.classes.to_labels(logits[:, :, :height, :width].argmax(dim=1))

    def finish(self, value: Float[Tensor, "L h w"], scene: Scene, geometry: Geometry) -> Int[Tensor, "H W"]:
        """Resize logits to the original image, without padding, and return the best label per pixel."""
        best = best_labels(value.float(), self.stride, geometry.source, geometry.size)
        return self.classes.to_labels(best).cpu()


def _within(
    covered: Bool[Tensor, "B L"], logits: Float[Tensor, "B L H W"], labels: Int[Tensor, "B H W"]
) -> tuple[Float[Tensor, "B L H W"], Int[Tensor, "B H W"]]:
    """Return logits that keep the classes which an image does not cover out of its softmax, and labels without them."""
    known = covered.gather(1, labels.clamp(min=0).flatten(1)).view_as(labels)
    return logits.masked_fill(~covered[:, :, None, None], -torch.inf), labels.where(known, IGNORE)
