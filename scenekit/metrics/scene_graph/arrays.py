"""The arrays of a scene graph as the metrics take them, checked.

Letters: G true objects, R true relations, N predicted objects, K predicted pairs, Q predicates with "no relation".

Boxes are xyxy with the last pixel included (x2 - x1 + 1 wide), as the benchmark's files have them; of half-open boxes,
which a `Scene` has, take 1 from x2 and y2. Predicates are counted from 1; 0 is "no relation".
"""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from scenekit.errors import InputError
from scenekit.metrics.common import to_numpy

ANY = -1
"""As many columns as there are."""

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


def corners(values: Any, shortest: float = 0.0) -> Float[np.ndarray, "N 4"]:
    """Boxes [N 4] xyxy; InputError as for `decimals`, and where x2 - x1 or y2 - y1 is below `shortest`."""
    boxes = decimals("boxes", values, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    if (wrong := np.flatnonzero((sides < shortest).any(axis=1))).size:
        raise InputError(f"'boxes' number {wrong[0]} ends before it begins: {boxes[wrong[0]].tolist()} for x1 y1 x2 y2")
    return boxes


def decimals(name: str, values: Any, columns: int | None = None, least: float = -np.inf) -> Float[np.ndarray, "..."]:
    """`values` in double precision, [N] or [N, columns].

    Raises InputError for another shape, for what is not finite and for what is below `least`.
    """
    array: Float[np.ndarray, "..."] = _shaped(name, values, "iuf", "numbers", columns).astype(np.float64)
    if (wrong := np.argwhere(~np.isfinite(array) | (array < least))).size:
        expected = "a finite number" if least == -np.inf else f"a finite number of at least {least:g}"
        raise InputError(f"{name!r} number {wrong[0][0]} holds {array[tuple(wrong[0])]}; {expected} is expected")
    return array


def integers(name: str, values: Any, columns: int | None = None) -> Int[np.ndarray, "..."]:
    """`values` as 64-bit integers, [N] or [N, columns]; InputError for another shape and for other numbers."""
    return _shaped(name, values, "iu", "integers", columns).astype(np.int64)


def _shaped(name: str, values: Any, kinds: str, noun: str, columns: int | None) -> Shaped[np.ndarray, "..."]:
    """An array of these kinds of dtype, [N], or [N, columns] where columns are wanted."""
    try:
        array = to_numpy(values)
    except ValueError:
        raise InputError(f"{name!r} must be rows of equal length") from None
    if not array.size:
        return np.zeros(0 if columns is None else (0, max(columns, 0)), dtype=np.int64)
    fits = array.ndim == 1 if columns is None else array.ndim == 2 and columns in (ANY, array.shape[1])
    if array.dtype.kind not in kinds or not fits:
        wanted = noun if columns is None else f"rows of {noun}" if columns == ANY else f"rows of {columns} {noun}"
        raise InputError(f"{name!r} must be {wanted}, got {array.dtype} of shape {list(array.shape)}")
    return array


def check_length(name: str, column: Sized, count: int, noun: str) -> None:
    """Raise InputError unless there are `count` values in the column, one for each `noun`."""
    if len(column) != count:
        raise InputError(f"{len(column)} {name!r} for {count} {noun!r}; each needs one")


def _check_objects(name: str, pairs: Int[np.ndarray, "K 2"], objects: int) -> None:
    if (wrong := np.argwhere((pairs < 0) | (pairs >= objects))).size:
        row, side = wrong[0]
        raise InputError(
            f"{name!r} number {row} has the {('subject', 'object')[side]} {pairs[row, side]},"
            f" but there are {objects} objects, counted from 0"
        )
