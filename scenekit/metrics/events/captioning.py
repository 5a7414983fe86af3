"""Dense video captioning as ActivityNet Captions is measured (Krishna et al., ICCV 2017, and its evaluation program).

Letters: V videos, P predictions and R references of one video, T thresholds of the temporal IoU (tIoU).

1. Of each video the first 1000 predictions count. The tIoU is intersection / (union + 1e-8 s).
2. Proposals, at each threshold t: a prediction is right where its tIoU with some event of an annotator is > t, an event
   is covered where that of some prediction is > t. Precision is right / predictions, recall is covered / events; of
   several annotators the best precision and the best recall count, each by itself. Both are means over the videos,
   0 where a video has no prediction.
3. Captions, at each threshold: every pair of a prediction and an event, of any annotator, with tIoU >= t is a text with
   its one reference; a prediction without such an event is compared with a random word, so that it scores 0 and counts
   all the same. Each score is one of all texts of a video together (CIDEr-D's document frequencies are those of the
   video; METEOR counts its matches together), 0 without a prediction, then a mean over the videos.
4. Every number is the mean over t = .3 .5 .7 .9. SODA_c stands beside it, see `scenekit.metrics.events.soda`: either
   all annotators' events by their starts are one story, or the best annotator of each video counts, with events in the
   order of the file. As its authors' program does, the language score takes the reference as the text and the
   prediction as its reference.

What differs from the official programs: texts are split as `words` does, which keeps any script, not by the Java
tokenizer on ASCII; BLEU adds no 1e-15 to absent n-grams (2e-4 at most); videos without predictions score 0 in SODA_c,
whose authors' program leaves them out; a video without annotated events is left out, where that of ActivityNet fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from scenekit.errors import InputError
from scenekit.metrics.checks import check_length, decimals
from scenekit.metrics.common import ratio
from scenekit.metrics.dense_captions.language import (
    CorpusScore,
    LanguageScore,
    SetScore,
    TextSet,
    bleu_4,
    cider_d,
    language_score,
    set_score,
    words,
)
from scenekit.metrics.events.soda import Soda, soda
from scenekit.metrics.events.spans import DescribedSpans, temporal_iou

IOUS = (0.3, 0.5, 0.7, 0.9)
"""Thresholds of the temporal IoU."""

MOST = 1000
"""Predictions of a video that count."""

SET_SCORES: dict[str, CorpusScore] = {"BLEU-4": bleu_4, "CIDEr-D": cider_d}
"""Scores of all texts of a video together."""

Story: TypeAlias = Literal["merged", "best"]


class EventCaptioning:
    """Accumulates videos; `result` gives fractions.

    Args:
        language: Name of the language score, one of `LANGUAGE_SCORES`; METEOR is that of the protocol.
        story: In SODA_c, whether the events of several annotators are "merged" into one story, or in each video the
            annotator with the "best" score counts.
        most: Predictions of a video that count.

    Raises:
        InputError: There is no such language score.
    """

    def __init__(self, language: str = "unigram-F", story: Story = "merged", most: int = MOST) -> None:
        self.language, self.story, self.most = language, story, most
        self._score: LanguageScore = language_score(language)
        self._together: SetScore | None = set_score(language)
        self._videos: list[_Video] = []

    def update(self, references: Sequence[DescribedSpans], predicted: DescribedSpans) -> None:
        """Add one video.

        Args:
            references: The events of each annotator.
            predicted: The predictions, in the order of the file.
        """
        annotators = [one for one in references if len(one)]
        if annotators:
            kept = DescribedSpans(predicted.spans[: self.most], predicted.sentences[: self.most])
            self._videos.append(_Video(annotators, kept))

    def merge(self, other: EventCaptioning) -> None:
        """Add the videos of another instance.

        Args:
            other: One of the same options.

        Raises:
            InputError: The options differ.
        """
        if (other.language, other.story, other.most) != (self.language, self.story, self.most):
            raise InputError("scores of events with different options cannot be merged")
        self._videos += other._videos

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            `precision` and `recall` of the proposals and `F1`, their harmonic mean; `language`, the language score,
            with its name as `language_score`; BLEU-4 and CIDEr-D (0 to 10); `SODA_c` with its precision and recall; the
            number of `videos`, of `references` (annotated events) and of `predictions`; `breakdown`: the first ones at
            each tIoU. Fractions; NaN without videos.
        """
        similar = [] if self._together else self._similarities()
        rows = {f"{t:g}": self._at(t, similar) for t in IOUS}
        means = {name: float(np.mean([row[name] for row in rows.values()])) for name in rows[f"{IOUS[0]:g}"]}
        precision, recall = means.pop("precision"), means.pop("recall")
        swapped = self._similarities(swapped=True)
        story = np.array([self._story(*pair) for pair in zip(self._videos, swapped, strict=True)]).reshape(-1, 3)
        return {
            "precision": precision,
            "recall": recall,
            "F1": 2 * precision * recall / (precision + recall) if precision + recall else precision + recall,
            "language_score": self.language,
            **means,
            **{name: _mean(values) for name, values in zip(STORY, story.T, strict=True)},
            "videos": len(self._videos),
            "references": sum(len(video.merged) for video in self._videos),
            "predictions": sum(len(video.predicted) for video in self._videos),
            "breakdown": rows,
        }

    def _similarities(self, swapped: bool = False) -> list[Float[np.ndarray, "P R"]]:
        """Compute the language score of every prediction with every reference of its video, or the reverse."""
        pairs = [pair for v in self._videos for pair in product(v.predicted.sentences, v.merged.sentences)]
        texts, targets = [pair[swapped] for pair in pairs], [[pair[not swapped]] for pair in pairs]
        values = decimals(f"scores by {self.language}", self._score(texts, targets)) if texts else np.zeros(0)
        check_length(f"scores by {self.language}", values, len(texts), "texts")
        ends = np.cumsum([video.iou.size for video in self._videos])
        parts = np.split(values, ends[:-1]) if self._videos else []
        return [part.reshape(video.iou.shape) for part, video in zip(parts, self._videos, strict=True)]

    def _at(self, threshold: float, similar: Sequence[Float[np.ndarray, "P R"]]) -> dict[str, float]:
        """Compute the scores at one tIoU."""
        found = np.array([video.found(threshold) for video in self._videos]).reshape(-1, 2)
        sets = [video.texts(threshold) for video in self._videos]
        if self._together is not None:
            language = self._together(sets)
        else:
            language = np.array([v.mean(threshold, values) for v, values in zip(self._videos, similar, strict=True)])
        scores = {name: [score(*texts) if texts[0] else 0.0 for texts in sets] for name, score in SET_SCORES.items()}
        return {
            "precision": _mean(found[:, 0]),
            "recall": _mean(found[:, 1]),
            "language": _mean(language),
            **{name: _mean(np.array(values)) for name, values in scores.items()},
        }

    def _story(self, video: _Video, similar: Float[np.ndarray, "P R"]) -> Soda:
        """Compute SODA_c of a video."""
        rows = np.argsort(video.predicted.spans[:, 0], kind="stable")
        by_start = np.argsort(video.merged.spans[:, 0], kind="stable")
        columns = [by_start] if self.story == "merged" else video.columns
        scores = [soda(video.iou[np.ix_(rows, part)], similar[np.ix_(rows, part)]) for part in columns]
        return max(scores, key=lambda score: score.f)


STORY = ("SODA_c precision", "SODA_c recall", "SODA_c")
"""Names of the numbers of `Soda`."""


@dataclass(frozen=True, eq=False)
class _Video:
    annotators: list[DescribedSpans]
    predicted: DescribedSpans
    merged: DescribedSpans = field(init=False)
    iou: Float[np.ndarray, "P R"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "merged", DescribedSpans.merged(self.annotators))
        object.__setattr__(self, "iou", temporal_iou(self.predicted.spans, self.merged.spans))

    @property
    def columns(self) -> list[Any]:
        """The columns of each annotator."""
        return np.split(np.arange(len(self.merged)), np.cumsum([len(one) for one in self.annotators])[:-1])

    def found(self, threshold: float) -> tuple[float, float]:
        """Compute precision and recall of the proposals, each of its best annotator."""
        if not len(self.predicted):
            return 0.0, 0.0
        near = [self.iou[:, part] > threshold for part in self.columns]
        return max(float(n.any(axis=1).mean()) for n in near), max(float(n.any(axis=0).mean()) for n in near)

    def pairs(self, threshold: float) -> Bool[np.ndarray, "P R"]:
        """Return which predictions are compared with which references."""
        pairs: Bool[np.ndarray, "P R"] = self.iou >= threshold
        return pairs

    def mean(self, threshold: float, similar: Float[np.ndarray, "P R"]) -> float:
        """Compute the mean language score of the pairs; a prediction without one counts as 0."""
        pairs = self.pairs(threshold)
        alone = int((~pairs.any(axis=1)).sum())
        count = int(pairs.sum()) + alone
        return ratio(float(similar[pairs].sum()), count) if count else 0.0

    def texts(self, threshold: float) -> TextSet:
        """Return the texts that are compared, each with its one reference; a word unlike all others if it has none."""
        pairs = self.pairs(threshold)
        random = "x" * (1 + max((len(word) for text in self.predicted.sentences for word in words(text)), default=0))
        texts, references = [], []
        for text, row in zip(self.predicted.sentences, pairs, strict=True):
            found = [self.merged.sentences[column] for column in np.flatnonzero(row)] or [random]
            texts += [text] * len(found)
            references += [[reference] for reference in found]
        return texts, references


def _mean(values: Float[np.ndarray, " V"]) -> float:
    return ratio(float(np.sum(values)), len(values))
