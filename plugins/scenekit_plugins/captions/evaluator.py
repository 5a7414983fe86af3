"""Dense captions of scenes: phrases, and objects that have a description."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.keys import CAPTIONS, PHRASE_CAPTIONS, Key
from scenekit.metrics.dense_captions import LANGUAGE_SCORES, DenseCaptioning, language_score
from scenekit.scene import Scene
from scenekit.structures import Captions, Vocabulary

OF_OBJECTS = "objects: "
"""Prefix of the metrics of described objects."""


class CaptionEvaluator:
    """Dense-captioning mAP of the phrases, ranked by the score of their regions, and language scores of their texts.

    Detected objects with a caption are measured in the same way, against the annotated objects that have captions.
    Corpus scores (CIDEr-D, BLEU-4, ROUGE-L) are of the texts whose region matches a ground-truth region with
    IoU >= 0.5. Images without annotations of that kind, and texts without a word, are skipped.

    Args:
        vocabulary: That of the model; captions need none of it.
        language: The language score of mAP, by name; it is a part of the metric's name.

    Raises:
        InputError: The language score is unknown.
    """

    def __init__(self, vocabulary: Vocabulary, language: str = next(iter(LANGUAGE_SCORES))) -> None:
        self.language = language
        self.metrics = {key: DenseCaptioning(language_score(language), language) for key in (PHRASE_CAPTIONS, CAPTIONS)}
        self.images = dict.fromkeys(self.metrics, 0)

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        for key, metric in self.metrics.items():
            assert key.of is not None
            supervised = key in sample.supervision.keys and key.of in sample.supervision.streams
            if supervised and key in prediction:
                boxes, references, _ = _captioned_regions(sample.scene, key)
                predicted_boxes, texts, scores = _captioned_regions(prediction, key)
                metric.update(boxes, references, predicted_boxes, [best for best, *_ in texts], scores)
                self.images[key] += 1

    def merge(self, other: CaptionEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same language score.
        """
        for key, metric in self.metrics.items():
            metric.merge(other.metrics[key])
            self.images[key] += other.images[key]

    def result(self) -> dict[str, Any]:
        """Compute the metrics of phrases, then of objects (their names begin with "objects: ").

        Returns:
            `mAP (unigram-F)`, or as the language score is called, and `detection mAP`, which reads no text (fractions);
            CIDEr-D (0 to 10), BLEU-4 and ROUGE-L (fractions). Phrases, or objects, are left out where no image was
            measured in them; the metrics of phrases are NaN where none was measured in either.
        """
        phrases, objects = (self._metrics_of(key) for key in (PHRASE_CAPTIONS, CAPTIONS))
        of_objects = {OF_OBJECTS + name: value for name, value in objects.items()}
        if not self.images[CAPTIONS]:
            return phrases
        return {**phrases, **of_objects} if self.images[PHRASE_CAPTIONS] else of_objects

    def _metrics_of(self, key: Key[Any, Any]) -> dict[str, float]:
        result, texts = self.metrics[key].result(), self.metrics[key].text_scores()
        ranked = {f"mAP ({self.language})": result["mAP"], "detection mAP": result["detection_mAP"]}
        return {**ranked, **{name: texts[name] for name in texts if name != "texts"}}


def _captioned_regions(scene: Scene, key: Key[Any, Any]) -> tuple[Tensor, list[tuple[str, ...]], Tensor]:
    """Return boxes, texts and scores (1 where there are none) of the regions that have a text."""
    assert key.of is not None
    regions, captions = scene.regions(key.of), scene[key]
    if not isinstance(captions, Captions):
        raise InputError(f"{key.name} holds texts; expected Captions, got {type(captions).__name__}")
    texts = [tuple(text for text in row if text.strip()) for row in captions.texts]
    annotated = scene.rows_with(key).tolist()
    rows = [row for row, row_texts in enumerate(texts) if row_texts and annotated[row]]
    scores = regions.boxes.new_ones(len(regions)) if regions.scores is None else regions.scores
    return regions.boxes[rows], [texts[row] for row in rows], scores[rows]
