"""The stage that puts the proposals of a source without weights on the board.

Letters: N proposals of one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.keys import IMAGES, PROPOSALS
from scenekit.model.board import Board
from scenekit.model.head import Provider, stage_name
from scenekit.model.targets import Targets
from scenekit.ops.boxes import image_limits, large_enough
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


@dataclass(frozen=True, eq=False)
class Candidates:
    """Class-agnostic boxes of one image."""

    boxes: Float[Tensor, "N 4"]
    """Boxes, xyxy in network pixels; they may reach beyond the image."""
    scores: Float[Tensor, " N"]
    """What they are ranked by, 0 to 1."""


def ranked(boxes: Float[Tensor, "N 4"]) -> Candidates:
    """Return candidates whose scores say their rank: 1 for the first one, down to 1 / N.

    Args:
        boxes: Boxes, best first.

    Returns:
        The candidates.
    """
    return Candidates(boxes, 1 - torch.arange(len(boxes), dtype=torch.float64).div(max(len(boxes), 1)).float())


ProposalSource: TypeAlias = Callable[[ImageBatch, int], Candidates]
"""(batch, index of an image in it) -> its candidates, in any order."""


class SourceProposals(Provider):
    """Puts PROPOSALS on the board: best first per image, clipped to the image, none empty; no losses.

    Args:
        source: Proposes the boxes of each image.
        limit_train: Proposals per image with targets; None for all.
        limit_test: Proposals per image without targets; None for all.
    """

    name = stage_name(PROPOSALS)
    requires = (IMAGES,)
    provides = (PROPOSALS,)

    def __init__(self, source: ProposalSource, limit_train: int | None, limit_test: int | None) -> None:
        super().__init__()
        self.source, self.limit_train, self.limit_test = source, limit_train, limit_test

    @torch.no_grad()
    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put PROPOSALS on the board.

        Args:
            board: The board with the images.
            targets: Targets of the batch, if there are any: they only decide on the limit.

        Returns:
            No losses.
        """
        board.put(PROPOSALS, self.propose(board[IMAGES], self.limit_test if targets is None else self.limit_train))
        return {}

    def propose(self, images: ImageBatch, limit: int | None) -> Regions:
        """Return the proposals of a batch.

        Args:
            images: The batch.
            limit: Proposals per image; None for all.

        Returns:
            Boxes and scores, images in order.
        """
        return Regions.cat([self._of_image(images, index, limit) for index in range(len(images))])

    def _of_image(self, images: ImageBatch, index: int, limit: int | None) -> Regions:
        candidates = self.source(images, index)
        device = images.pixels.device
        boxes, scores = candidates.boxes.to(device, torch.float32), candidates.scores.to(device, torch.float32)
        boxes = boxes.clamp(min=0).minimum(image_limits(images.sizes, boxes)[index])
        rows = large_enough(boxes, 0.0).nonzero()[:, 0]
        rows = rows[scores[rows].argsort(descending=True, stable=True)][:limit]
        return Regions(boxes[rows], torch.full_like(rows, index), scores=scores[rows])
