"""Omni3D's average precision of scenes: what of its protocol a `Scene` can tell.

Letters: N objects.

An object counts neither way where annotators said so (`ignore`, crowds), where its 3D box is missing or none, and by
`Omni3DFilter`: fully behind the camera, too low or tall in the image, too far cut off, too hidden. How far it is cut
off is read from TRUNCATION where the scene has it, else it is the share of its projected box beyond the image; how
much shows is read from VISIBILITY, and not judged without. Detections that fit an object without 3D box better than
one with (IoU in the image from 0.5; of crowds, the share of the detection inside) do not count either: whether they
are right in space is unknown.

The 2D boxes are the projected ones, clipped to the image: their AP says how well boxes in space stand in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import box_area, clip_boxes_to_image

from scenekit.data.sample import Sample
from scenekit.evaluation.matching import ignored_detections
from scenekit.keys import BOXES3D, OBJECTS, TRUNCATION, VISIBILITY, Key
from scenekit.metrics.omni3d.average_precision import MODES, Mode, Omni3DAP, Omni3DFilter, Omni3DObjects
from scenekit.ops.boxes3d import project_cuboids
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary


class Omni3DScenes:
    """Accumulates scenes. Passed over are images without 3D boxes, and those that do not label every instance.

    In each image, classes that its labels do not cover are passed over too.
    """

    def __init__(
        self, vocabulary: Vocabulary, modes: Sequence[Mode] = MODES, rules: Omni3DFilter | None = None
    ) -> None:
        self.ap = Omni3DAP(vocabulary.things, modes=modes)
        self.rules = rules or Omni3DFilter()

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        claims = truth.supervision
        if BOXES3D not in claims.keys or OBJECTS not in claims.streams & claims.exhaustive:
            return
        true, found = truth.scene, prediction
        told = true.rows_with(BOXES3D) & boxes3d_of(true).valid
        asked = found.rows_with(BOXES3D) & ~ignored_detections(found.objects, true.objects, told)
        camera = true.camera or found.camera or Camera.default(*true.size)
        true_rows, found_rows = self._true(true, camera), _found(found, found.camera or camera)
        for label, name in enumerate(self.ap.categories):
            if claims.classes is None or name in claims.classes:
                wanted, given = true.objects.labels == label, (found.objects.labels == label) & asked
                if wanted.any() or given.any():
                    rows = (each.nonzero()[:, 0].numpy() for each in (wanted, given))
                    self.ap.update(name, true_rows.rows(next(rows)), found_rows.rows(next(rows)))

    def merge(self, other: Omni3DScenes) -> None:
        """Take in everything that another one saw."""
        self.ap.merge(other.ap)

    def result(self) -> dict[str, dict[str, Any]]:
        """As `Omni3DAP.result`."""
        return self.ap.result()

    def _true(self, scene: Scene, camera: Camera) -> Omni3DObjects:
        boxes = boxes3d_of(scene)
        ignored = self._ignored(scene, boxes, camera) | scene.objects.crowd | scene.objects.ignore
        return _arrays(boxes, camera, scene.size, ignored, torch.zeros(len(boxes)))

    def _ignored(self, scene: Scene, boxes: Boxes3D, camera: Camera) -> Bool[Tensor, " N"]:
        seen = project_cuboids(boxes.corners, camera.matrix, scene.size)
        truncation = truncation_of(scene, seen.boxes)
        visibility = known(scene, VISIBILITY, torch.full((len(boxes),), torch.inf))
        height = (scene.objects.boxes[:, 3] - scene.objects.boxes[:, 1]) / scene.size[0]
        return (
            ~(scene.rows_with(BOXES3D) & boxes.valid)
            | seen.fully_behind
            | (boxes.center[:, 2] > self.rules.max_depth)
            | (height <= self.rules.min_height)
            | (height >= self.rules.max_height)
            | (truncation >= self.rules.truncation)
            | (visibility <= self.rules.visibility)
        )


def boxes3d_of(scene: Scene) -> Boxes3D:
    """The 3D boxes of the objects, on the CPU; NaN in rows that have none."""
    count = len(scene.objects)
    if BOXES3D not in scene:
        return Boxes3D(*(torch.full((count, *shape), torch.nan) for shape in ((3,), (3,), (3, 3))))
    boxes = scene[BOXES3D]
    parts = (None if part is None else part.detach().cpu().float() for part in vars(boxes).values())
    return Boxes3D(*parts)  # type: ignore[arg-type]


def scores_of(scene: Scene) -> Float[Tensor, " N"]:
    """How sure the 3D boxes are; the scores of the detections where these say nothing, 1 where those neither do."""
    boxes, objects = boxes3d_of(scene), scene.objects
    scores = objects.scores if boxes.scores is None else boxes.scores
    return torch.ones(len(objects)) if scores is None else scores.detach().cpu().float()


def truncation_of(scene: Scene, projected: Float[Tensor, "N 4"]) -> Float[Tensor, " N"]:
    """How far objects are cut off: what TRUNCATION says, else the share of the projected boxes beyond the image."""
    inside = box_area(clip_boxes_to_image(projected, scene.size)) / box_area(projected).clamp(min=1e-6)
    return known(scene, TRUNCATION, 1 - inside)


def _found(scene: Scene, camera: Camera) -> Omni3DObjects:
    boxes, scores = boxes3d_of(scene), scores_of(scene)
    return _arrays(boxes, camera, scene.size, torch.zeros(len(boxes), dtype=torch.bool), scores)


def _arrays(
    boxes: Boxes3D, camera: Camera, size: Size, ignored: Bool[Tensor, " N"], scores: Float[Tensor, " N"]
) -> Omni3DObjects:
    flat = clip_boxes_to_image(project_cuboids(boxes.corners, camera.matrix, size).boxes, size)
    parts = (flat.double(), boxes.corners.double(), boxes.center[:, 2].double(), ignored, scores.nan_to_num(0).double())
    return Omni3DObjects(*(part.numpy() for part in parts))


def known(scene: Scene, key: Key[Any, Any], otherwise: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """What the scene says, and `otherwise` where it says nothing."""
    if key not in scene:
        return otherwise
    value: Tensor = scene[key].float()
    return value.where(scene.rows_with(key) & ~value.isnan(), otherwise)
