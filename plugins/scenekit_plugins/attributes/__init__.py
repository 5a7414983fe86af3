"""Attributes of objects: several that hold at once, few that are frequent.

Letters: N regions, A attributes, C channels, S pooled side, F features of a region, B images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float, Int
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.config import Config
from scenekit.errors import InputError
from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import ATTRIBUTES, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, ParameterNames, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.losses import effective_number, safe_mean
from scenekit.scene import Scene
from scenekit.structures import ImageBatch, Regions, Vocabulary
from scenekit.visualization.draw import draw_boxes, object_colors, object_rects
from scenekit.visualization.scene_canvas import on_canvas
from scenekit.visualization.text_labels import Tag, draw_tags
from scenekit_plugins.attributes.evaluator import AttributeEvaluator
from scenekit_plugins.layers import init_for_relu
from scenekit_plugins.region_encoder import PIXELS, RegionEncoder, crops

SHOWN, LEAST = 3, 0.5
"""At most so many attributes are written at an object, from this probability on."""


class AttributeConfig(Config):
    """`pooled` RoIAlign side of the features, for one convolution to `channels`, then `hidden` units.

    With `picture` the pixels themselves are looked at too, at four times that side, by two convolutions of stride 2, to
    `picture_channels` and `channels`: colors and fine patterns are gone from the coarse levels that large objects are
    pooled from. `label` lets the head know the object's class (as detected; the true one while learning) by a vector of
    that length, 0 for none: what is small for a table is large for a mug. `place` gives it the box within the picture.

    `balance` against the long tail: how much more an entry of the ground truth weighs where the attribute holds than
    where it does not, from counts gathered while learning. `positive_weight` takes their quotient, `class_balanced`
    that of the effective numbers of samples (Cui et al. 2019, eq. 2) with `beta`; neither goes beyond `max_weight`.
    `focal` is the exponent of Lin et al. (2017, eq. 4), 0 for plain cross-entropy.
    """

    pooled: int = Field(default=7, ge=1)
    channels: int = Field(default=48, ge=1)
    hidden: int = Field(default=256, ge=1)
    picture: bool = True
    picture_channels: int = Field(default=32, ge=1)
    label: int = Field(default=32, ge=0)
    place: bool = True
    balance: Literal["none", "class_balanced", "positive_weight"] = "class_balanced"
    beta: float = Field(default=0.9999, ge=0, lt=1)
    max_weight: float = Field(default=100.0, ge=1)
    focal: float = Field(default=0.0, ge=0)


class AttributeHead(Head[Float[Tensor, "N A"], Float[Tensor, "N A"]]):
    """A probability for each attribute of each object.

    `held` and `lacking` count, by attribute, the entries of the ground truth that were learned from (of several
    processes in the first one).
    """

    held: Int[Tensor, " A"]
    lacking: Int[Tensor, " A"]

    def __init__(self, core: Core, config: AttributeConfig) -> None:
        super().__init__()
        attributes = core.vocabulary.attributes
        if not attributes:
            raise InputError(
                "task 'attributes' needs a vocabulary with attributes; here it has none: give data that label them, "
                "or leave the task out"
            )
        self.config = config
        self.looking = RegionEncoder(core.channels, config.channels, config.picture_channels * config.picture)
        self.label = nn.Embedding(len(core.vocabulary.things), config.label) if config.label else None
        known = config.channels + config.label + 4 * config.place
        self.hidden = nn.Linear(known, config.hidden)
        self.predictor = nn.Linear(config.hidden, len(attributes))
        self.register_buffer("held", torch.zeros(len(attributes), dtype=torch.int64))
        self.register_buffer("lacking", torch.zeros(len(attributes), dtype=torch.int64))
        self.axis_names = self._axis_names(core.vocabulary)
        init_for_relu(self)

    def forward(self, board: Board) -> Float[Tensor, "N A"]:
        regions: Regions = board[OBJECTS]
        pixels = crops(board.images, regions, PIXELS * self.config.pooled) if self.config.picture else None
        parts = [self.looking(board.pool(OBJECTS, size=self.config.pooled), pixels)]
        if self.label is not None:
            parts.append(self.label(regions.labels))
        if self.config.place:
            parts.append(places(board.images, regions))
        logits: Tensor = self.predictor(F.relu(self.hidden(torch.cat([part.to(parts[0].dtype) for part in parts], 1))))
        return logits

    def loss(self, raw: Float[Tensor, "N A"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Weighted binary cross-entropy, a mean over the entries that are known."""
        truth = targets[ATTRIBUTES]
        known = truth.isfinite()
        truth = truth.nan_to_num(0)
        if self.training:  # as running statistics are: a loss that is only looked at leaves the counts alone
            self._count(truth, known)
        held, lacking = outcome_weights(self.held, self.lacking, self.config)
        entries = F.binary_cross_entropy_with_logits(raw.float(), truth, reduction="none")
        if self.config.focal:
            entries = entries * (raw.float().sigmoid() - truth).abs() ** self.config.focal
        entries = entries * (truth * held + (1 - truth) * lacking)
        return {"attribute": safe_mean(entries[known])}

    def decode(self, raw: Float[Tensor, "N A"], board: Board) -> Float[Tensor, "N A"]:
        return raw.float().sigmoid()

    def _axis_names(self, vocabulary: Vocabulary) -> ParameterNames:
        attributes, things = AxisNames(vocabulary.attributes), AxisNames(vocabulary.things)
        counts = {"held": (attributes,), "lacking": (attributes,)}
        labels = {} if self.label is None else {"label.weight": (things,)}
        return {**rows_by_name({"predictor": attributes}), **counts, **labels}

    @torch.no_grad()
    def _count(self, truth: Float[Tensor, "N A"], known: Tensor) -> None:
        holds = truth >= 0.5
        self.held += (known & holds).sum(0)
        self.lacking += (known & ~holds).sum(0)


def places(images: ImageBatch, regions: Regions) -> Float[Tensor, "N 4"]:
    """Center and size of each box as shares of its picture."""
    sizes = regions.boxes.new_tensor([(width, height) for height, width in images.sizes])[regions.image_index]
    low, high = regions.boxes[:, :2] / sizes, regions.boxes[:, 2:] / sizes
    return torch.cat(((low + high) / 2, high - low), dim=1)


def outcome_weights(
    held: Int[Tensor, " A"], lacking: Int[Tensor, " A"], config: AttributeConfig
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """Weights of entries where an attribute holds and where it does not.

    Over the counted entries of an attribute their mean is 1, so that balancing does not change how large the loss is.
    """
    ones, zeros = held.clamp(min=1).double(), lacking.clamp(min=1).double()
    if config.balance == "none":
        ratio = torch.ones_like(ones)
    elif config.balance == "positive_weight":
        ratio = zeros / ones
    else:
        ratio = effective_number(zeros, config.beta) / effective_number(ones, config.beta)
    ratio = ratio.clamp(1 / config.max_weight, config.max_weight)
    unit = (ones + zeros) / (ones * ratio + zeros)
    return (ratio * unit).float(), unit.float()


def draw_attributes(picture: Image.Image, scene: Scene) -> Image.Image:
    """Boxes with the name of each object, and the attributes that most likely hold before it."""
    rects, colors = object_rects(picture, scene), object_colors(scene)
    words, names = top_words(scene), scene.names()
    texts = {row: " ".join((", ".join(words[row]), names[row])).strip() for row in rects}
    tags = [Tag(texts[row], colors[row], rect) for row, rect in rects.items()]
    return draw_tags(draw_boxes(picture, scene, labels=False), tags)


def top_words(scene: Scene) -> list[list[str]]:
    """Of each object the attributes that most likely hold, most likely first."""
    names = scene.vocabulary.attributes
    values = scene[ATTRIBUTES].detach().cpu().nan_to_num(0)
    best = values.sort(dim=1, descending=True, stable=True)
    return [
        [names[place] for value, place in zip(row[:SHOWN], places[:SHOWN], strict=True) if value >= LEAST]
        for row, places in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """The task `attributes`."""
    yield TaskSpec(
        name="attributes",
        summary="words that hold for each object, such as its colors",
        provides=(ATTRIBUTES,),
        build=AttributeHead,
        config=AttributeConfig,
        learns_from=(ATTRIBUTES,),
        evaluator=AttributeEvaluator,
        draw=on_canvas(draw_attributes),
        draw_apart=True,
    )
