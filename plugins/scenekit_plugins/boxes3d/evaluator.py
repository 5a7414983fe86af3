"""3D boxes measured by Omni3D's protocol, on request by KITTI's, and by the errors of matched boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import scenekit as sk
from scenekit.errors import InputError
from scenekit.evaluation.matching import matched_rows
from scenekit.metrics.boxes3d import ERRORS, Box3DErrors
from scenekit.metrics.omni3d import Omni3DFilter
from scenekit_plugins.boxes3d.kitti import KittiEvaluator
from scenekit_plugins.boxes3d.omni3d import Omni3DEvaluator
from scenekit_plugins.boxes3d.scene_values import boxes3d_of, scores_of

PERCENT = (15, 25, 50)
"""IoU at which AP is reported alone."""

KITTI_RANKING = "_AP40_moderate_strict"
"""End of the names of those of KITTI's metrics that its tables rank by."""


class Boxes3DEvaluator:
    """AP3D, AP_BEV, and the medians of errors.

    AP3D is that of Omni3D (see `Omni3DEvaluator`), the mean over IoU 0.05 to 0.50; detections are ranked by the scores
    of their 3D boxes. AP_BEV is the same with the footprints seen from above. Errors are of detections that match an
    object of their class in the image with IoU 0.5, best scores first. With an assumed focal length, metres are only as
    good as the guess: `assumed cameras` counts the images whose camera the model had to assume.

    Args:
        vocabulary: That of the model.
        rules: Which objects Omni3D's protocol ignores.
        kitti: The `names` of a `KittiEvaluator`, to measure KITTI's AP as well.

    Raises:
        InputError: KITTI's protocol is asked for and measures none of the vocabulary's things.
    """

    def __init__(
        self,
        vocabulary: sk.Vocabulary,
        rules: Omni3DFilter | None = None,
        kitti: Mapping[str, str] | None = None,
    ) -> None:
        self.omni3d = Omni3DEvaluator(vocabulary, ("2D", "3D", "BEV"), rules)
        self.errors = Box3DErrors(vocabulary.things, [vocabulary.symmetry.get(name, 1) for name in vocabulary.things])
        self.assumed = 0
        self.kitti = None if kitti is None else KittiEvaluator(vocabulary, kitti)

    def update(self, sample: sk.Sample, prediction: sk.Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if sk.BOXES3D in sample.supervision.keys:
            self.assumed += prediction.camera is None or prediction.camera.assumed
            if sk.OBJECTS in sample.supervision.streams:
                self._add_errors(sample.scene, prediction)
        self.omni3d.update(sample, prediction)
        if self.kitti is not None:
            self.kitti.update(sample, prediction)

    def merge(self, other: Boxes3DEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary, rules and names.

        Raises:
            InputError: Only one of the two measures by KITTI's protocol.
        """
        if (self.kitti is None) != (other.kitti is None):
            raise InputError("evaluations with and without KITTI's protocol cannot be merged")
        self.omni3d.merge(other.omni3d)
        self.errors.merge(other.errors)
        self.assumed += other.assumed
        if self.kitti is not None and other.kitti is not None:
            self.kitti.merge(other.kitti)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            AP3D, AP_BEV (fractions), alone at IoU 15, 25 and 50 percent as "AP3D@25", AP3D by depth; AP of the
            projected boxes; medians of the errors (degrees, metres, ratios); and the same `per_category`. With KITTI's
            protocol all of `KittiAP.result` (percent) as `kitti`, and beside it the metrics that its tables rank by.
        """
        scores, errors = self.omni3d.result(), self.errors.result()
        box3d, bev = scores["3D"], scores["BEV"]
        kitti = {} if self.kitti is None else self.kitti.result()
        return {
            "AP3D": box3d["AP"],
            **{f"AP3D@{percent}": box3d[f"AP{percent}"] for percent in PERCENT},
            **{f"AP3D {name}": box3d[f"AP{name[0]}"] for name in ("near", "medium", "far")},
            "AP_BEV": bev["AP"],
            **{f"AP_BEV@{percent}": bev[f"AP{percent}"] for percent in PERCENT},
            "AP projected": scores["2D"]["AP"],
            **{f"median {name}": errors[name] for name in ERRORS},
            "matched": errors["matched"],
            "assumed cameras": self.assumed,
            **{name: value for name, value in kitti.items() if name.endswith(KITTI_RANKING)},
            **({"kitti": kitti} if kitti else {}),
            "per_category": self._per_category(errors["per_category"]),
        }

    def _add_errors(self, scene: sk.Scene, prediction: sk.Scene) -> None:
        """Add the errors of the boxes that are matched in the image."""
        targets, predictions, objects = boxes3d_of(scene), boxes3d_of(prediction), scene.objects
        counted = targets.valid & scene.rows_with(sk.BOXES3D) & ~objects.crowd & ~objects.ignore
        predicted = predictions.valid & prediction.rows_with(sk.BOXES3D)
        rows = matched_rows(objects, prediction.objects, counted, predicted, scores_of(prediction))
        self.errors.update(objects.labels[rows[0]], targets[rows[0]], predictions[rows[1]])

    def _per_category(self, errors: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        box3d, bev = self.omni3d.ap.per_category("3D"), self.omni3d.ap.per_category("BEV")
        return {
            name: {
                **{f"AP3D@{percent}": box3d[name][percent] for percent in PERCENT},
                **{f"AP_BEV@{percent}": bev[name][percent] for percent in PERCENT},
                **medians,
            }
            for name, medians in errors.items()
        }
