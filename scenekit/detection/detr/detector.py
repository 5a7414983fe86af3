"""From what queries predict to objects.

Letters: B images, Q queries, K classes of the network, C foreground classes, N regions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from scenekit.detection.detr.config import DetrConfig
from scenekit.detection.detr.network import QUERY_PREDICTIONS, DetrDecoder, DetrNetwork, QueryPredictions, labels_of
from scenekit.detection.one_stage.whole_image import Classified, WholeImageDetector
from scenekit.errors import InputError, listed
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.ops.boxes import clip_to_images
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import translation

UNKNOWN = -30.0
"""Logit of a class that the network does not know: its score is zero in single precision."""


class DetrDetector(WholeImageDetector[QueryPredictions]):
    """The stage that gives OBJECTS: the best pairs of a query and a class, without NMS, as transformers has them.

    An external region gets the class scores of the query whose box has the greatest IoU with it.

    Args:
        core: Vocabulary of the model.
        config: Options of the detector.

    Raises:
        InputError: If the vocabulary has none of the network's classes.
    """

    requires = (QUERY_PREDICTIONS,)

    def __init__(self, core: Core, config: DetrConfig) -> None:
        super().__init__(core, config)
        own, things = labels_of(core, config), core.vocabulary.things
        self.register_buffer("columns", translation(things, own), persistent=False)
        if not bool((self.columns >= 0).any()):
            raise InputError(
                f"the detector knows none of the classes {listed(things, 3)}; it knows {listed(own, 3)}: rename those "
                "of the data (data.labels), or set model.detector_options.labels to their names in its order"
            )

    columns: Int[Tensor, " C"]

    def predictions(self, board: Board) -> QueryPredictions:
        """Read the predictions from the board.

        Args:
            board: The board.

        Returns:
            The predictions.
        """
        predictions: QueryPredictions = board[QUERY_PREDICTIONS]
        return predictions

    def class_logits(self, logits: Float[Tensor, "*N K"]) -> Float[Tensor, "*N C"]:
        """Return the logits of the vocabulary's classes.

        Args:
            logits: Those of the network's classes.

        Returns:
            The logits; `UNKNOWN` of classes that it does not know.
        """
        return logits[..., self.columns.clamp(min=0)].masked_fill(self.columns < 0, UNKNOWN)

    @torch.no_grad()
    def detect(self, predictions: QueryPredictions, images: ImageBatch) -> Regions:
        """Return the best pairs of a query and a class of each image.

        Args:
            predictions: Predictions of the batch.
            images: Images of the batch.

        Returns:
            Detections, best first within each image, images in order.
        """
        return Regions.cat([self._detect_in(predictions, images, image) for image in range(len(images))])

    def _detect_in(self, predictions: QueryPredictions, images: ImageBatch, image: int) -> Regions:
        logits = self.class_logits(predictions.logits[image])
        scores, order = logits.sigmoid().flatten().topk(len(logits))  # as many pairs as there are queries
        rows, labels = order // self.classes, order % self.classes
        image_index = torch.full_like(rows, image)
        boxes = clip_to_images(predictions.boxes[image, rows], image_index, images.sizes)
        kept = self.best((scores > self.options.score_threshold).nonzero()[:, 0], boxes, scores)
        return Regions(
            boxes[kept],
            image_index[kept],
            labels=labels[kept],
            scores=scores[kept],
            class_logits=_with_background(logits[rows[kept]]),
            class_boxes=boxes[kept][:, None].expand(-1, self.classes, -1),
        )

    def classify(self, predictions: QueryPredictions, given: Regions) -> Classified:
        """Return what the query of the greatest IoU predicts for each external region.

        Args:
            predictions: Predictions of the batch.
            given: External regions.

        Returns:
            Scores, logits and boxes of each region.
        """
        rows = torch.zeros_like(given.image_index)
        for image in range(len(predictions.boxes)):
            own = given.image_index == image
            rows[own] = box_iou(given.boxes[own], predictions.boxes[image]).argmax(dim=1)
        logits = self.class_logits(predictions.logits[given.image_index, rows])
        return Classified(logits.sigmoid(), _with_background(logits), predictions.boxes[given.image_index, rows])


def _with_background(logits: Float[Tensor, "N C"]) -> Float[Tensor, "N _"]:
    """Append the logit of background: 0, beside independent sigmoids."""
    return F.pad(logits, (0, 1))


def build_detr(name: str, core: Core, config: DetrConfig) -> Sequence[Provider]:
    """Build the stages of a detector of transformers.

    Args:
        name: Model type.
        core: Levels of the backbone, vocabulary and input of the model.
        config: Options of the detector.

    Returns:
        The network, and the stage that gives OBJECTS.
    """
    network = DetrDecoder if config.source == "backbone" else DetrNetwork
    return network(name, core, config), DetrDetector(core, config)
