"""Evaluators of the tasks that come with scenekit: the metrics fed with ground-truth and predicted scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC, Key
from scenekit.metrics.coco.average_precision import CocoAP, CocoObjects, Kind
from scenekit.metrics.panoptic.quality import PanopticCategory, PanopticQuality, SegmentInfo
from scenekit.metrics.semantic.mean_iou import SemanticSegmentation
from scenekit.scene import Scene
from scenekit.structures import Keypoints, Panoptic, Vocabulary

Result = dict[str, Any]


class _ObjectEvaluator:
    """COCO AP of one kind.

    Passed over are images without these labels, images that do not label every instance (a prediction that fits
    nothing may be right there), and in each image the classes that its labels do not cover.
    """

    kind: Kind
    key: Key[Any, Any] | None = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.ap = CocoAP(self.kind, vocabulary.things)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        supervision = truth.supervision
        complete = OBJECTS in supervision.streams & supervision.exhaustive
        if complete and (self.key is None or self.key in supervision.keys):
            classes = supervision.classes
            labels = [label for label, name in self.ap.categories.items() if classes is None or name in classes]
            expected, found = (self._rows(_only(scene, labels)) for scene in (truth.scene, prediction))
            self.ap.update(truth.id, truth.scene.size, expected, found)

    def merge(self, other: _ObjectEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        self.ap.merge(other.ap)

    def result(self) -> Result:
        """AP, AP50, AP75, APs, APm, APl and recalls, by COCO's protocol."""
        return self.ap.result()

    def _rows(self, scene: Scene) -> CocoObjects:
        """What COCO's protocol needs to know; ground truth that lacks the key is neither asked for nor held against."""
        objects = scene.objects
        ignore = objects.ignore if self.key is None else objects.ignore | ~scene.rows_with(self.key)
        values = {name: getattr(objects, name) for name in ("labels", "boxes", "scores", "crowd")}
        return CocoObjects(**values, ignore=ignore, area=None if objects.scores is not None else objects.area)


class DetectionEvaluator(_ObjectEvaluator):
    """AP of boxes."""

    kind = "bbox"


class MaskEvaluator(_ObjectEvaluator):
    """AP of masks."""

    kind = "segm"
    key = MASKS

    def _rows(self, scene: Scene) -> CocoObjects:
        return replace(super()._rows(scene), masks=scene[MASKS].rles, area=None)


class KeypointEvaluator(_ObjectEvaluator):
    """AP by object keypoint similarity, over the things that have a skeleton.

    Raises InputError for a skeleton without sigmas.
    """

    kind = "keypoints"
    key = KEYPOINTS

    def __init__(self, vocabulary: Vocabulary) -> None:
        skeleton = vocabulary.skeleton
        if skeleton is None or not skeleton.sigmas:
            raise InputError(
                "keypoints are measured by the sigmas of their skeleton; this vocabulary has none: give the category "
                "'sigmas', one number a point, or leave keypoints out of the tasks that are measured"
            )
        articulated = {label: vocabulary.things[label] for label in vocabulary.things_with_skeleton}
        self.ap = CocoAP(self.kind, articulated, skeleton.sigmas)

    def _rows(self, scene: Scene) -> CocoObjects:
        return replace(super()._rows(scene), keypoints=_triplets(scene[KEYPOINTS]))


class SemanticEvaluator:
    """Mean IoU over labels and its relatives."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = SemanticSegmentation(vocabulary.labels, ignore_label=IGNORE)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        if SEMANTIC in truth.supervision.keys:
            self.metric.update(truth.scene[SEMANTIC], prediction[SEMANTIC])

    def merge(self, other: SemanticEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        self.metric.merge(other.metric)

    def result(self) -> Result:
        """mIoU, fwIoU, mACC, pACC."""
        return self.metric.result()


class PanopticEvaluator:
    """Panoptic quality, segmentation quality and recognition quality."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        things = len(vocabulary.things)
        labels = enumerate(vocabulary.labels)
        self.metric = PanopticQuality({i: PanopticCategory(name, is_thing=i < things) for i, name in labels})

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        if PANOPTIC in truth.supervision.keys:
            expected, found = truth.scene[PANOPTIC], prediction[PANOPTIC]
            self.metric.update(expected.ids, _segments(expected), found.ids, _segments(found))

    def merge(self, other: PanopticEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        self.metric.merge(other.metric)

    def result(self) -> Result:
        """PQ, SQ, RQ; with `_th` for things and `_st` for stuff."""
        return self.metric.result()


def _only(scene: Scene, labels: Sequence[int]) -> Scene:
    """The objects of these labels."""
    wanted = torch.tensor(labels, dtype=torch.int64)
    return scene.select(OBJECTS, torch.isin(scene.objects.labels, wanted).nonzero()[:, 0])


def _triplets(keypoints: Keypoints) -> Float[Tensor, "N K 3"]:
    return torch.cat((keypoints.xy.nan_to_num(0), keypoints.visibility[..., None].float()), dim=-1)


def _segments(panoptic: Panoptic) -> list[SegmentInfo]:
    return [SegmentInfo(s.id, s.label, crowd=s.crowd) for s in panoptic.segments]
