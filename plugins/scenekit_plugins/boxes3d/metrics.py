"""What measures 3D boxes: average precision by Omni3D's protocol, and by KITTI's; and how far found ones are off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import scenekit as sk
from scenekit.errors import InputError
from scenekit.evaluation.box_errors import ERRORS, BoxErrors
from scenekit.evaluation.kitti_scenes import KittiEvaluator
from scenekit.evaluation.omni3d_scenes import Omni3DScenes
from scenekit.metrics.omni3d.average_precision import Omni3DFilter

PERCENT = (15, 25, 50)
"""IoU at which AP is reported alone."""

KITTI_RANKING = "_AP40_moderate_strict"
"""Of KITTI's numbers those that its tables rank by, and the like of the other metrics."""


class Boxes3DEvaluator:
    """AP3D, AP_BEV, and the medians of errors.

    AP3D is that of Omni3D (`scenekit.evaluation.omni3d_scenes` says what of its rules a scene can tell), the mean over
    IoU 0.05 to 0.50; detections are ranked by the scores of their 3D boxes. AP_BEV is the same with the footprints seen
    from above. Errors are of detections that stand for an object in the image (`scenekit.evaluation.box_errors`).
    With an assumed focal length, metres are only as good as the guess: `assumed cameras` counts the images for which
    the model had none, or one that is a guess. With `kitti`, the `names` of a `KittiEvaluator`, KITTI's AP is measured
    beside these.
    """

    def __init__(
        self,
        vocabulary: sk.Vocabulary,
        rules: Omni3DFilter | None = None,
        kitti: Mapping[str, str] | None = None,
    ) -> None:
        self.space = Omni3DScenes(vocabulary, ("2D", "3D", "BEV"), rules)
        self.errors = BoxErrors(vocabulary)
        self.assumed = 0
        self.kitti = None if kitti is None else KittiEvaluator(vocabulary, kitti)

    def update(self, truth: sk.Sample, prediction: sk.Scene) -> None:
        """Take in one image."""
        if sk.BOXES3D in truth.supervision.keys:
            self.assumed += prediction.camera is None or prediction.camera.assumed
        self.space.update(truth, prediction)
        self.errors.update(truth, prediction)
        if self.kitti is not None:
            self.kitti.update(truth, prediction)

    def merge(self, other: Boxes3DEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        if (self.kitti is None) != (other.kitti is None):
            raise InputError("evaluations with and without KITTI's protocol cannot be merged")
        self.space.merge(other.space)
        self.errors.merge(other.errors)
        self.assumed += other.assumed
        if self.kitti is not None and other.kitti is not None:
            self.kitti.merge(other.kitti)

    def result(self) -> dict[str, Any]:
        """AP3D, AP_BEV (fractions), alone at IoU 15, 25 and 50 percent as "AP3D@25", AP3D by depth; AP of the projected
        boxes; medians of the errors; and the same `per_category`. By KITTI's protocol all of `KittiAP.result` as
        `kitti`, and beside it what its tables rank by.
        """
        scores, errors = self.space.result(), self.errors.result()
        solid, flat = scores["3D"], scores["BEV"]
        return {
            "AP3D": solid["AP"],
            **{f"AP3D@{percent}": solid[f"AP{percent}"] for percent in PERCENT},
            **{f"AP3D {name}": solid[f"AP{name[0]}"] for name in ("near", "medium", "far")},
            "AP_BEV": flat["AP"],
            **{f"AP_BEV@{percent}": flat[f"AP{percent}"] for percent in PERCENT},
            "AP projected": scores["2D"]["AP"],
            **{f"median {name}": errors[name] for name in ERRORS},
            "matched": errors["matched"],
            "assumed cameras": self.assumed,
            **self._by_kitti(),
            "per_category": self._per_category(errors["per_category"]),
        }

    def _by_kitti(self) -> dict[str, Any]:
        found = {} if self.kitti is None else self.kitti.result()
        ranking = {name: value for name, value in found.items() if name.endswith(KITTI_RANKING)}
        return {**ranking, "kitti": found} if found else {}

    def _per_category(self, errors: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        solid, flat = self.space.ap.per_category("3D"), self.space.ap.per_category("BEV")
        return {
            name: {
                **{f"AP3D@{percent}": solid[name][percent] for percent in PERCENT},
                **{f"AP_BEV@{percent}": flat[name][percent] for percent in PERCENT},
                **found,
            }
            for name, found in errors.items()
        }
