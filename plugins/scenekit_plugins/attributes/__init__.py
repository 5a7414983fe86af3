"""Attributes of objects: several may hold for one object, and few are frequent.

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
"""Upper limit of the attributes in an object's tag, and their smallest probability."""


class AttributeConfig(Config):
    """Options of the attribute head.

    Pixels of the image, at four times the side of the pooled features, are read by two convolutions of stride 2: colors
    and fine patterns are lost in the coarse levels from which large objects are pooled.

    The loss is weighted against the long tail by counts gathered during training.
    """

    pooled: int = Field(default=7, ge=1)
    """Side of the RoI features."""
    channels: int = Field(default=48, ge=1)
    """Channels of the convolution on the features."""
    hidden: int = Field(default=256, ge=1)
    """Units of the hidden layer."""
    picture: bool = True
    """Whether the head reads pixels of the image too."""
    picture_channels: int = Field(default=32, ge=1)
    """Channels of the first convolution on the pixels."""
    label: int = Field(default=32, ge=0)
    """Length of an embedding of the object's label, 0 for none: what is small for a table is large for a mug."""
    place: bool = True
    """Whether the head gets the position of the box in the image."""
    balance: Literal["none", "class_balanced", "positive_weight"] = "class_balanced"
    """Weight of entries where an attribute holds relative to those where it does not: "positive_weight" is the quotient
    of their counts, "class_balanced" that of their effective numbers (Cui et al., 2019, eq. 2).
    """
    beta: float = Field(default=0.9999, ge=0, lt=1)
    """Beta of the effective number."""
    max_weight: float = Field(default=100.0, ge=1)
    """Upper limit of that weight."""
    focal: float = Field(default=0.0, ge=0)
    """Exponent of the focal loss (Lin et al., 2017, eq. 4); 0 is cross-entropy."""


class AttributeHead(Head[Float[Tensor, "N A"], Float[Tensor, "N A"]]):
    """A head that predicts a probability of each attribute for each object.

    `held` and `lacking` count, by attribute, the entries of the ground truth that training has used (of several
    processes in the first one).
    """

    held: Int[Tensor, " A"]
    lacking: Int[Tensor, " A"]

    def __init__(self, core: Core, config: AttributeConfig) -> None:
        super().__init__()
        attributes = core.vocabulary.attributes
        if not attributes:
            raise InputError(
                "task 'attributes' needs a vocabulary with attributes, but it has none; add a data set that is "
                "annotated with them, or leave the task out"
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
        """Compute weighted binary cross-entropy, a mean over annotated entries."""
        target = targets[ATTRIBUTES]
        annotated = target.isfinite()
        target = target.nan_to_num(0)
        if self.training:  # as running statistics: in evaluation mode the counts do not change
            self._count(target, annotated)
        held, lacking = outcome_weights(self.held, self.lacking, self.config)
        entries = F.binary_cross_entropy_with_logits(raw.float(), target, reduction="none")
        if self.config.focal:
            entries = entries * (raw.float().sigmoid() - target).abs() ** self.config.focal
        entries = entries * (target * held + (1 - target) * lacking)
        return {"attribute": safe_mean(entries[annotated])}

    def decode(self, raw: Float[Tensor, "N A"], board: Board) -> Float[Tensor, "N A"]:
        return raw.float().sigmoid()

    def _axis_names(self, vocabulary: Vocabulary) -> ParameterNames:
        attributes, things = AxisNames(vocabulary.attributes), AxisNames(vocabulary.things)
        counts = {"held": (attributes,), "lacking": (attributes,)}
        labels = {} if self.label is None else {"label.weight": (things,)}
        return {**rows_by_name({"predictor": attributes}), **counts, **labels}

    @torch.no_grad()
    def _count(self, target: Float[Tensor, "N A"], annotated: Tensor) -> None:
        holds = target >= 0.5
        self.held += (annotated & holds).sum(0)
        self.lacking += (annotated & ~holds).sum(0)


def places(images: ImageBatch, regions: Regions) -> Float[Tensor, "N 4"]:
    """Compute center and size of each box as shares of its image.

    Args:
        images: Images of the batch.
        regions: The boxes.

    Returns:
        Center x and y, width and height, 0..1.
    """
    sizes = regions.boxes.new_tensor([(width, height) for height, width in images.sizes])[regions.image_index]
    low, high = regions.boxes[:, :2] / sizes, regions.boxes[:, 2:] / sizes
    return torch.cat(((low + high) / 2, high - low), dim=1)


def outcome_weights(
    held: Int[Tensor, " A"], lacking: Int[Tensor, " A"], config: AttributeConfig
) -> tuple[Float[Tensor, " A"], Float[Tensor, " A"]]:
    """Compute weights of entries where an attribute holds and where it does not.

    Over the counted entries of an attribute their mean is 1, so that balancing does not change the size of the loss.

    Args:
        held: Number of entries where each attribute holds.
        lacking: Number of entries where it does not.
        config: Options of the head.

    Returns:
        Weights by attribute of entries that hold, and of those that do not.
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


def draw_attributes(image: Image.Image, scene: Scene) -> Image.Image:
    """Draw boxes with the class name of each object, after its most probable attributes.

    Args:
        image: Image or canvas to draw on.
        scene: The scene with attributes.

    Returns:
        The drawing.
    """
    rects, colors = object_rects(image, scene), object_colors(scene)
    words, names = top_words(scene), scene.names()
    texts = {row: " ".join((", ".join(words[row]), names[row])).strip() for row in rects}
    tags = [Tag(texts[row], colors[row], rect) for row, rect in rects.items()]
    return draw_tags(draw_boxes(image, scene, labels=False), tags)


def top_words(scene: Scene) -> list[list[str]]:
    """Return the most probable attributes of each object, the most probable first.

    Args:
        scene: The scene with attributes.

    Returns:
        Names of attributes, for each object.
    """
    names = scene.vocabulary.attributes
    values = scene[ATTRIBUTES].detach().cpu().nan_to_num(0)
    best = values.sort(dim=1, descending=True, stable=True)
    return [
        [names[place] for value, place in zip(row[:SHOWN], places[:SHOWN], strict=True) if value >= LEAST]
        for row, places in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `attributes`."""
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
        static=True,
    )
