"""Descriptions of regions measured from scenes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.keys import CAPTIONS, PHRASE_CAPTIONS, Key
from scenekit.metrics.dense_captions.average_precision import DenseCaptioning
from scenekit.metrics.dense_captions.language import LANGUAGE_SCORES, language_score
from scenekit.scene import Scene
from scenekit.structures import Captions, Vocabulary

OF_OBJECTS = "objects: "
"""What precedes the numbers of described objects in a table."""


class CaptionEvaluator:
    """Dense-captioning mAP of the phrases, ranked by the score of their regions, and scores of their texts.

    Detected objects that are described are measured in the same way, against the objects that have captions. Corpus
    scores (CIDEr-D, BLEU-4, ROUGE-L) are of the texts that took a true region with IoU >= 0.5. `language` is the
    language score that mAP asks for; it stands in the name of the number. Passed over are images in which nobody
    described regions of that kind, and descriptions without a word.
    """

    def __init__(self, vocabulary: Vocabulary, language: str = next(iter(LANGUAGE_SCORES))) -> None:
        self.language = language
        self.metrics = {key: DenseCaptioning(language_score(language), language) for key in (PHRASE_CAPTIONS, CAPTIONS)}
        self.images = dict.fromkeys(self.metrics, 0)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        for key, metric in self.metrics.items():
            assert key.of is not None
            supervised = key in truth.supervision.keys and key.of in truth.supervision.streams
            if supervised and key in prediction:
                boxes, texts, _ = _described(truth.scene, key)
                found, said, scores = _described(prediction, key)
                metric.update(boxes, texts, found, [one for one, *_ in said], scores)
                self.images[key] += 1

    def merge(self, other: CaptionEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        for key, metric in self.metrics.items():
            metric.merge(other.metrics[key])
            self.images[key] += other.images[key]

    def result(self) -> dict[str, Any]:
        """Of phrases, then of objects (their names begin with "objects: "): `mAP (unigram-F)`, or as the language score
        is called, `detection mAP`, which asks for no text, CIDEr-D (0 to 10), BLEU-4 and ROUGE-L.

        NaN where no image with such descriptions came; objects are left out where none were described at all.
        """
        phrases, objects = (self._numbers(key) for key in (PHRASE_CAPTIONS, CAPTIONS))
        if self.images[CAPTIONS]:
            phrases |= {OF_OBJECTS + name: value for name, value in objects.items()}
        return phrases

    def _numbers(self, key: Key[Any, Any]) -> dict[str, float]:
        result, texts = self.metrics[key].result(), self.metrics[key].text_scores()
        ranked = {f"mAP ({self.language})": result["mAP"], "detection mAP": result["detection_mAP"]}
        return {**ranked, **{name: texts[name] for name in texts if name != "texts"}}


def _described(scene: Scene, key: Key[Any, Any]) -> tuple[Tensor, list[tuple[str, ...]], Tensor]:
    """Boxes, texts and scores (1 where there are none) of the regions that have a text."""
    assert key.of is not None
    regions, captions = scene.regions(key.of), scene[key]
    if not isinstance(captions, Captions):
        raise InputError(f"{key.name} holds texts; expected Captions, got {type(captions).__name__}")
    texts = [tuple(text for text in row if text.strip()) for row in captions.texts]
    carried = scene.rows_with(key).tolist()
    rows = [row for row, row_texts in enumerate(texts) if row_texts and carried[row]]
    scores = regions.boxes.new_ones(len(regions)) if regions.scores is None else regions.scores
    return regions.boxes[rows], [texts[row] for row in rows], scores[rows]
