"""What the network of a one-stage detector predicts for every cell.

Letters: B images, A reference boxes per cell, F channels of the pyramid, K columns of class logits (with background
where a detector has it), N reference boxes of all levels together, Q further numbers of each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.keys import FEATURES, Key
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.targets import Targets
from scenekit.structures.features import FeaturePyramid

DENSE_PREDICTIONS: Key[FeaturePyramid, Any] = Key(
    "dense_predictions", doc="class logits, then box offsets of the reference boxes of each cell, per level"
)


class LevelHead(Provider):
    """A network on the feature pyramid whose layers all levels share."""

    requires = (FEATURES,)
    provides = (DENSE_PREDICTIONS,)
    static = True

    @abstractmethod
    def predict(self, features: Float[Tensor, "B F _ _"]) -> Float[Tensor, "B _ _ _"]:
        """Compute the predictions of one level.

        Args:
            features: The level of the pyramid.

        Returns:
            The predictions, in the order that DENSE_PREDICTIONS declares.
        """

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the dense predictions on the board.

        Args:
            board: The board with the pyramid.
            targets: Targets of the batch; not used.

        Returns:
            No losses.
        """
        features: FeaturePyramid = board[FEATURES]
        board.put(DENSE_PREDICTIONS, FeaturePyramid(tuple(map(self.predict, features.maps)), features.strides))
        return {}


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for the reference boxes of a batch: level by level, in each row by row, then those of a cell."""

    logits: Float[Tensor, "B N K"]
    """Class logits."""
    offsets: Float[Tensor, "B N 4"]
    """Offsets from the reference boxes, as the detector encodes them."""
    further: Float[Tensor, "B N Q"]
    """Further logits, such as centerness or objectness."""
    references: Float[Tensor, "N 4"]
    """Reference boxes, xyxy in network pixels."""
    counts: tuple[int, ...]
    """Number of reference boxes of each level."""

    @classmethod
    def read(
        cls, maps: FeaturePyramid, references: Sequence[Float[Tensor, "_ 4"]], columns: int, further: int
    ) -> Predictions:
        """Read the maps that a network put on the board.

        Args:
            maps: DENSE_PREDICTIONS.
            references: Reference boxes of each level.
            columns: Number K of class logits of each reference box.
            further: Number Q of further numbers of each.

        Returns:
            The predictions, in full precision.
        """
        levels = [_by_reference(level.float(), columns + 4 + further) for level in maps.maps]
        every = torch.cat(levels, dim=1)
        logits, offsets, rest = torch.split(every, [columns, 4, further], dim=2)
        return cls(logits, offsets, rest, torch.cat(list(references)), tuple(level.shape[1] for level in levels))


def _by_reference(level: Float[Tensor, "B _ H W"], columns: int) -> Float[Tensor, "B _ columns"]:
    """Arrange a map [B columns*A H W] by cells, then the reference boxes of a cell."""
    batch, _, height, width = level.shape
    return level.reshape(batch, columns, -1, height, width).permute(0, 3, 4, 2, 1).flatten(1, 3)


def pyramid_strides(core: Core, detector: str) -> tuple[int, ...]:
    """Return the strides of the feature pyramid that a detector reads.

    Args:
        core: Channels and strides of the model.
        detector: Name of the detector.

    Returns:
        The strides in pixels.

    Raises:
        InputError: If the model has no pyramid.
    """
    if not core.strides:
        raise InputError(
            f"detector {detector!r} reads the feature pyramid, which this model does not have; set model.pyramid"
        )
    return core.strides
