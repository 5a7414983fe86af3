"""What objects look like, from the features that other heads share: no weights, no second network.

Letters: N objects, C channels of the features.
"""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from scenekit.config import Config
from scenekit.fields.appearance import unit_vectors
from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import APPEARANCE, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core, Head


class AppearanceConfig(Config):
    """Options of the vectors."""

    pooled: int = Field(default=7, ge=1, le=32)
    """Side of the grid of RoI features that is averaged; features of a side that another head pools cost nothing."""


class AppearanceHead(Head[Float[Tensor, "N C"], Float[Tensor, "N C"]]):
    """A head without a network: the mean of an object's RoI features."""

    def __init__(self, core: Core, config: AppearanceConfig) -> None:
        super().__init__()
        self.pooled = config.pooled

    def forward(self, board: Board) -> Float[Tensor, "N C"]:
        return board.pool(OBJECTS, size=self.pooled).mean(dim=(2, 3))

    def decode(self, raw: Float[Tensor, "N C"], board: Board) -> Float[Tensor, "N C"]:
        return unit_vectors(raw.float())


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `appearance`."""
    yield TaskSpec(
        name="appearance",
        summary="a vector per object that says how alike two objects look",
        provides=(APPEARANCE,),
        build=AppearanceHead,
        config=AppearanceConfig,
    )
