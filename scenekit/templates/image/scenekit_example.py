"""The task `example`: one number from 0 to 1 for each image. Start here and make it yours."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

import scenekit as sk

EXAMPLE: sk.Key[list[Tensor | None], Tensor] = sk.Key(
    "example.value",
    doc="a number from 0 to 1 for each image [B]",
    shape=("B",),
    example=lambda frame: torch.tensor(0.5),
)


class ExampleConfig(sk.Config):
    """Options that a recipe sets under `model.tasks.example`."""

    hidden: int = Field(default=128, ge=1)


class ExampleHead(sk.Head[Tensor, Tensor]):
    """Two linear layers on the mean of the coarsest feature map."""

    def __init__(self, core: sk.Core, config: ExampleConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(core.channels, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1))

    def forward(self, board: sk.Board) -> Tensor:
        """Run the network: logits [B], one for each image."""
        logits: Tensor = self.net(board[sk.FEATURES].maps[-1].mean((2, 3)))
        return logits[:, 0]

    def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        """Compute losses by name; ground truth is a list with None where `targets.valid[EXAMPLE]` is False."""
        rows = targets.valid[EXAMPLE].nonzero()[:, 0]
        target = raw.new_tensor([float(value) for value in targets[EXAMPLE] if value is not None])
        return {"value": sk.safe_mean(F.binary_cross_entropy_with_logits(raw[rows], target, reduction="none"))}

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        """Return what is written to the board, and from there to the scene: numbers [B]."""
        return raw.sigmoid()


@sk.hookimpl
def scenekit_tasks() -> Iterator[sk.TaskSpec]:
    """Register the task; the entry point in pyproject.toml names this module."""
    yield sk.TaskSpec(
        name="example",
        summary="a number from 0 to 1 for each image",
        provides=(EXAMPLE,),
        requires=(sk.FEATURES,),
        learns_from=(EXAMPLE,),
        build=ExampleHead,
        config=ExampleConfig,
    )
