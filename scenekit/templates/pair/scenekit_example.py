"""The task `example`: which ordered pairs of objects belong together. Start here and make it yours.

Letters: N objects of all images, P ordered pairs of objects of one image, C channels.
"""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

import scenekit as sk
from scenekit.fields.frame import Frame
from scenekit.fields.pairs import PairField


def neighbors(frame: Frame) -> sk.Pairs:
    """Make ground truth up for `scenekit check`: each object with the next one."""
    first = torch.arange(max(len(frame.boxes) - 1, 0))
    return sk.Pairs(first, first + 1)


EXAMPLE: sk.Key[list[sk.Pairs], sk.Pairs] = sk.Key(
    "example.pairs", doc="ordered pairs of objects that belong together", field=PairField(), example=neighbors
)


class ExampleConfig(sk.Config):
    """Options that a recipe sets under `model.tasks.example`."""

    hidden: int = Field(default=128, ge=1)
    pairs: int = Field(default=100, ge=1)


class ExampleHead(sk.Head[list[Tensor], list[sk.Pairs]]):
    """Two linear layers on the features and boxes of both objects."""

    def __init__(self, core: sk.Core, config: ExampleConfig) -> None:
        super().__init__()
        self.pairs = config.pairs
        self.net = nn.Sequential(
            nn.Linear(2 * (core.channels + 4), config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1)
        )

    def forward(self, board: sk.Board) -> list[Tensor]:
        """Run the network: logits [P] of the pairs of each image, in the order of `candidates`."""
        objects = board[sk.OBJECTS]
        height, width = board.images.padded_size
        places = objects.boxes / objects.boxes.new_tensor([width, height, width, height])
        features = torch.cat((board.pool(sk.OBJECTS, size=7).mean((2, 3)), places), dim=1)
        both = [torch.cat((features[one], features[other]), dim=1) for one, other in candidates(board)]
        return [self.net(pairs)[:, 0] for pairs in both]

    def loss(self, raw: list[Tensor], board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        """Compute losses by name: pairs that are not annotated do not belong together."""
        objects, annotated_objects = board[sk.OBJECTS], targets.streams[sk.OBJECTS].regions
        losses = [torch.cat(raw)[:0]]
        for image, (logits, (one, other)) in enumerate(zip(raw, candidates(board), strict=True)):
            annotated = targets[EXAMPLE][image]
            if not targets.valid[EXAMPLE][image] or annotated is None:
                continue
            first = int((annotated_objects.image_index < image).sum())  # pairs count the objects of their own image
            annotated_pairs = set(zip(annotated.subject.tolist(), annotated.object.tolist(), strict=True))
            rows = zip((objects.matched[one] - first).tolist(), (objects.matched[other] - first).tolist(), strict=True)
            target = logits.new_tensor([float(pair in annotated_pairs) for pair in rows])
            losses.append(F.binary_cross_entropy_with_logits(logits, target, reduction="none"))
        return {"pairs": sk.safe_mean(torch.cat(losses))}

    def decode(self, raw: list[Tensor], board: sk.Board) -> list[sk.Pairs]:
        """Return what is written to the board, and from there to the scene: the best pairs of each image."""
        index = board[sk.OBJECTS].image_index
        decoded = []
        for image, (logits, (one, other)) in enumerate(zip(raw, candidates(board), strict=True)):
            first = int((index < image).sum())
            score, best = logits.sigmoid().sort(descending=True, stable=True)
            best = best[: self.pairs]
            decoded.append(sk.Pairs(one[best] - first, other[best] - first, score=score[: self.pairs]))
        return decoded


def candidates(board: sk.Board) -> list[tuple[Tensor, Tensor]]:
    """Return for each image the rows of the first and of the second object [P] of all its ordered pairs."""
    index = board[sk.OBJECTS].image_index
    pairs = []
    for image in range(len(board.images)):
        rows = (index == image).nonzero()[:, 0]
        one, other = torch.meshgrid(rows, rows, indexing="ij")
        pairs.append((one[one != other], other[one != other]))
    return pairs


@sk.hookimpl
def scenekit_tasks() -> Iterator[sk.TaskSpec]:
    """Register the task; the entry point in pyproject.toml names this module."""
    yield sk.TaskSpec(
        name="example",
        summary="which pairs of objects belong together",
        provides=(EXAMPLE,),
        requires=(sk.OBJECTS,),
        learns_from=(EXAMPLE, sk.OBJECTS),
        max_regions=30,
        build=ExampleHead,
        config=ExampleConfig,
    )
