"""The arrays of a scene graph as the metrics take them, checked.

Letters: G true objects, R true relations, N predicted objects, K predicted pairs, Q predicates with "no relation".

Boxes are xyxy with the last pixel included (x2 - x1 + 1 wide), as the benchmark's files have them; of half-open boxes,
which a `Scene` has, take 1 from x2 and y2. Predicates are counted from 1; 0 is "no relation".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from scenekit.errors import InputError
from scenekit.metrics.checks import ANY, check_length, corners, decimals, integers

LAST_PIXEL = 1.0
"""What x2 - x1 lacks of the width where the last pixel is included."""


@dataclass(frozen=True, eq=False)
class GraphTruth:
    """What one image shows; `relations` holds rows (subject, object, predicate)."""

    boxes: Float[np.ndarray, "G 4"]
    labels: Int[np.ndarray, " G"]
    relations: Int[np.ndarray, "R 3"]

    @classmethod
    def of(cls, boxes: Any, labels: Any, relations: Any) -> "GraphTruth":
        """From arrays, tensors or lists, of which any may be empty.

        Raises InputError for wrong shapes, numbers that are not finite, and relations to missing objects.
        """
        known, classes = corners(boxes, -LAST_PIXEL), integers("labels", labels)
        rows = integers("relations", relations, 3)
        check_length("labels", classes, len(known), "boxes")
        _check_objects("relations", rows[:, :2], len(known))
        if (wrong := np.flatnonzero(rows[:, 2] < 1)).size:
            raise InputError(
                f"'relations' number {wrong[0]} has the predicate {rows[wrong[0], 2]}; they are counted from 1"
            )
        return cls(known, classes, rows)


@dataclass(frozen=True, eq=False)
class GraphPrediction:
    """What was predicted for one image.

    `pairs` holds rows (subject, object), the best triplet first; `probabilities` has "no relation" in column 0.
    """

    boxes: Float[np.ndarray, "N 4"]
    labels: Int[np.ndarray, " N"]
    scores: Float[np.ndarray, " N"]
    pairs: Int[np.ndarray, "K 2"]
    probabilities: Float[np.ndarray, "K Q"]

    @classmethod
    def of(cls, boxes: Any, labels: Any, scores: Any, pairs: Any, probabilities: Any) -> "GraphPrediction":
        """From arrays, tensors or lists, of which any may be empty.

        Raises InputError for wrong shapes, numbers that are not finite, and pairs of missing objects.
        """
        found, classes = corners(boxes, -LAST_PIXEL), integers("labels", labels)
        certainty, rows = decimals("scores", scores, least=0.0), integers("relations", pairs, 2)
        table = decimals("scores of relations", probabilities, columns=ANY, least=0.0)
        check_length("labels", classes, len(found), "boxes")
        check_length("scores", certainty, len(found), "boxes")
        check_length("scores of relations", table, len(rows), "relations")
        _check_objects("relations", rows, len(found))
        return cls(found, classes, certainty, rows, table)


def _check_objects(name: str, pairs: Int[np.ndarray, "K 2"], objects: int) -> None:
    if (wrong := np.argwhere((pairs < 0) | (pairs >= objects))).size:
        row, side = wrong[0]
        raise InputError(
            f"{name!r} number {row} has the {('subject', 'object')[side]} {pairs[row, side]},"
            f" but there are {objects} objects, counted from 0"
        )
