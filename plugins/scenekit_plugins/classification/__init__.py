"""Image classification: one class of the whole image, and the likeliest others.

Letters: B images, K classes, k classes of one image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import BACKBONE_FEATURES, CLASSIFICATION
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.scene import Scene
from scenekit.structures import IMAGE_CLASSES, ImageClasses, LocatedClasses, Vocabulary
from scenekit.visualization.palette import label_color
from scenekit.visualization.scene_canvas import Canvas
from scenekit_plugins.classification.evaluator import ClassificationEvaluator
from scenekit_plugins.image_layers import ImageLayers, ImageLayersConfig

SHOWN = 3
"""Upper limit of the classes that are written on the image."""


class ClassificationConfig(ImageLayersConfig):
    """Options of the classifier."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all classes (Szegedy et al., 2016, section 7)."""
    top_k: int = Field(default=5, ge=1)
    """How many classes are returned, at most."""


class ClassificationHead(Head[Float[Tensor, "B K"], list[ImageClasses]]):
    """A linear classifier behind pooled features and hidden layers."""

    def __init__(self, core: Core, config: ClassificationConfig) -> None:
        super().__init__()
        names = class_names(core.vocabulary, "classification")
        self.trunk = ImageLayers(core, config, "classification")
        self.predictor = nn.Linear(self.trunk.features, len(names))
        self.axis_names = rows_by_name({"predictor": AxisNames(names)})
        self.label_smoothing, self.top_k = config.label_smoothing, config.top_k

    def forward(self, board: Board) -> Float[Tensor, "B K"]:
        logits: Tensor = self.predictor(self.trunk(board))
        return logits

    def loss(self, raw: Float[Tensor, "B K"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute cross-entropy, a mean over the images with a class."""
        return {"class": cross_entropy(raw, targets[CLASSIFICATION], self.label_smoothing)}

    def decode(self, raw: Float[Tensor, "B K"], board: Board) -> list[ImageClasses]:
        scores, labels = raw.float().softmax(dim=1).topk(min(self.top_k, raw.shape[1]), dim=1)
        return [ImageClasses(*image) for image in zip(labels, scores, strict=True)]


def class_names(vocabulary: Vocabulary, task: str) -> tuple[str, ...]:
    """Return the classes of images.

    Args:
        vocabulary: That of the model.
        task: Name of the task, for the error message.

    Returns:
        Their names.

    Raises:
        InputError: If the vocabulary has none.
    """
    names: tuple[str, ...] = vocabulary.lists.get(IMAGE_CLASSES, ())
    if not names:
        raise InputError(
            f"task {task!r} needs a vocabulary with the list {IMAGE_CLASSES!r}, but it has none; use a data set whose "
            "images have a class, such as image_folder, or data.labelers: [largest_object], or leave the task out"
        )
    return names


def cross_entropy(
    logits: Float[Tensor, "B K"], targets: Sequence[ImageClasses | LocatedClasses | None], label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Compute the mean cross-entropy of the images that have a class.

    Args:
        logits: One row per image.
        targets: Ground truth of each image; None or empty where it is unknown.
        label_smoothing: Share of the target that is spread over all classes.

    Returns:
        The loss.
    """
    rows = [row for row, target in enumerate(targets) if target is not None and len(target)]
    labels = torch.tensor([int(target.labels[0]) for target in targets if target is not None and len(target)])
    each = F.cross_entropy(
        logits[rows].float(), labels.to(logits.device, torch.int64), reduction="none", label_smoothing=label_smoothing
    )
    return safe_mean(each)


def draw_classification(canvas: Canvas, scene: Scene) -> None:
    """Write the likeliest classes into the upper left corner.

    Args:
        canvas: The image.
        scene: A scene with classes of the image.
    """
    classes, names = scene[CLASSIFICATION], class_names(scene.vocabulary, "classification")
    height = scene.size[0]
    scores = [""] * SHOWN if classes.scores is None else [f" {score:.2f}" for score in classes.scores.tolist()]
    for place, (label, score) in enumerate(zip(classes.labels[:SHOWN].tolist(), scores, strict=False)):
        corner = (0, place * height / 12, scene.size[1] / 3, (place + 1) * height / 12)
        canvas.texts([(corner, names[label] + score, label_color(label))])


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `classification`."""
    yield TaskSpec(
        name="classification",
        summary="the class of the image, and the likeliest others",
        provides=(CLASSIFICATION,),
        build=ClassificationHead,
        config=ClassificationConfig,
        requires=(BACKBONE_FEATURES,),
        learns_from=(CLASSIFICATION,),
        evaluator=ClassificationEvaluator,
        draw=draw_classification,
        hub_tag="image-classification",
    )
