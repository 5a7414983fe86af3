"""The arrays of a scene graph as the metrics take them, checked.

Letters: G true objects, R true relations, N predicted objects, K predicted pairs, Q predicates with "no relation".

Boxes are xyxy with the last pixel included (x2 - x1 + 1 wide), as the benchmark's files have them; of half-open boxes,
which a `Scene` has, take 1 from x2 and y2. Predicates are counted from 1; 0 is "no relation".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from scenekit.errors import InputError
from scenekit.evaluation.common import to_numpy


@dataclass(frozen=True, eq=False)
class GraphTruth:
    """What one picture shows; `relations` holds rows (subject, object, predicate)."""

    boxes: Float[np.ndarray, "G 4"]
    labels: Int[np.ndarray, " G"]
    relations: Int[np.ndarray, "R 3"]

    @classmethod
    def of(cls, boxes: Any, labels: Any, relations: Any) -> "GraphTruth":
        """From arrays, tensors or lists, of which any may be empty.

        Raises InputError for wrong shapes, numbers that are not finite, and relations to missing objects.
        """
        truth = cls(decimals("boxes", boxes, 4), integers("labels", labels), integers("relations", relations, 3))
        _check_length("labels", truth.labels, truth.boxes)
        _check_objects("relations", truth.relations[:, :2], len(truth.boxes))
        if (wrong := np.flatnonzero(truth.relations[:, 2] < 1)).size:
            row = wrong[0]
            raise InputError(
                f"'relations' number {row} has the predicate {truth.relations[row, 2]}; they are counted from 1"
            )
        return truth


@dataclass(frozen=True, eq=False)
class GraphPrediction:
    """What was predicted for one picture.

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
        table = to_numpy(probabilities)
        prediction = cls(
            decimals("boxes", boxes, 4),
            integers("labels", labels),
            decimals("scores", scores, least=0.0),
            integers("pairs", pairs, 2),
            decimals("probabilities", table, table.shape[1] if table.ndim == 2 else 1, least=0.0),
        )
        _check_length("labels", prediction.labels, prediction.boxes)
        _check_length("scores", prediction.scores, prediction.boxes)
        _check_length("probabilities", prediction.probabilities, prediction.pairs, "pairs")
        _check_objects("pairs", prediction.pairs, len(prediction.boxes))
        return prediction


def decimals(name: str, values: Any, columns: int | None = None, least: float = -np.inf) -> Float[np.ndarray, "..."]:
    """`values` in double precision, [N] or [N, columns].

    Raises InputError for another shape, for what is not finite and for what is below `least`.
    """
    array = _shaped(name, values, "iuf", "numbers", columns).astype(np.float64)
    if (wrong := np.argwhere(~np.isfinite(array) | (array < least))).size:
        expected = "a finite number" if least == -np.inf else f"a finite number of at least {least:g}"
        raise InputError(f"{name!r} number {wrong[0][0]} holds {array[tuple(wrong[0])]}; {expected} is expected")
    return array


def integers(name: str, values: Any, columns: int | None = None) -> Int[np.ndarray, "..."]:
    """`values` as 64-bit integers, [N] or [N, columns]; InputError for another shape and for other numbers."""
    return _shaped(name, values, "iu", "integers", columns).astype(np.int64)


def _shaped(name: str, values: Any, kinds: str, noun: str, columns: int | None) -> Shaped[np.ndarray, "..."]:
    try:
        array = to_numpy(values)
    except ValueError:
        raise InputError(f"{name!r} must be rows of equal length") from None
    shape = (-1,) if columns is None else (-1, columns)
    if array.size == 0 and array.ndim <= len(shape):
        return np.zeros([max(side, 0) for side in shape], dtype=np.int64)
    if array.dtype.kind not in kinds or array.ndim != len(shape) or (columns and array.shape[1] != columns):
        wanted = noun if columns is None else f"rows of {columns} {noun}"
        raise InputError(f"{name!r} must be {wanted}, got {array.dtype} of shape {list(array.shape)}")
    return array


def _check_length(
    name: str, column: Shaped[np.ndarray, "A *B"], rows: Shaped[np.ndarray, "C *D"], noun: str = "boxes"
) -> None:
    if len(column) != len(rows):
        raise InputError(f"{len(column)} {name!r} for {len(rows)} {noun!r}; each needs one")


def _check_objects(name: str, pairs: Int[np.ndarray, "K 2"], objects: int) -> None:
    if (wrong := np.argwhere((pairs < 0) | (pairs >= objects))).size:
        row, side = wrong[0]
        raise InputError(
            f"{name!r} number {row} has the {('subject', 'object')[side]} {pairs[row, side]},"
            f" but there are {objects} objects, counted from 0"
        )
