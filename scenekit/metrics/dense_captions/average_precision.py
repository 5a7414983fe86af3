"""Dense-captioning mAP by DenseCap's protocol (Johnson et al., DenseCap, CVPR 2016, and its evaluation program).

Letters: G annotated regions of one image, M the same merged, D detections, I and S thresholds on IoU and language
score, T on recall.

1. Ground-truth regions that overlap by IoU >= 0.7 are merged: the one with most such partners takes them all, then the
   next. The merged box is the mean of their corners, its references are all their captions.
2. In each image detections, best first, are assigned to the merged region of highest IoU, however low that is. The
   first one that is assigned to a region matches it.
3. Over all images, by falling score: a detection is right when it matches its region, with IoU >= t and a language
   score above s. AP is the mean over 100 recall thresholds of the highest precision at that recall or beyond.
4. mAP is the mean over t = .3 .4 .5 .6 .7 and s = 0 .05 .1 .15 .2 .25; detection mAP ignores the language score.

The thresholds s were chosen for METEOR; with another language score, mAP is another metric and must be named so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError
from scenekit.metrics.checks import check_length, corners, decimals
from scenekit.metrics.common import box_iou
from scenekit.metrics.dense_captions.language import CORPUS_SCORES, LanguageScore, unigram_f

MERGE_IOU = 0.7
IOUS = (0.3, 0.4, 0.5, 0.6, 0.7)
SCORES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
"""Thresholds on the overlap and on the language score."""

TEXT_IOU = 0.5
"""The IoU from which the corpus scores compare a text with those of its region."""

TO_PIXEL_CENTERS = np.array([0.5, 0.5, -0.5, -0.5])
"""From half-open corners to the centers of the first and the last pixel."""

RECALLS: Float[np.ndarray, " T"] = np.add.accumulate(np.array([0.0, *[0.01] * 99]))
"""0, then + 0.01 in double precision as the Lua program counts: 100 values, each with the rounding of its sum."""


class DenseCaptioning:
    """Accumulates images; `result` gives mAP and its parts as fractions.

    Args:
        language: Scores candidates against references.
        name: Its name in every table.
        last_region: The Lua program reads "no region" as the last one, so that a detection far from all regions matches
            it before a better one. Do the same, for numbers equal to that program's.
    """

    def __init__(self, language: LanguageScore = unigram_f, name: str = "unigram-F", last_region: bool = False) -> None:
        self.language = language
        self.name = name
        self.last_region = last_region
        self._regions = 0
        self._images: list[_Detections] = []

    def update(
        self,
        target_boxes: Any,
        target_captions: Sequence[Sequence[str]],
        boxes: Any,
        captions: Sequence[str],
        scores: Any,
    ) -> None:
        """Add one image.

        Args:
            target_boxes: [G 4] xyxy pixels (half-open) of the ground-truth regions.
            target_captions: One or more captions per region.
            boxes: [D 4] xyxy pixels of the detections.
            captions: One per detection.
            scores: One per detection.

        Raises:
            InputError: Wrong shapes, numbers that are not finite, or lengths that differ.
        """
        targets = corners(target_boxes)
        check_length("captions", target_captions, len(targets), "boxes")
        detections, certainty = corners(boxes), decimals("scores", scores)
        check_length("captions", captions, len(detections), "boxes")
        check_length("scores", certainty, len(detections), "boxes")
        groups = merged_regions(targets)
        regions = mean_boxes(targets, groups)
        order = np.argsort(-certainty, kind="stable")
        region, iou, first = assigned(regions, detections[order], self.last_region)
        references = [[text for row in group for text in target_captions[row]] for group in groups]
        self._regions += len(groups)
        self._images.append(
            _Detections(
                certainty[order],
                iou,
                first,
                [captions[i] for i in order],
                [references[i] if i >= 0 else [] for i in region],
            )
        )

    def merge(self, other: "DenseCaptioning") -> None:
        """Add the images of another instance.

        Args:
            other: One of the same language score and rule.

        Raises:
            InputError: Language scores or rules differ.
        """
        if (other.name, other.last_region) != (self.name, self.last_region):
            raise InputError("dense-captioning scores of different language scores or rules cannot be merged")
        self._regions += other._regions
        self._images += other._images

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            `mAP`, `language_score` (its name), `detection_mAP`, the numbers of `regions` and `detections`, and
            `breakdown`: the AP at each IoU threshold without (`detection`) and with each language threshold. Fractions;
            NaN where there is no ground-truth region.
        """
        detections = _Detections.of_all(self._images)
        detections = detections.rows(np.argsort(-detections.scores, kind="stable"))
        table = self._precisions(detections)
        columns = ("detection", *(f"{s:g}" for s in SCORES))
        rows = {f"{t:g}": dict(zip(columns, row, strict=True)) for t, row in zip(IOUS, table.tolist(), strict=True)}
        return {
            "mAP": float(table[:, 1:].mean()),
            "language_score": self.name,
            "detection_mAP": float(table[:, 0].mean()),
            "regions": self._regions,
            "detections": len(detections.scores),
            "breakdown": rows,
        }

    def text_scores(self) -> dict[str, float | int]:
        """Compute the corpus scores of the texts whose detection matches a region with IoU >= 0.5.

        Returns:
            CIDEr-D (0 to 10), BLEU-4 and ROUGE-L (fractions), and the number of `texts`.
        """
        detections = _Detections.of_all(self._images)
        detections = detections.rows(np.flatnonzero(detections.first & (detections.iou >= TEXT_IOU)))
        scores = {name: score(detections.captions, detections.references) for name, score in CORPUS_SCORES.items()}
        return {**scores, "texts": len(detections.captions)}

    def _precisions(self, detections: "_Detections") -> Float[np.ndarray, "I S"]:
        """Compute AP for each threshold on IoU (rows), without and with each on the language score (columns)."""
        language = self._language_scores(detections)
        right = [[detections.first & (detections.iou >= t) & (language > s) for s in (-1.0, *SCORES)] for t in IOUS]
        return np.array([[average_precision(hits, self._regions) for hits in row] for row in right])

    def _language_scores(self, detections: "_Detections") -> Float[np.ndarray, " D"]:
        """Compute the language score of each detection that could be right; 0 for all others, which count nowhere."""
        scores = np.zeros(len(detections.scores))
        rows = np.flatnonzero(detections.first & (detections.iou >= min(IOUS)))
        if len(rows):
            texts = detections.rows(rows)
            values = decimals(f"scores by {self.name}", self.language(texts.captions, texts.references))
            check_length(f"scores by {self.name}", values, len(rows), "texts")
            scores[rows] = values
        return scores


def merged_regions(boxes: Float[np.ndarray, "G 4"]) -> list[list[int]]:
    """Group the regions that are merged: the region with most partners takes them all, then the next.

    Args:
        boxes: xyxy pixels.

    Returns:
        The rows of each group.
    """
    close = box_iou(boxes, boxes) >= MERGE_IOU
    np.fill_diagonal(close, True)
    groups = []
    while close.any():
        members = np.flatnonzero(close[close.sum(axis=1).argmax()]).tolist()
        groups.append(members)
        close[members] = False
        close[:, members] = False
    return groups


def mean_boxes(boxes: Float[np.ndarray, "G 4"], groups: Sequence[Sequence[int]]) -> Float[np.ndarray, "M 4"]:
    """Compute the mean corners of each group, rounded as DenseCap does: to single precision, at pixel centers.

    Args:
        boxes: xyxy pixels.
        groups: The rows of each group.

    Returns:
        xyxy pixels.
    """
    means = [(boxes[list(group)] + TO_PIXEL_CENTERS).mean(axis=0) for group in groups]
    rounded: Float[np.ndarray, "M 4"] = np.array(means, dtype=np.float32).reshape(-1, 4) - TO_PIXEL_CENTERS
    return rounded


def assigned(
    regions: Float[np.ndarray, "M 4"], boxes: Float[np.ndarray, "D 4"], last_region: bool = False
) -> tuple[Int[np.ndarray, " D"], Float[np.ndarray, " D"], Bool[np.ndarray, " D"]]:
    """Assign each detection to the region of highest IoU.

    Args:
        regions: xyxy pixels.
        boxes: xyxy pixels of the detections, best first.
        last_region: Assign a detection without overlap to the last region.

    Returns:
        Of each detection its region (-1: it overlaps none), their IoU, and whether it is the first of its region.
    """
    if not len(regions) or not len(boxes):
        return np.full(len(boxes), -1), np.zeros(len(boxes)), np.zeros(len(boxes), dtype=bool)
    overlaps = box_iou(boxes, regions)
    iou: Float[np.ndarray, " D"] = overlaps.max(axis=1)
    region = np.where(iou > 0, overlaps.argmax(axis=1), -1)
    taken = np.where(region < 0, len(regions) - 1, region) if last_region else region
    first = np.zeros(len(boxes), dtype=bool)
    first[np.unique(taken, return_index=True)[1]] = True
    return region, iou, first & (taken >= 0)


def average_precision(right: Bool[np.ndarray, " D"], regions: int) -> float:
    """Compute the mean over the recall thresholds of the highest precision at that recall or beyond.

    Args:
        right: Whether each detection, best first, is right.
        regions: The number of ground-truth regions.

    Returns:
        A fraction; NaN without regions.
    """
    if not regions:
        return float("nan")
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(hits / regions, RECALLS)
    return float(np.append(highest, 0.0)[reached].mean())


@dataclass(frozen=True, eq=False)
class _Detections:
    """Of each detection: score, IoU with its region, whether it matches it, its text, and the region's texts."""

    scores: Float[np.ndarray, " D"]
    iou: Float[np.ndarray, " D"]
    first: Bool[np.ndarray, " D"]
    captions: list[str]
    references: list[list[str]]

    @classmethod
    def of_all(cls, images: "Sequence[_Detections]") -> "_Detections":
        return cls(
            np.concatenate([np.zeros(0), *(detections.scores for detections in images)]),
            np.concatenate([np.zeros(0), *(detections.iou for detections in images)]),
            np.concatenate([np.zeros(0, dtype=bool), *(detections.first for detections in images)]),
            [text for detections in images for text in detections.captions],
            [texts for detections in images for texts in detections.references],
        )

    def rows(self, rows: Int[np.ndarray, " N"]) -> "_Detections":
        return _Detections(
            self.scores[rows],
            self.iou[rows],
            self.first[rows],
            [self.captions[i] for i in rows],
            [self.references[i] for i in rows],
        )
