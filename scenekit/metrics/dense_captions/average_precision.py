"""Dense-captioning mAP by DenseCap's protocol (Johnson et al., DenseCap, CVPR 2016, and its evaluation program).

Letters: G described regions of one image, M the same merged, D detections, I and S thresholds on IoU and language
score, T on recall.

1. True regions that overlap by IoU >= 0.7 are merged: the one with most such partners takes them all, then the next.
   The merged box is the mean of their corners, its references are all their captions.
2. In each image detections, best first, go to the merged region of highest IoU, however low that is. The first that
   comes to a region takes it.
3. Over all images, by falling score: a detection is right when it took its region, with IoU >= t and a language score
   above s. AP is the mean over 100 recall thresholds of the highest precision at that recall or beyond.
4. mAP is the mean over t = .3 .4 .5 .6 .7 and s = 0 .05 .1 .15 .2 .25; detection mAP asks for no language score.

The thresholds s were made for METEOR; with another language score, mAP is another number and must be named so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError
from scenekit.metrics.common import box_iou
from scenekit.metrics.dense_captions.language import CORPUS_SCORES, LanguageScore, unigram_f
from scenekit.metrics.scene_graph.arrays import check_length, corners, decimals

MERGE_IOU = 0.7
IOUS = (0.3, 0.4, 0.5, 0.6, 0.7)
SCORES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
"""Thresholds on the overlap and on the language score."""

TEXT_IOU = 0.5
"""From which overlap on a text is compared with its region's by the corpus scores."""

TO_PIXEL_CENTERS = np.array([0.5, 0.5, -0.5, -0.5])
"""From half-open corners to the centers of the first and the last pixel."""

RECALLS: Float[np.ndarray, " T"] = np.add.accumulate(np.array([0.0, *[0.01] * 99]))
"""0, then + 0.01 in double precision as the Lua program counts: 100 values, each with the rounding of its sum."""


class DenseCaptioning:
    """Accumulates images; `result` gives mAP and its parts as fractions.

    `language` scores candidates against references; `name` is what it is called in every table. The Lua program reads
    "no region" as the last one, which a detection far from all regions then takes away from a better one; `last_region`
    does the same, for numbers equal to that program's.
    """

    def __init__(self, language: LanguageScore = unigram_f, name: str = "unigram-F", last_region: bool = False) -> None:
        self.language = language
        self.name = name
        self.last_region = last_region
        self._regions = 0
        self._images: list[_Detections] = []

    def update(
        self,
        truth_boxes: Any,
        truth_captions: Sequence[Sequence[str]],
        boxes: Any,
        captions: Sequence[str],
        scores: Any,
    ) -> None:
        """Add one image: xyxy boxes (half-open), one or more captions per true region, a caption per detection.

        Raises InputError for wrong shapes, numbers that are not finite, and lengths that differ.
        """
        known = corners(truth_boxes)
        check_length("captions", truth_captions, len(known), "boxes")
        found, certainty = corners(boxes), decimals("scores", scores)
        check_length("captions", captions, len(found), "boxes")
        check_length("scores", certainty, len(found), "boxes")
        groups = merged_regions(known)
        regions = mean_boxes(known, groups)
        order = np.argsort(-certainty, kind="stable")
        region, iou, first = assigned(regions, found[order], self.last_region)
        references = [[text for row in group for text in truth_captions[row]] for group in groups]
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
        """Add what another process accumulated over other images."""
        if (other.name, other.last_region) != (self.name, self.last_region):
            raise InputError("dense-captioning scores of different language scores or rules cannot be merged")
        self._regions += other._regions
        self._images += other._images

    def result(self) -> dict[str, Any]:
        """`mAP`, `language_score` (its name), `detection_mAP`, the numbers of `regions` and `detections`, `breakdown`.

        `breakdown` maps each IoU threshold to the AP without (`detection`) and with each language threshold. NaN where
        there is no true region.
        """
        found = _Detections.of_all(self._images)
        found = found.rows(np.argsort(-found.scores, kind="stable"))
        table = self._precisions(found)
        columns = ("detection", *(f"{s:g}" for s in SCORES))
        rows = {f"{t:g}": dict(zip(columns, row, strict=True)) for t, row in zip(IOUS, table.tolist(), strict=True)}
        return {
            "mAP": float(table[:, 1:].mean()),
            "language_score": self.name,
            "detection_mAP": float(table[:, 0].mean()),
            "regions": self._regions,
            "detections": len(found.scores),
            "breakdown": rows,
        }

    def text_scores(self) -> dict[str, float | int]:
        """Scores of the set of texts that took a region with IoU >= 0.5 against its references; `texts` counts them."""
        found = _Detections.of_all(self._images)
        found = found.rows(np.flatnonzero(found.first & (found.iou >= TEXT_IOU)))
        scores = {name: score(found.captions, found.references) for name, score in CORPUS_SCORES.items()}
        return {**scores, "texts": len(found.captions)}

    def _precisions(self, found: "_Detections") -> Float[np.ndarray, "I S"]:
        """AP for each threshold on the overlap (rows), without and with each on the language score (columns)."""
        language = self._language_scores(found)
        right = [[found.first & (found.iou >= t) & (language > s) for s in (-1.0, *SCORES)] for t in IOUS]
        return np.array([[average_precision(hits, self._regions) for hits in row] for row in right])

    def _language_scores(self, found: "_Detections") -> Float[np.ndarray, " D"]:
        """The language score of each detection that could be right; 0 for all others, which nobody asks for."""
        scores = np.zeros(len(found.scores))
        asked = np.flatnonzero(found.first & (found.iou >= min(IOUS)))
        if len(asked):
            texts = found.rows(asked)
            given = decimals(f"scores by {self.name}", self.language(texts.captions, texts.references))
            check_length(f"scores by {self.name}", given, len(asked), "texts")
            scores[asked] = given
        return scores


def merged_regions(boxes: Float[np.ndarray, "G 4"]) -> list[list[int]]:
    """Rows of the regions that become one: the region with most partners takes them all, then the next."""
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
    """The mean corners of each group, rounded as DenseCap does: to single precision, at pixel centers."""
    means = [(boxes[list(group)] + TO_PIXEL_CENTERS).mean(axis=0) for group in groups]
    rounded: Float[np.ndarray, "M 4"] = np.array(means, dtype=np.float32).reshape(-1, 4) - TO_PIXEL_CENTERS
    return rounded


def assigned(
    regions: Float[np.ndarray, "M 4"], boxes: Float[np.ndarray, "D 4"], last_region: bool = False
) -> tuple[Int[np.ndarray, " D"], Float[np.ndarray, " D"], Bool[np.ndarray, " D"]]:
    """Of each detection, best first: its region (-1: it overlaps none), their IoU, and whether it came first to it.

    With `last_region`, a detection without overlap comes to the last region.
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
    """Mean over the recall thresholds of the highest precision at that recall or beyond; NaN without regions."""
    if not regions:
        return float("nan")
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(hits / regions, RECALLS)
    return float(np.append(highest, 0.0)[reached].mean())


@dataclass(frozen=True, eq=False)
class _Detections:
    """Of each detection: its score, the IoU with its region, whether it took it, its text, and the region's texts."""

    scores: Float[np.ndarray, " D"]
    iou: Float[np.ndarray, " D"]
    first: Bool[np.ndarray, " D"]
    captions: list[str]
    references: list[list[str]]

    @classmethod
    def of_all(cls, images: "Sequence[_Detections]") -> "_Detections":
        return cls(
            np.concatenate([np.zeros(0), *(found.scores for found in images)]),
            np.concatenate([np.zeros(0), *(found.iou for found in images)]),
            np.concatenate([np.zeros(0, dtype=bool), *(found.first for found in images)]),
            [text for found in images for text in found.captions],
            [texts for found in images for texts in found.references],
        )

    def rows(self, rows: Int[np.ndarray, " N"]) -> "_Detections":
        return _Detections(
            self.scores[rows],
            self.iou[rows],
            self.first[rows],
            [self.captions[i] for i in rows],
            [self.references[i] for i in rows],
        )
