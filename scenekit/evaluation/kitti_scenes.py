"""KITTI's average precision of scenes: what of its protocol a `Scene` can tell.

Letters: N objects.

Difficulty goes by the height of the 2D box, by how far an object is cut off (TRUNCATION where the scene has it, else
the share of its projected box beyond the image) and by how much is hidden, which only the key "kitti.occluded" says:
without it every object counts as fully visible, so that easy objects are more, and harder ones easier, than by KITTI's
own labels. Objects that shall be ignored, that look like a class (Van) or that have no 3D box take detections without
counting. Crowds without 3D box are regions of DontCare.
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
from scenekit.evaluation.omni3d_scenes import boxes3d_of, known, scores_of, truncation_of
from scenekit.keys import BOXES3D, OBJECTS, key_named
from scenekit.metrics.kitti.average_precision import CLASSES, DIFFICULTIES, DONT_CARE, TYPES, KittiAP, KittiObjects
from scenekit.ops.boxes3d import project_cuboids
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.cameras import Camera
from scenekit.structures.vocabulary import Vocabulary

OCCLUDED = "kitti.occluded"
"""The key that says how much is hidden: 0 nothing, 1 partly, 2 largely."""

TOO_HIDDEN = 1 + max(difficulty.max_occlusion for difficulty in DIFFICULTIES)
"""An occlusion at which an object is ignored in every difficulty."""


class KittiEvaluator:
    """AP11 and AP40 of 2D boxes, orientation, BEV and 3D boxes for Car, Pedestrian and Cyclist, in percent.

    Things are those of these names, in whatever case; `names` says what other things are called there, such as
    {"person": "Pedestrian"}. Detections are ranked by the scores of their 3D boxes. Passed over are images without
    labels of 3D boxes. Raises InputError for a vocabulary without any of the classes, and for `names` that are no
    things or no types of KITTI's.
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

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        if BOXES3D in truth.supervision.keys:
            single, told = ~truth.scene.objects.crowd, truth.scene.rows_with(BOXES3D) & boxes3d_of(truth.scene).valid
            unknown = ignored_detections(prediction.objects, truth.scene.objects[single], told[single])
            kept = prediction.rows_with(BOXES3D) & ~unknown
            self.ap.update(self._true(truth.scene), self._found(prediction.select(OBJECTS, kept)))

    def merge(self, other: KittiEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        if other.names != self.names:
            raise InputError("AP of different classes cannot be merged")
        self.ap.merge(other.ap)

    def result(self) -> dict[str, float]:
        """`KITTI/Car_3D_AP40_moderate_strict` and the like, as `KittiAP.result`."""
        return self.ap.result()

    def _true(self, scene: Scene) -> KittiObjects:
        boxes, objects = boxes3d_of(scene), scene.objects
        silent = ~(scene.rows_with(BOXES3D) & boxes.valid)
        names = tuple(
            DONT_CARE if nobody else self.names[label]
            for nobody, label in zip((silent & objects.crowd).tolist(), objects.labels.tolist(), strict=True)
        )
        camera = scene.camera or Camera.default(*scene.size)
        cut = truncation_of(scene, project_cuboids(boxes.corners, camera.matrix, scene.size).boxes)
        ignored = silent | objects.crowd | objects.ignore
        hidden = torch.where(ignored, float(TOO_HIDDEN), _occlusion(scene))
        return _objects(names, scene, boxes, cut.nan_to_num(0), hidden, None)

    def _found(self, scene: Scene) -> KittiObjects:
        boxes, nothing = boxes3d_of(scene), torch.zeros(len(scene.objects))
        names = tuple(self.names[label] for label in scene.objects.labels.tolist())
        return _objects(names, scene, boxes, nothing, nothing, scores_of(scene).nan_to_num(0).double().numpy())


def _occlusion(scene: Scene) -> Float[Tensor, " N"]:
    visible = torch.zeros(len(scene.objects))
    key = key_named(OCCLUDED)
    return visible if key is None else known(scene, key, visible)


def _objects(
    names: tuple[str, ...],
    scene: Scene,
    boxes: Boxes3D,
    truncated: Float[Tensor, " N"],
    occluded: Float[Tensor, " N"],
    scores: Float[np.ndarray, " N"] | None,
) -> KittiObjects:
    """Sizes are height, width, length there, and places the middle of the lower face."""
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
