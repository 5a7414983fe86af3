"""Image classification: one class of the whole image, and the likeliest others.

Letters: B images, K classes, k classes of one image.
"""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import BACKBONE_FEATURES, CLASSIFICATION
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.scene import Scene
from scenekit.structures import ImageClasses
from scenekit.visualization.palette import label_color
from scenekit.visualization.scene_canvas import Canvas
from scenekit_plugins.classification.evaluator import ClassificationEvaluator
from scenekit_plugins.image_layers import ImageLayers, ImageLayersConfig, class_names, cross_entropy


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


def draw_classification(canvas: Canvas, scene: Scene) -> None:
    """Write the best class into the upper left corner, with its score.

    Args:
        canvas: The image.
        scene: A scene with classes of the image.
    """
    classes, names = scene[CLASSIFICATION], class_names(scene.vocabulary, "classification")
    if not len(classes):
        return
    label = int(classes.labels[0])
    score = "" if classes.scores is None else f" {classes.scores.tolist()[0]:.2f}"
    canvas.texts([((0, 0, 0, 0), names[label] + score, label_color(label))])


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
