"""Events of clips by the protocol of ActivityNet Captions."""

from __future__ import annotations

from typing import Any

from scenekit.data.sample import Sample
from scenekit.keys import EVENTS
from scenekit.metrics.events import DescribedSpans, EventCaptioning
from scenekit.scene import Scene
from scenekit.structures import Events, Vocabulary

AT = ("0.3", "0.5", "0.7", "0.9")
"""Thresholds of the temporal IoU."""


class EventEvaluator:
    """Precision and recall of events, scores of their texts, and SODA_c.

    An event with several texts counts for as many annotators, of whom each has one of them.

    Args:
        vocabulary: That of the model; events need none of it.
        language: The language score, by name; it is a part of the metrics' names.
    """

    def __init__(self, vocabulary: Vocabulary, language: str = "unigram-F") -> None:
        self.metric = EventCaptioning(language)

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one clip.

        Args:
            sample: The ground truth of the whole.
            prediction: What the model predicts of the whole.
        """
        if EVENTS in sample.supervision.keys and EVENTS in sample.scene and EVENTS in prediction:
            found = prediction[EVENTS]
            self.metric.update(annotators(sample.scene[EVENTS]), DescribedSpans.of(found.spans, _first_texts(found)))

    def merge(self, other: EventEvaluator) -> None:
        """Add the clips of another evaluator.

        Args:
            other: One of the same language score.
        """
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            Means over the thresholds of the temporal IoU: precision, recall, F1, the language score by its name,
            BLEU-4, CIDEr-D (0 to 10), SODA_c; and precision and recall at each threshold. Fractions; NaN without clips.
        """
        result = self.metric.result()
        name = result["language_score"]
        at = {f"{part} at {t}": result["breakdown"][t][part] for t in AT for part in ("precision", "recall")}
        means = {part: result[part] for part in ("precision", "recall", "F1", "BLEU-4", "CIDEr-D")}
        return {**means, name: result["language"], f"SODA_c ({name})": result["SODA_c"], **at}


def annotators(events: Events) -> list[DescribedSpans]:
    """Return ground truth as that of several annotators: the n-th has the n-th text of each event that has one.

    Args:
        events: The events.

    Returns:
        Described spans of each; none without events.
    """
    texts = events.captions.texts
    split = []
    for number in range(max(map(len, texts), default=0)):
        rows = [row for row, group in enumerate(texts) if number < len(group)]
        split.append(DescribedSpans.of(events.spans[rows], [texts[row][number] for row in rows]))
    return split


def _first_texts(events: Events) -> list[str]:
    return [group[0] if group else "" for group in events.captions.texts]
