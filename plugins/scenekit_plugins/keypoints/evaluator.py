"""COCO's average precision by object keypoint similarity (OKS)."""

from __future__ import annotations

from dataclasses import replace

import torch

from scenekit.detection.evaluator import CocoEvaluator
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS
from scenekit.metrics.coco import CocoAP, CocoObjects
from scenekit.scene import Scene
from scenekit.structures import Vocabulary


class KeypointEvaluator(CocoEvaluator):
    """AP by object keypoint similarity, over the things that have a skeleton.

    Args:
        vocabulary: That of the model; its skeleton says the sigmas of OKS.

    Raises:
        InputError: The vocabulary has no skeleton, or one without sigmas.
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
