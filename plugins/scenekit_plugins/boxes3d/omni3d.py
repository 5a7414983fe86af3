"""Omni3D's average precision of scenes: the part of its protocol that a `Scene` has the annotations for.

Letters: N objects.

Objects are ignored where they are annotated so (`ignore`, crowds), where they have no valid 3D box, and by
`Omni3DFilter`: fully behind the camera, too low or too tall in the image, too far truncated, too hidden. Truncation is
that of TRUNCATION where the scene has it, else the share of the projected box beyond the image; visibility is that of
VISIBILITY, and is not judged without. Detections that match an object without a 3D box better than one with (IoU in
the image from 0.5; for crowds, the share of the detection inside) are ignored too: whether they are right in space
cannot be determined.

The 2D boxes are the projected ones, clipped to the image: their AP measures the position of 3D boxes in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from scenekit.data.sample import Sample
from scenekit.evaluation.matching import ignored_detections
from scenekit.keys import BOXES3D, OBJECTS, VISIBILITY
from scenekit.metrics.omni3d import MODES, Mode, Omni3DAP, Omni3DFilter, Omni3DObjects
from scenekit.ops.boxes3d import project_cuboids
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_plugins.boxes3d.scene_values import annotated_or, boxes3d_of, scores_of, truncation_of


class Omni3DEvaluator:
    """AP of 3D boxes by Omni3D's protocol.

    Skipped are images without 3D boxes, and images that do not annotate every instance. In each image the classes that
    its labels do not cover are ignored.

    Args:
        vocabulary: That of the model.
        modes: The IoU that AP is measured by: "2D", "3D", "BEV".
        rules: Which objects are ignored.
    """

    def __init__(
        self, vocabulary: Vocabulary, modes: Sequence[Mode] = MODES, rules: Omni3DFilter | None = None
    ) -> None:
        self.ap = Omni3DAP(vocabulary.things, modes=modes)
        self.rules = rules or Omni3DFilter()

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        supervision, scene = sample.supervision, sample.scene
        if BOXES3D not in supervision.keys or OBJECTS not in supervision.streams & supervision.exhaustive:
            return
        annotated = scene.rows_with(BOXES3D) & boxes3d_of(scene).valid
        counted = prediction.rows_with(BOXES3D) & ~ignored_detections(prediction.objects, scene.objects, annotated)
        camera = scene.camera or prediction.camera or Camera.default(*scene.size)
        targets = self._targets(scene, camera)
        predictions = _predictions(prediction, prediction.camera or camera)
        for label, name in enumerate(self.ap.categories):
            if supervision.covers(name):
                rows = scene.objects.labels == label, (prediction.objects.labels == label) & counted
                if any(chosen.any() for chosen in rows):
                    target_rows, predicted_rows = (chosen.nonzero()[:, 0].numpy() for chosen in rows)
                    self.ap.update(name, targets.rows(target_rows), predictions.rows(predicted_rows))

    def merge(self, other: Omni3DEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary, modes and rules.
        """
        self.ap.merge(other.ap)

    def result(self) -> dict[str, dict[str, Any]]:
        """Compute AP.

        Returns:
            Fractions by mode and name; see `Omni3DAP.result`.
        """
        return self.ap.result()

    def _targets(self, scene: Scene, camera: Camera) -> Omni3DObjects:
        boxes = boxes3d_of(scene)
        ignored = self._ignored(scene, boxes, camera) | scene.objects.crowd | scene.objects.ignore
        return _arrays(boxes, camera, scene.size, ignored, torch.zeros(len(boxes)))

    def _ignored(self, scene: Scene, boxes: Boxes3D, camera: Camera) -> Bool[Tensor, " N"]:
        projected = project_cuboids(boxes.corners, camera.matrix, scene.size)
        truncation = truncation_of(scene, projected.boxes)
        visibility = annotated_or(scene, VISIBILITY, torch.full((len(boxes),), torch.inf))
        height = (scene.objects.boxes[:, 3] - scene.objects.boxes[:, 1]) / scene.size[0]
        return (
            ~(scene.rows_with(BOXES3D) & boxes.valid)
            | projected.fully_behind
            | (boxes.center[:, 2] > self.rules.max_depth)
            | (height <= self.rules.min_height)
            | (height >= self.rules.max_height)
            | (truncation >= self.rules.truncation)
            | (visibility <= self.rules.visibility)
        )


def _predictions(scene: Scene, camera: Camera) -> Omni3DObjects:
    boxes = boxes3d_of(scene)
    return _arrays(boxes, camera, scene.size, torch.zeros(len(boxes), dtype=torch.bool), scores_of(scene))


def _arrays(
    boxes: Boxes3D, camera: Camera, size: Size, ignored: Bool[Tensor, " N"], scores: Float[Tensor, " N"]
) -> Omni3DObjects:
    flat = clip_boxes_to_image(project_cuboids(boxes.corners, camera.matrix, size).boxes, size)
    parts = (flat.double(), boxes.corners.double(), boxes.center[:, 2].double(), ignored, scores.nan_to_num(0).double())
    return Omni3DObjects(*(part.numpy() for part in parts))
