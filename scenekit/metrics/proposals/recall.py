"""Recall of proposals by COCO's protocol, without classes: against the number of proposals, and against IoU.

Average recall (AR) is COCO's: the mean of the recall at the IoU thresholds 0.50, 0.55, ..., 0.95, as pycocotools
computes it with `useCats = 0` (Hosang et al. 2015, "What makes for effective detection proposals?", integrate over IoU
from 0.5 to 1 instead). At each threshold the proposals of an image, best first, each take the object of greatest IoU
that none before took. Crowds and ignored objects count neither way.

Letters: G objects and P proposals of one image, T thresholds, A ranges of area, M numbers of proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster
from jaxtyping import Float

from scenekit.metrics.coco import CocoAP, CocoObjects

LIMITS = (100, 300, 1000)
"""Numbers of proposals per image at which average recall is reported."""

COUNTS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000)
"""Numbers of proposals per image of the curves."""

AREAS = ("", "s", "m", "l")
"""Suffixes of COCO's ranges of area: all, below 32^2, up to 96^2, and larger, in square pixels."""

AT_50, AT_75 = 0, 5
"""Places of these IoU thresholds among COCO's."""


class ProposalRecall:
    """Accumulates images, and computes the recall of their proposals at the end.

    Example:
        ```python
        from scenekit.metrics.proposals import ProposalRecall

        recall = ProposalRecall()
        recall.update(1, (480, 640), [[0, 0, 50, 50]], [[0, 0, 50, 40], [9, 9, 60, 60]], [0.9, 0.4])
        recall.result()["AR100"]  # IoU 0.8: found at the first 7 of 10 thresholds
        ```
    """

    def __init__(self) -> None:
        self._images = CocoAP("bbox", ["object"])
        self._proposals = 0

    def __len__(self) -> int:
        return len(self._images)

    def update(
        self,
        image_id: int | str,
        size: tuple[int, int],
        boxes: Any,
        proposals: Any,
        scores: Any,
        *,
        crowd: Any = None,
        ignore: Any = None,
        area: Any = None,
    ) -> None:
        """Add one image.

        Args:
            image_id: Its id.
            size: Height and width in pixels.
            boxes: Objects of the ground truth [G 4], xyxy pixels; arrays, lists or torch tensors.
            proposals: Proposed boxes [P 4].
            scores: What the proposals are ranked by [P].
            crowd: Objects that are groups [G].
            ignore: Objects that do not count [G].
            area: Areas of the objects in square pixels [G], by default of their boxes.

        Raises:
            InputError: The image was added before, or an array has the wrong shape or NaN.
        """
        targets, prediction = (
            CocoObjects(np.zeros(len(rows), dtype=np.int64), rows, **columns)
            for rows, columns in (
                (boxes, {"crowd": crowd, "ignore": ignore, "area": area}),
                (proposals, {"scores": scores}),
            )
        )
        self._images.update(image_id, size, targets, prediction)
        self._proposals += len(proposals)

    def merge(self, other: ProposalRecall) -> None:
        """Add the images of another instance.

        Args:
            other: The other.
        """
        self._images.merge(other._images)
        self._proposals += other._proposals

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            Fractions, NaN where there is no object: AR at each of `LIMITS` and AR1000 of small, medium and large
            objects (AR1000s, ...), recall at IoU 0.5 and 0.75 (R50@100, ...); `proposals`, the mean number of an image;
            and `curves`: "count" (`COUNTS`), of which "AR", "R50" and "R75"; "iou" (the thresholds), of which "R@100",
            "R@300" and "R@1000".
        """
        recall, thresholds = self._recall()
        average = recall.mean(axis=0)
        last = COUNTS.index(LIMITS[-1])
        metrics = {f"AR{limit}": float(average[0, COUNTS.index(limit)]) for limit in LIMITS}
        metrics |= {f"AR{LIMITS[-1]}{name}": float(average[a, last]) for a, name in enumerate(AREAS) if name}
        for name, row in (("R50", AT_50), ("R75", AT_75)):
            metrics |= {f"{name}@{limit}": float(recall[row, 0, COUNTS.index(limit)]) for limit in LIMITS}
        return {
            **metrics,
            "proposals": self._proposals / len(self) if len(self) else float("nan"),
            "curves": {
                "count": list(COUNTS),
                "AR": average[0].tolist(),
                "R50": recall[AT_50, 0].tolist(),
                "R75": recall[AT_75, 0].tolist(),
                "iou": list(thresholds),
                **{f"R@{limit}": recall[:, 0, COUNTS.index(limit)].tolist() for limit in LIMITS},
            },
        }

    def _recall(self) -> tuple[Float[np.ndarray, "T A M"], Sequence[float]]:
        """Return recall at all thresholds, in all ranges of area, at all `COUNTS`, and the thresholds."""
        run = COCOeval_faster(*self._images.tables(), "bbox")
        run.params.maxDets = list(COUNTS)
        run.evaluate()
        run.accumulate()
        recall = run.eval["recall"][:, 0]  # [threshold, category, area range, number]; -1 where there is no object
        return np.where(recall < 0, np.nan, recall), [round(float(iou), 2) for iou in run.params.iouThrs]
