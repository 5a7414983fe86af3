"""The distance of each object: a complete third-party task with its loss and its metric."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import box_iou

import scenekit as sk

DISTANCE = sk.Key("acme.distance", of=sk.OBJECTS, doc="metres from the camera to the object's center", shape=("N",))


class DistanceHead(sk.Head):
    def __init__(self, core: sk.Core, config: sk.Config) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(core.channels * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, board: sk.Board) -> Float[Tensor, " N"]:
        return self.net(board.pool(sk.OBJECTS, size=7))[:, 0]  # the logarithm of the distance

    def loss(self, raw: Float[Tensor, " N"], board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        distance = targets[DISTANCE]  # one number for each row of the head
        return {"distance": sk.safe_mean((raw - distance.log()).abs())}

    def decode(self, raw: Float[Tensor, " N"], board: sk.Board) -> Float[Tensor, " N"]:
        return raw.exp()


class RelativeError:
    """AbsRel: the mean of |predicted / annotated - 1| over the objects that are detected."""

    def __init__(self, vocabulary: sk.Vocabulary) -> None:
        self.errors: list[float] = []

    def update(self, sample: sk.Sample, prediction: sk.Scene) -> None:
        if DISTANCE in sample.supervision.keys and len(prediction.objects):
            overlap, row = box_iou(sample.scene.objects.boxes, prediction.objects.boxes).max(dim=1)
            errors = (prediction[DISTANCE][row] / sample.scene[DISTANCE] - 1).abs()
            self.errors += errors[overlap >= 0.5].tolist()

    def merge(self, other: "RelativeError") -> None:
        self.errors += other.errors

    def result(self) -> dict[str, float]:
        return {"AbsRel": sum(self.errors) / len(self.errors) if self.errors else math.nan}


@sk.hookimpl
def scenekit_tasks():
    yield sk.TaskSpec(
        name="distance",
        summary="metres to each object",
        provides=(DISTANCE,),
        learns_from=(DISTANCE,),
        build=DistanceHead,
        evaluator=RelativeError,
    )
