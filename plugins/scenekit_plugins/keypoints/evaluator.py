"""COCO's average precision by object keypoint similarity (OKS)."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from scenekit.detection.evaluator import CocoEvaluator
from scenekit.errors import InputError, warn_once
from scenekit.keys import KEYPOINTS
from scenekit.metrics.coco import COCO_SIGMAS, CocoAP, CocoObjects
from scenekit.scene import Scene
from scenekit.structures import Vocabulary

_log = logging.getLogger(__name__)

DEFAULT_SIGMA = round(sum(COCO_SIGMAS) / len(COCO_SIGMAS), 3)
"""The OKS falloff of a keypoint whose own is unknown: the mean of COCO's."""


class KeypointEvaluator(CocoEvaluator):
    """AP by object keypoint similarity, over the things that have a skeleton.

    Args:
        vocabulary: That of the model; its skeleton says the sigmas of OKS, DEFAULT_SIGMA where it has none.

    Raises:
        InputError: The vocabulary has no skeleton.
    """

    kind = "keypoints"
    key = KEYPOINTS

    def __init__(self, vocabulary: Vocabulary) -> None:
        skeleton = vocabulary.skeleton
        if skeleton is None or not skeleton.points:
            raise InputError(
                "keypoints are measured on things that have a skeleton, and this vocabulary has none; leave keypoints "
                "out of the tasks that are measured"
            )
        if not skeleton.sigmas:
            warn_once(
                _log,
                f"the skeleton of {len(skeleton.points)} points has no sigmas: OKS uses {DEFAULT_SIGMA}, the mean of "
                "COCO's, for each; to set them, give the category 'sigmas', one number per point",
            )
        articulated = {label: vocabulary.things[label] for label in vocabulary.things_with_skeleton}
        self.ap = CocoAP(self.kind, articulated, skeleton.sigmas or (DEFAULT_SIGMA,) * len(skeleton.points))

    def objects(self, scene: Scene) -> CocoObjects:
        """Return what COCO's protocol reads of a scene, with its keypoints as rows of x, y, visibility.

        Args:
            scene: Ground truth or a prediction.

        Returns:
            Boxes, labels, scores and keypoints (pixels).
        """
        keypoints = scene[KEYPOINTS]
        triplets = torch.cat((keypoints.xy.nan_to_num(0), keypoints.visibility[..., None].float()), dim=-1)
        return replace(super().objects(scene), keypoints=triplets)
