"""Single-object localization: the class of the image's one object and its box, from one trunk.

Letters: B images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from scenekit.hooks import LabelerSpec, TaskSpec, hookimpl
from scenekit.keys import BACKBONE_FEATURES, CLASSIFICATION, LOCALIZATION, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.scene import Scene
from scenekit.structures import ImageBatch, LocatedClasses
from scenekit.visualization.palette import label_color
from scenekit.visualization.scene_canvas import Canvas
from scenekit_plugins.image_layers import ImageLayers, ImageLayersConfig, class_names, cross_entropy
from scenekit_plugins.localization.evaluator import LocalizationEvaluator
from scenekit_plugins.localization.largest_object import largest_object, names_of_things


class LocalizationConfig(ImageLayersConfig):
    """Options of the head."""

    pooled: int = Field(default=7, ge=1)
    """Side of the averaged map; with 1 little is left of where the object is."""
    hidden: tuple[PositiveInt, ...] = (256,)
    """Units of each hidden layer."""
    box_weight: float = Field(default=10.0, ge=0)
    """Weight of the squared error of the box, whose numbers are shares of the image, beside the loss of the class."""


class Located(NamedTuple):
    """What the network computes."""

    logits: Float[Tensor, "B K"]
    """One per class."""
    boxes: Float[Tensor, "B 4"]
    """Center x and y, width and height, as shares of the image."""


class LocalizationHead(Head[Located, list[LocatedClasses]]):
    """Two linear layers behind shared ones: the classes, and the four numbers of the box."""

    def __init__(self, core: Core, config: LocalizationConfig) -> None:
        super().__init__()
        names = class_names(core.vocabulary, "localization")
        self.trunk = ImageLayers(core, config, "localization")
        self.predictor = nn.Linear(self.trunk.features, len(names))
        self.box = nn.Linear(self.trunk.features, 4)
        nn.init.zeros_(self.box.weight)
        self.box.bias.data = torch.tensor([0.5, 0.5, 0.5, 0.5])  # a box in the middle, of half of either side
        self.axis_names = rows_by_name({"predictor": AxisNames(names)})
        self.box_weight = config.box_weight

    def forward(self, board: Board) -> Located:
        features = self.trunk(board)
        return Located(self.predictor(features), self.box(features))

    def loss(self, raw: Located, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute cross-entropy of the class, and the weighted squared error of the box (L2), over annotated images."""
        annotated: Sequence[LocatedClasses | None] = targets[LOCALIZATION]
        rows = [row for row, target in enumerate(annotated) if target is not None and len(target)]
        boxes = [target.boxes[:1] for target in annotated if target is not None and len(target)]
        expected = to_shares(torch.cat([raw.boxes.new_zeros(0, 4), *boxes]), board.images, rows)
        squared = (raw.boxes[rows].float() - expected.float()).square().sum(dim=1)
        return {
            "class": cross_entropy(raw.logits, annotated),
            "box": self.box_weight * safe_mean(squared),
        }

    def decode(self, raw: Located, board: Board) -> list[LocatedClasses]:
        scores, labels = raw.logits.float().softmax(dim=1).max(dim=1)
        boxes = from_shares(raw.boxes.float(), board.images)
        return [LocatedClasses(*image) for image in zip(labels[:, None], boxes[:, None], scores[:, None], strict=True)]


def to_shares(boxes: Float[Tensor, "N 4"], images: ImageBatch, rows: Sequence[int]) -> Float[Tensor, "N 4"]:
    """Convert boxes to center x and y, width and height as shares of their images.

    Args:
        boxes: xyxy in pixels.
        images: The batch.
        rows: The image of each box.

    Returns:
        Four shares per box.
    """
    sides = boxes.new_tensor([images.sizes[row][::-1] for row in rows]).reshape(-1, 2)
    corners = boxes.reshape(-1, 2, 2) / sides[:, None]
    return torch.cat((corners.mean(dim=1), corners[:, 1] - corners[:, 0]), dim=1)


def from_shares(shares: Float[Tensor, "B 4"], images: ImageBatch) -> Float[Tensor, "B 4"]:
    """Convert shares of each image to boxes within it.

    Args:
        shares: Center x and y, width and height, one box per image.
        images: The batch.

    Returns:
        xyxy in pixels, at least one pixel wide and high as far as the image is.
    """
    sides = shares.new_tensor([size[::-1] for size in images.sizes])
    least = (1 / sides).clamp(max=1)
    half = torch.maximum(shares[:, 2:].clamp(max=1), least) / 2
    center = shares[:, :2].clamp(0, 1)
    center = torch.maximum(torch.minimum(center, 1 - least / 2), least / 2)
    first, second = (center - half).clamp(min=0), (center + half).clamp(max=1)
    return torch.cat((first * sides, second * sides), dim=1)


def draw_localization(canvas: Canvas, scene: Scene) -> None:
    """Draw the box, with its class.

    Args:
        canvas: The image.
        scene: A scene with a localization.
    """
    located, names = scene[LOCALIZATION], class_names(scene.vocabulary, "localization")
    scores = [""] * len(located) if located.scores is None else [f" {score:.2f}" for score in located.scores.tolist()]
    for label, box, score in zip(located.labels.tolist(), located.boxes.tolist(), scores, strict=True):
        canvas.box(box, label_color(label), names[label] + score)


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `localization`."""
    yield TaskSpec(
        name="localization",
        summary="class and box of the one object of the image",
        provides=(LOCALIZATION,),
        build=LocalizationHead,
        config=LocalizationConfig,
        requires=(BACKBONE_FEATURES,),
        learns_from=(LOCALIZATION,),
        evaluator=LocalizationEvaluator,
        draw=draw_localization,
        hub_tag="object-detection",
    )


@hookimpl
def scenekit_labelers() -> Iterator[LabelerSpec]:
    """Yield the labeler `largest_object`."""
    yield LabelerSpec(
        name="largest_object",
        summary="the class and the box of the image are those of its largest object",
        needs=(OBJECTS,),
        provides=(CLASSIFICATION, LOCALIZATION),
        build=lambda: largest_object,
        lists=names_of_things,
    )
