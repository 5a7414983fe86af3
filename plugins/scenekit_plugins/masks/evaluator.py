"""COCO's average precision of masks."""

from __future__ import annotations

from dataclasses import replace

from scenekit.detection.evaluator import CocoEvaluator
from scenekit.keys import MASKS
from scenekit.metrics.coco import CocoObjects
from scenekit.scene import Scene


class MaskEvaluator(CocoEvaluator):
    """AP of masks; areas are those of the masks."""

    kind = "segm"
    key = MASKS

    def objects(self, scene: Scene) -> CocoObjects:
        """Return what COCO's protocol reads of a scene, with its masks as run lengths.

        Args:
            scene: Ground truth or a prediction.

        Returns:
            Boxes, labels, scores and masks; None for objects of the ground truth without a mask.
        """
        kept = scene.rows_with(MASKS).tolist() if scene.objects.scores is None else [True] * len(scene.objects)
        masks = [rle if keep else None for rle, keep in zip(scene[MASKS].rles, kept, strict=True)]
        return replace(super().objects(scene), masks=masks, area=None)
