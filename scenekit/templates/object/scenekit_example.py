"""The task `example`: one number from 0 to 1 for each object. Start here and make it yours."""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

import scenekit as sk

EXAMPLE: sk.Key[Tensor, Tensor] = sk.Key(
    "example.value", of=sk.OBJECTS, doc="a number from 0 to 1 for each object [N]", shape=("N",)
)


class ExampleConfig(sk.Config):
    """Options that a recipe sets under `model.tasks.example`."""

    hidden: int = Field(default=128, ge=1)


class ExampleHead(sk.Head[Tensor, Tensor]):
    """Two linear layers on the features of each object."""

    def __init__(self, core: sk.Core, config: ExampleConfig) -> None:
        super().__init__()
        layers = [nn.Flatten(), nn.Linear(core.channels * 7 * 7, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1)]
        self.net = nn.Sequential(*layers)

    def forward(self, board: sk.Board) -> Tensor:
        """Run the network: logits [N], one for each object that the task applies to."""
        logits: Tensor = self.net(board.pool(sk.OBJECTS, size=7))
        return logits[:, 0]

    def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        """Compute losses by name; `targets[EXAMPLE]` [N] has one row for each of the head's."""
        return {"value": sk.safe_mean(F.binary_cross_entropy_with_logits(raw, targets[EXAMPLE], reduction="none"))}

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        """Return what is written to the board, and from there to the scene: numbers [N]."""
        return raw.sigmoid()


@sk.hookimpl
def scenekit_tasks() -> Iterator[sk.TaskSpec]:
    """Register the task; the entry point in pyproject.toml names this module."""
    yield sk.TaskSpec(
        name="example",
        summary="a number from 0 to 1 for each object",
        provides=(EXAMPLE,),
        learns_from=(EXAMPLE,),
        build=ExampleHead,
        config=ExampleConfig,
    )
