"""Evaluators of the tasks that come with scenekit: the metrics fed with ground-truth and predicted scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.evaluation.coco import CocoAP, CocoObjects, Kind
from scenekit.evaluation.panoptic import PanopticCategory, PanopticQuality, SegmentInfo
from scenekit.evaluation.semantic import SemanticSegmentation
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC, Key
from scenekit.structures import IGNORE, Keypoints, Panoptic, Vocabulary
from scenekit.structures.scene import Scene

Result = dict[str, Any]


class _ObjectEvaluator:
    """COCO AP of one kind; images whose objects (or whose key) are not labelled are passed over."""

    kind: Kind
    key: Key[Any, Any] | None = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        skeleton = vocabulary.skeleton
        articulated = dict((i, vocabulary.things[i]) for i in vocabulary.things_with_skeleton)
        categories: Mapping[int, str] = articulated if self.key == KEYPOINTS else dict(enumerate(vocabulary.things))
        self.ap = CocoAP(self.kind, categories, skeleton.sigmas if self.key == KEYPOINTS and skeleton else None)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one picture."""
        supervision = truth.supervision
        if OBJECTS not in supervision.streams or not (self.key is None or self.key in supervision.keys):
            return
        self.ap.update(truth.id, truth.scene.size, self._rows(truth.scene), self._rows(prediction))

    def merge(self, other: _ObjectEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        self.ap.merge(other.ap)

    def result(self) -> Result:
        """AP, AP50, AP75, APs, APm, APl and recalls, by COCO's protocol."""
        return self.ap.result()

    def _rows(self, scene: Scene) -> CocoObjects:
        objects = scene.objects
        values = {name: getattr(objects, name) for name in ("labels", "boxes", "scores", "crowd", "ignore")}
        return CocoObjects(**values, area=None if objects.scores is not None else objects.area)


class DetectionEvaluator(_ObjectEvaluator):
    """AP of boxes."""

    kind = "bbox"


class MaskEvaluator(_ObjectEvaluator):
    """AP of masks."""

    kind = "segm"
    key = MASKS

    def _rows(self, scene: Scene) -> CocoObjects:
        values = {**vars(super()._rows(scene)), "area": None}
        return CocoObjects(**{**values, "masks": scene[MASKS].rles})


class KeypointEvaluator(_ObjectEvaluator):
    """AP by object keypoint similarity, over the things that have a skeleton."""

    kind = "keypoints"
    key = KEYPOINTS

    def _rows(self, scene: Scene) -> CocoObjects:
        articulated = torch.tensor(scene.vocabulary.things_with_skeleton)
        rows = torch.isin(scene.objects.labels, articulated).nonzero()[:, 0]
        chosen = scene.select(OBJECTS, rows)
        return CocoObjects(**{**vars(super()._rows(chosen)), "keypoints": _triplets(chosen[KEYPOINTS])})


class SemanticEvaluator:
    """Mean IoU over labels and its relatives."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = SemanticSegmentation(vocabulary.labels, ignore_label=IGNORE)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one picture."""
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
        """Take in one picture."""
        if PANOPTIC in truth.supervision.keys:
            expected, found = truth.scene[PANOPTIC], prediction[PANOPTIC]
            self.metric.update(expected.ids, _segments(expected), found.ids, _segments(found))

    def merge(self, other: PanopticEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        self.metric.merge(other.metric)

    def result(self) -> Result:
        """PQ, SQ, RQ; with `_th` for things and `_st` for stuff."""
        return self.metric.result()


def _triplets(keypoints: Keypoints) -> Float[Tensor, "N K 3"]:
    return torch.cat((keypoints.xy.nan_to_num(0), keypoints.visibility[..., None].float()), dim=-1)


def _segments(panoptic: Panoptic) -> list[SegmentInfo]:
    return [SegmentInfo(s.id, s.label, crowd=s.crowd) for s in panoptic.segments]
