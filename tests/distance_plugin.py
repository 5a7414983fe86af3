"""A third party's whole task: how far away objects are. What scenekit promises plugin authors, in under 60 lines."""

import torch.nn as nn
from jaxtyping import Float
from torch import Tensor

import scenekit as sk

DISTANCE = sk.Key("acme.distance", of=sk.OBJECTS, doc="metres from the camera to the object's centre, [N]")


class DistanceHead(sk.Head):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(channels * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, board: sk.Board) -> Float[Tensor, "N 1"]:
        return self.net(board.pool(sk.OBJECTS, size=7))

    def loss(self, raw, board, targets) -> dict[str, Tensor]:
        truth = targets[DISTANCE]  # rows already aligned with the head's regions
        return {"distance": sk.safe_mean((raw[:, 0] - truth.log()).abs())}

    def decode(self, raw, board) -> Float[Tensor, " N"]:
        return raw[:, 0].exp()


@sk.hookimpl
def scenekit_tasks():
    yield sk.TaskSpec(
        name="distance",
        summary="metres to each object",
        provides=(DISTANCE,),
        learns_from=(DISTANCE,),
        build=lambda core, config: DistanceHead(core.channels),
    )
