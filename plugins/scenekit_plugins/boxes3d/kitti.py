"""KITTI's average precision of scenes: the part of its protocol that a `Scene` has the annotations for.

Letters: N objects.

Difficulty depends on the height of the 2D box, on truncation (TRUNCATION where the scene has it, else the share of the
projected box beyond the image) and on OCCLUSION: without that key every object counts as fully visible, so that easy
objects are more, and harder ones easier, than by KITTI's own labels. Objects that are ignored, that belong to a class
that looks alike (Van) or that have no 3D box take detections without counting. Crowds without a 3D box are regions of
DontCare.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError, nearest
from scenekit.evaluation.matching import ignored_detections
from scenekit.keys import BOXES3D, OBJECTS, OCCLUSION
from scenekit.metrics.kitti import CLASSES, DIFFICULTIES, DONT_CARE, TYPES, KittiAP, KittiObjects
from scenekit.ops.boxes3d import project_cuboids
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.cameras import Camera
from scenekit.structures.vocabulary import Vocabulary
from scenekit_plugins.boxes3d.scene_values import annotated_or, boxes3d_of, scores_of, truncation_of

ALWAYS_IGNORED = 1 + max(difficulty.max_occlusion for difficulty in DIFFICULTIES)
"""An occlusion at which an object is ignored in every difficulty."""


class KittiEvaluator:
    """AP11 and AP40 of 2D boxes, orientation, BEV and 3D boxes for Car, Pedestrian and Cyclist, in percent.

    Things are matched to the classes by name, whatever the case. Detections are ranked by the scores of their 3D boxes.
    Images without labels of 3D boxes are skipped.

    Args:
        vocabulary: That of the model.
        names: KITTI's name of things that are called otherwise, such as {"person": "Pedestrian"}.

    Raises:
        InputError: The vocabulary has none of the classes, or `names` holds an unknown thing or type.
    """

    def __init__(self, vocabulary: Vocabulary, names: Mapping[str, str] | None = None) -> None:
        for thing, kind in (names or {}).items():
            for name, choices in ((thing, vocabulary.things), (kind, TYPES)):
                if name not in choices:
                    raise InputError(f"names of KITTI's, {thing}: {kind}: unknown {name!r}{nearest(name, choices)}")
        self.names = tuple((names or {}).get(thing, thing) for thing in vocabulary.things)
        if not {name.lower() for name in self.names} & {name.lower() for name in CLASSES}:
            raise InputError(
                f"KITTI's protocol measures {', '.join(CLASSES)}; this vocabulary has {', '.join(vocabulary.things)}:"
                " say which of these is which in `names`"
            )
        self.ap = KittiAP()

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if BOXES3D in sample.supervision.keys:
            scene, single = sample.scene, ~sample.scene.objects.crowd
            annotated = scene.rows_with(BOXES3D) & boxes3d_of(scene).valid
            ignored = ignored_detections(prediction.objects, scene.objects[single], annotated[single])
            kept = prediction.rows_with(BOXES3D) & ~ignored
            self.ap.update(self._targets(scene), self._predictions(prediction.select(OBJECTS, kept)))

    def merge(self, other: KittiEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same names.

        Raises:
            InputError: The names differ.
        """
        if other.names != self.names:
            raise InputError("AP of different classes cannot be merged")
        self.ap.merge(other.ap)

    def result(self) -> dict[str, float]:
        """Compute AP.

        Returns:
            Percent by name, such as `KITTI/Car_3D_AP40_moderate_strict`; see `KittiAP.result`.
        """
        return self.ap.result()

    def _targets(self, scene: Scene) -> KittiObjects:
        boxes, objects = boxes3d_of(scene), scene.objects
        without_box = ~(scene.rows_with(BOXES3D) & boxes.valid)
        names = tuple(
            DONT_CARE if dont_care else self.names[label]
            for dont_care, label in zip((without_box & objects.crowd).tolist(), objects.labels.tolist(), strict=True)
        )
        camera = scene.camera or Camera.default(*scene.size)
        truncation = truncation_of(scene, project_cuboids(boxes.corners, camera.matrix, scene.size).boxes)
        occlusion = annotated_or(scene, OCCLUSION, torch.zeros(len(objects)))
        ignored = without_box | objects.crowd | objects.ignore
        occlusion = torch.where(ignored, float(ALWAYS_IGNORED), occlusion)
        return _objects(names, scene, boxes, truncation.nan_to_num(0), occlusion, None)

    def _predictions(self, scene: Scene) -> KittiObjects:
        boxes, zeros = boxes3d_of(scene), torch.zeros(len(scene.objects))
        names = tuple(self.names[label] for label in scene.objects.labels.tolist())
        return _objects(names, scene, boxes, zeros, zeros, scores_of(scene).nan_to_num(0).double().numpy())


def _objects(
    names: tuple[str, ...],
    scene: Scene,
    boxes: Boxes3D,
    truncated: Float[Tensor, " N"],
    occluded: Float[Tensor, " N"],
    scores: Float[np.ndarray, " N"] | None,
) -> KittiObjects:
    """Return the objects in KITTI's conventions: sizes are height, width, length; locations are on the lower face."""
    center, yaw = boxes.center.double(), boxes.roll_pitch_yaw[:, 2].double()
    size = boxes.size.double()[:, [1, 0, 2]]
    floor = center + size[:, :1] / 2 * center.new_tensor([0.0, 1.0, 0.0])
    alpha = torch.remainder(yaw - torch.atan2(center[:, 0], center[:, 2]) + torch.pi, 2 * torch.pi) - torch.pi
    return KittiObjects(
        names,
        truncated=truncated.double().numpy(),
        occluded=occluded.long().numpy(),
        alphas=alpha.numpy(),
        boxes=scene.objects.boxes.double().numpy(),
        sizes=size.numpy(),
        locations=floor.numpy(),
        rotations=yaw.numpy(),
        scores=scores,
    )
