"""A data set and a backbone small enough to learn in a unit test: bright squares and discs on a dark floor."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from scenekit.backbones.base import Backbone, Level
from scenekit.config import Config
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.hooks import BackboneSpec, DatasetSpec, Origin, TaskSpec, hookimpl, registry
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, SEMANTIC, Key
from scenekit.model.board import Board
from scenekit.model.head import Core, Head
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.recipe import Recipe
from scenekit.scene import Objects, Scene
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.vocabulary import Skeleton, Vocabulary

CORNERS = Skeleton(("left", "right"), edges=(("left", "right"),), mirror=(("left", "right"),), sigmas=(0.05, 0.05))
VOCABULARY = Vocabulary(things=("square", "disc"), stuff=("floor",), skeletons={"square": CORNERS})
FLOOR = 2
COLORS = torch.tensor([[230, 60, 60], [60, 60, 230]], dtype=torch.uint8)


@dataclass(frozen=True)
class Toys:
    """`count` images of `side` pixels with up to three objects; `labelled` names the keys that are supervised.

    `covers` names the things that are annotated; None for all.
    """

    count: int = 32
    side: int = 64
    labelled: Collection[str] = ("masks", "semantic", "keypoints")
    vocabulary: Vocabulary = VOCABULARY
    covers: Collection[str] | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        rng = random.Random(f"toys/{index}")
        image = torch.full((3, self.side, self.side), 40, dtype=torch.uint8)
        semantic = torch.full((self.side, self.side), FLOOR)
        masks, labels = [], []
        for column in range(rng.randint(1, 3)):
            label, shape = self._shape(rng, column)
            image[:, shape] = COLORS[label][:, None]
            semantic[shape] = label
            masks.append(shape)
            labels.append(label)
        keys: dict[str, Key[Any, Any]] = {"masks": MASKS, "semantic": SEMANTIC, "keypoints": KEYPOINTS}
        dense = Masks.from_dense(torch.stack(masks))
        boxes, names = dense.boxes, torch.tensor(labels)
        values = {MASKS: dense, SEMANTIC: semantic, KEYPOINTS: corners(boxes)}
        scene = Scene(
            (self.side, self.side),
            VOCABULARY,
            {OBJECTS: Objects(boxes, names)},
            {keys[name]: values[keys[name]] for name in self.labelled},
            {KEYPOINTS: names == 0} if "keypoints" in self.labelled else {},
        )
        covered = None if self.covers is None else frozenset(self.covers)
        return Sample(image, scene, Supervision(frozenset(keys[name] for name in self.labelled), covered), index)

    def _shape(self, rng: random.Random, column: int) -> tuple[int, torch.Tensor]:
        """A label and its pixels, in its own third of the image so that nothing overlaps."""
        radius = rng.uniform(self.side / 9, self.side / 7)
        x = (column + 0.5) * self.side / 3
        y = rng.uniform(radius, self.side - radius)
        centres = torch.arange(self.side) + 0.5
        dx, dy = (centres[None, :] - x).abs(), (centres[:, None] - y).abs()
        label = rng.randrange(2)
        return label, (dx * dx + dy * dy <= radius**2) if label else ((dx <= radius) & (dy <= radius))


def corners(boxes: torch.Tensor) -> Keypoints:
    """The upper corners, half a pixel inside."""
    xy = torch.stack((boxes[:, :2] + 0.5, boxes[:, [2, 1]] + torch.tensor([-0.5, 0.5])), dim=1)
    return Keypoints(xy, torch.full((len(boxes), 2), 2))


class ToyNet(Backbone):
    """One convolution per level; `width` channels everywhere."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # A 3x3 convolution with stride 2 and padding 1 keeps the centre of cell 0 on that of the cell before.
        self.levels = tuple(Level(width, stride, 0.5) for stride in (4, 8, 16, 32))
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.ReLU())
        down = (nn.Conv2d(width, width, 3, 2, 1) for _ in self.levels)
        self.stages = nn.ModuleList(nn.Sequential(conv, nn.GroupNorm(4, width), nn.ReLU()) for conv in down)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        maps, features = [], self.stem(pixels)
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return tuple(maps)


def _net(weights: str | None = None, width: int = 16) -> ToyNet:
    return ToyNet(width)


TALLY: Key[Any, Any] = Key(
    "tests.toy.tally", of=OBJECTS, doc="number of the kind that an object is of [N]", shape=("N",)
)


class TallyConfig(Config):
    """`kinds`: how often each thing is labelled; found out when training starts."""

    kinds: dict[str, int] | None = None
    hints: dict[str, Any] = {}


class TallyHead(Head[Tensor, Tensor]):
    """One output per kind that there is in the training data."""

    prepared: ClassVar[list[list[Scene]]] = []

    def __init__(self, core: Core, config: TallyConfig) -> None:
        super().__init__()
        if config.kinds is None:
            raise InputError("tally: nobody has counted the kinds; train it first")
        self.net = nn.Linear(core.channels, len(config.kinds))

    def forward(self, board: Board) -> Tensor:
        logits: Tensor = self.net(board.pool(OBJECTS, size=7).mean((2, 3)))
        return logits

    def loss(self, raw: Tensor, board: Board, targets: Targets) -> dict[str, Tensor]:
        return {"kind": safe_mean(nn.functional.cross_entropy(raw, board[OBJECTS].labels, reduction="none"))}

    def decode(self, raw: Tensor, board: Board) -> Tensor:
        return raw.argmax(dim=1)

    @classmethod
    def prepare(cls, config: TallyConfig, scenes: Iterable[Scene]) -> TallyConfig:
        """Count, and remember every scene that was looked at."""
        if config.kinds is not None:
            return config
        cls.prepared.append(list(scenes))
        names = [name for scene in cls.prepared[-1] for name in scene.names()]
        return config.model_copy(update={"kinds": dict(sorted(Counter(names).items()))})


@hookimpl
def scenekit_tasks() -> list[TaskSpec]:
    """`tally`."""
    return [
        TaskSpec("tally", "kinds", (TALLY,), TallyHead, TallyConfig, learns_from=(OBJECTS,), prepare=TallyHead.prepare)
    ]


@hookimpl
def scenekit_backbones() -> list[BackboneSpec]:
    """`toynet`."""
    return [BackboneSpec("toynet", "five convolutions", _net)]


@hookimpl
def scenekit_datasets() -> list[DatasetSpec]:
    """`toys`."""
    return [DatasetSpec("toys", "squares and discs", _build)]


def _build(
    split: str,
    count: int = 32,
    side: int = 64,
    labelled: Collection[str] = Toys.labelled,
    covers: Collection[str] | None = None,
) -> Toys:
    return Toys(count, side, tuple(labelled), covers=covers)


def register() -> None:
    """Make `toys` and `toynet` known, once."""
    import sys

    if "toys" not in registry().names("dataset"):
        registry().add(sys.modules[__name__], Origin("toys", "tests", "0"))


def recipe(steps: int = 6, **train: Any) -> Recipe:
    """A model of a few thousand parameters on toys."""
    return Recipe.parse(
        {
            "model": {
                "input": {"min_size": 64, "max_size": 64},
                "backbone": {"name": "toynet"},
                "pyramid": {"channels": 16},
                "detector_options": {
                    "rpn": {"pre_nms_train": 60, "post_nms_train": 30, "samples": 32},
                    "box_head": {"fcs": [32], "samples": 16},
                },
                "tasks": {
                    "semantic": {"channels": 16, "norm_groups": 4},
                    "masks": {"channels": 16, "convs": 1},
                    "keypoints": {"channels": 16, "convs": 1},
                },
            },
            "data": {"train": [{"name": "toys"}]},
            "train": {
                "steps": steps,
                "batch_size": 2,
                "warmup": 2,
                "workers": 0,
                "log_every": 1,
                "save_every": 2,
                "grad_norm_every": 2,
                **train,
            },
        }
    )
