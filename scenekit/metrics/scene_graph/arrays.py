"""The arrays of a scene graph that the metrics read, checked.

Letters: G ground-truth objects, R ground-truth relations, N predicted objects, K predicted pairs, Q predicates with
"no relation".

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
"""The difference of the width and x2 - x1 where the last pixel is included."""


@dataclass(frozen=True, eq=False)
class GraphTruth:
    """The ground truth of one image.

    Attributes:
        boxes: xyxy pixels, the last one included.
        labels: Class of each object.
        relations: Rows (subject, object, predicate).
    """

    boxes: Float[np.ndarray, "G 4"]
    labels: Int[np.ndarray, " G"]
    relations: Int[np.ndarray, "R 3"]

    @classmethod
    def of(cls, boxes: Any, labels: Any, relations: Any) -> "GraphTruth":
        """Make it from arrays, tensors or lists, of which any may be empty.

        Args:
            boxes: [G 4] xyxy pixels, the last one included.
            labels: [G] integers.
            relations: [R 3] integers: subject and object from 0, predicate from 1.

        Returns:
            The checked arrays.

        Raises:
            InputError: Wrong shapes, numbers that are not finite, or relations to missing objects.
        """
        corner_boxes, classes = corners(boxes, -LAST_PIXEL), integers("labels", labels)
        rows = integers("relations", relations, 3)
        check_length("labels", classes, len(corner_boxes), "boxes")
        _check_objects("relations", rows[:, :2], len(corner_boxes))
        if (wrong := np.flatnonzero(rows[:, 2] < 1)).size:
            raise InputError(
                f"'relations' number {wrong[0]} has the predicate {rows[wrong[0], 2]}; they are counted from 1"
            )
        return cls(corner_boxes, classes, rows)


@dataclass(frozen=True, eq=False)
class GraphPrediction:
    """The prediction for one image.

    Attributes:
        boxes: xyxy pixels, the last one included.
        labels: Class of each object.
        scores: Score of each object.
        pairs: Rows (subject, object).
        probabilities: Of the predicates of each pair, "no relation" in column 0.
    """

    boxes: Float[np.ndarray, "N 4"]
    labels: Int[np.ndarray, " N"]
    scores: Float[np.ndarray, " N"]
    pairs: Int[np.ndarray, "K 2"]
    probabilities: Float[np.ndarray, "K Q"]

    @classmethod
    def of(cls, boxes: Any, labels: Any, scores: Any, pairs: Any, probabilities: Any) -> "GraphPrediction":
        """Make it from arrays, tensors or lists, of which any may be empty.

        Args:
            boxes: [N 4] xyxy pixels, the last one included.
            labels: [N] integers.
            scores: [N], not below 0.
            pairs: [K 2] integers: subject and object from 0.
            probabilities: [K Q], not below 0, "no relation" first.

        Returns:
            The checked arrays.

        Raises:
            InputError: Wrong shapes, numbers that are not finite, or pairs of missing objects.
        """
        corner_boxes, classes = corners(boxes, -LAST_PIXEL), integers("labels", labels)
        certainty, rows = decimals("scores", scores, least=0.0), integers("relations", pairs, 2)
        table = decimals("scores of relations", probabilities, columns=ANY, least=0.0)
        check_length("labels", classes, len(corner_boxes), "boxes")
        check_length("scores", certainty, len(corner_boxes), "boxes")
        check_length("scores of relations", table, len(rows), "relations")
        _check_objects("relations", rows, len(corner_boxes))
        return cls(corner_boxes, classes, certainty, rows, table)


def _check_objects(name: str, pairs: Int[np.ndarray, "K 2"], objects: int) -> None:
    if (wrong := np.argwhere((pairs < 0) | (pairs >= objects))).size:
        row, side = wrong[0]
        raise InputError(
            f"{name!r} number {row} has the {('subject', 'object')[side]} {pairs[row, side]},"
            f" but there are {objects} objects, counted from 0"
        )
