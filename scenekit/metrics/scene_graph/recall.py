"""Scene-graph recall by the field's benchmark (Tang et al., Unbiased Scene Graph Generation, CVPR 2020, and its code).

Letters: G ground-truth objects, R ground-truth relations, N predicted objects, K predicted pairs, P predicates,
M relations of all images, I images.

A predicted triplet matches a ground-truth relation when the classes of subject and object and the predicate are equal,
and both boxes overlap theirs by IoU >= 0.5, counted in inclusive pixels: x2 - x1 + 1 wide. A prediction may match
several relations, a relation counts once, repeated ones count one by one. So every metric follows from the rank of the
first triplet that matches each ground-truth relation:

* R@k, with graph constraint: one triplet per listed pair, its best predicate, by score of subject * object * predicate;
  equal scores in the order in which pairs are listed.
* ngR@k, without: all pairs times all predicates by that score, in single precision as the benchmark has it; equal
  scores by pair, then predicate.
* mR@k, ng_mR@k: the recall per image and predicate, its mean over the images that have the predicate, the mean of
  these over all predicates, of which those that no image has count 0 (Chen et al., CVPR 2019).
* zR@k, ng_zR@k: over the relations whose (subject class, object class, predicate) is in a list of unseen triplets.
* A@k: as R@k among the predictions whose pair of objects is a ground-truth pair, pooled over all images.

R and zR are means over images. Images without ground-truth relations (for zR: unseen ones) are left out.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError, nearest
from scenekit.metrics.common import box_iou, ratio
from scenekit.metrics.scene_graph.arrays import LAST_PIXEL, GraphPrediction, GraphTruth

Mode = Literal["predcls", "sgcls", "sgdet"]
"""What is given: boxes and labels, boxes, nothing."""

MODES: tuple[Mode, ...] = get_args(Mode)
CUTOFFS = (20, 50, 100)
IOU_THRESHOLD = 0.5

Triplets = Iterable[tuple[int, int, int]] | Container[tuple[int, int, int]]
"""(subject class, object class, predicate): all of them, or a container that knows whether it holds one."""

_NEVER = np.iinfo(np.int64).max


class SceneGraphRecall:
    """Accumulates images; `result` gives the recalls as fractions.

    In "predcls" and "sgcls" boxes (and labels, and scores of 1) are those of the ground truth whatever was predicted.

    Args:
        predicates: Names of the predicates 1..P.
        mode: What was given: "predcls" (boxes, labels), "sgcls" (boxes), "sgdet" (nothing).
        zero_shot: Triplets (subject class, object class, predicate) that training did not contain.
        without_pairs: An image without predicted pairs has recall 0 ("zero", as in neural-motifs), or is left out,
            which raises the means ("skip", as in Scene-Graph-Benchmark).
        cutoffs: The k of the metrics.

    Raises:
        InputError: The mode is unknown.
    """

    def __init__(
        self,
        predicates: Sequence[str],
        mode: Mode,
        zero_shot: Triplets | None = None,
        without_pairs: Literal["zero", "skip"] = "zero",
        cutoffs: Sequence[int] = CUTOFFS,
    ) -> None:
        self.predicates = tuple(predicates)
        self.mode = read_mode(mode)
        self.zero_shot = frozenset(zero_shot) if isinstance(zero_shot, Iterable) else zero_shot
        self.without_pairs = without_pairs
        self.cutoffs = tuple(cutoffs)
        self._images: list[_Ranks] = []

    def update(self, targets: GraphTruth, prediction: GraphPrediction) -> None:
        """Add one image.

        Args:
            targets: The ground truth.
            prediction: The prediction; in "predcls" and "sgcls" of the ground-truth objects, in their order.

        Raises:
            InputError: A predicate has no name, or the prediction has another number of objects than the mode gives.
        """
        self._check(targets, prediction)
        if not len(targets.relations) or (self.without_pairs == "skip" and not len(prediction.pairs)):
            return
        given = _best_first(_with_given(targets, prediction, self.mode))
        listed = np.arange(min(len(given.pairs), max(self.cutoffs)))
        self._images.append(
            _Ranks(
                np.full(len(targets.relations), len(self._images)),
                targets.relations[:, 2],
                self._unseen(targets),
                first_matches(_constrained(targets, given, listed)),
                first_matches(_matches(targets, given, *_best_triplets(given, max(self.cutoffs)))),
                first_matches(_constrained(targets, given, _on_target_pairs(targets, given)[: max(self.cutoffs)])),
            )
        )

    def merge(self, other: "SceneGraphRecall") -> None:
        """Add the images of another instance.

        Args:
            other: One of the same predicates, mode and rules.

        Raises:
            InputError: Predicates, modes or rules differ.
        """
        if other._settings() != self._settings():
            raise InputError("scene-graph scores of different predicates, modes or rules cannot be merged")
        before = len(self._images)
        self._images += [replace(ranks, image=ranks.image + before) for ranks in other._images]

    def result(self) -> dict[str, Any]:
        """Compute the recalls.

        Returns:
            `R@k`, `ngR@k`, `mR@k`, `ng_mR@k` for each cut-off k as fractions, the number of `images` that counted, and
            `per_predicate`: names to `R@k`, `ngR@k` and `count`, the ground-truth relations. With a list of unseen
            triplets also `zR@k` and `ng_zR@k`; where the mode gives the boxes also `A@k`. NaN where there was nothing
            to measure.
        """
        rows, P = self._rows(), len(self.predicates)
        scores: dict[str, Any] = {}
        for k in self.cutoffs:
            scores |= {f"R@{k}": rows.mean("R", k), f"ngR@{k}": rows.mean("ngR", k)}
            scores |= {f"mR@{k}": rows.mean_over_predicates("R", k, P)}
            scores |= {f"ng_mR@{k}": rows.mean_over_predicates("ngR", k, P)}
            if self.zero_shot is not None:
                scores |= {f"zR@{k}": rows.mean("zR", k), f"ng_zR@{k}": rows.mean("ng_zR", k)}
            if self.mode != "sgdet":
                scores |= {f"A@{k}": ratio(float((rows.on_target_pairs < k).sum()), len(rows.image))}
        return {**scores, "images": len(self._images), "per_predicate": self._per_predicate(rows)}

    def image_recalls(self, name: str, k: int) -> Float[np.ndarray, " I"]:
        """Compute a recall of each image that counts for it.

        Args:
            name: "R", "ngR", "zR" or "ng_zR".
            k: The cut-off.

        Returns:
            Fractions, in the order of the updates.
        """
        return self._rows().image_recalls(name, k)

    def predicate_recalls(self, name: str, k: int) -> Float[np.ndarray, " P"]:
        """Compute a recall of each predicate.

        Args:
            name: "R" or "ngR".
            k: The cut-off.

        Returns:
            The mean over the images that have the predicate, 0 without any; fractions.
        """
        return self._rows().predicate_recalls(name, k, len(self.predicates))

    def _check(self, targets: GraphTruth, prediction: GraphPrediction) -> None:
        P = len(self.predicates)
        if (targets.relations[:, 2] > P).any():
            raise InputError(f"the predicate {targets.relations[:, 2].max()} occurs, but only {P} are known")
        width = prediction.probabilities.shape[1]
        if len(prediction.pairs) and width != P + 1:
            raise InputError(f"{width} scores per pair for {P} predicates; {P + 1} are needed, 'no relation' first")
        predicted = len(prediction.boxes)
        if self.mode != "sgdet" and predicted != len(targets.boxes) and (predicted or len(prediction.pairs)):
            raise InputError(
                f"mode {self.mode} gives the ground-truth objects: expected {len(targets.boxes)}, in the same order,"
                f" got {predicted}"
            )

    def _unseen(self, targets: GraphTruth) -> Bool[np.ndarray, " R"]:
        subjects, objects = targets.labels[targets.relations[:, :2]].T.tolist()
        triplets = zip(subjects, objects, targets.relations[:, 2].tolist(), strict=True)
        return np.array([triplet in (self.zero_shot or ()) for triplet in triplets], dtype=bool)

    def _settings(self) -> tuple[Any, ...]:
        return self.predicates, self.mode, self.zero_shot, self.without_pairs, self.cutoffs

    def _rows(self) -> "_Ranks":
        return _Ranks.of_all(self._images)

    def _per_predicate(self, rows: "_Ranks") -> dict[str, dict[str, float | int]]:
        P = len(self.predicates)
        columns: dict[str, list[float | int]] = {
            f"{name}@{k}": rows.predicate_recalls(name, k, P).tolist() for name in ("R", "ngR") for k in self.cutoffs
        }
        columns["count"] = np.bincount(rows.predicate, minlength=P + 1)[1:].tolist()
        return {
            name: {column: values[i] for column, values in columns.items()} for i, name in enumerate(self.predicates)
        }


@dataclass(frozen=True, eq=False)
class _Ranks:
    """Of each ground-truth relation: image and predicate, whether it is unseen, ranks of its first matches."""

    image: Int[np.ndarray, " M"]
    predicate: Int[np.ndarray, " M"]
    unseen: Bool[np.ndarray, " M"]
    constrained: Int[np.ndarray, " M"]
    unconstrained: Int[np.ndarray, " M"]
    on_target_pairs: Int[np.ndarray, " M"]

    @classmethod
    def of_all(cls, images: "Sequence[_Ranks]") -> "_Ranks":
        empty = np.zeros(0, dtype=np.int64)
        columns = [np.concatenate([getattr(ranks, field.name) for ranks in images] or [empty]) for field in fields(cls)]
        columns[2] = columns[2].astype(bool)
        return cls(*columns)

    def matched(self, name: str, k: int) -> Bool[np.ndarray, " M"]:
        return (self.unconstrained if name.startswith("ng") else self.constrained) < k

    def image_recalls(self, name: str, k: int) -> Float[np.ndarray, " I"]:
        counted = self.unseen if name.endswith("zR") else np.ones(len(self.image), dtype=bool)
        _, index = np.unique(self.image[counted], return_inverse=True)
        return np.bincount(index, self.matched(name, k)[counted]) / np.bincount(index)

    def mean(self, name: str, k: int) -> float:
        recalls = self.image_recalls(name, k)
        return ratio(float(recalls.sum()), len(recalls))

    def predicate_recalls(self, name: str, k: int, P: int) -> Float[np.ndarray, " P"]:
        cells, index = np.unique(self.image * (P + 1) + self.predicate, return_inverse=True)
        recalls = np.bincount(index, self.matched(name, k)) / np.bincount(index)
        predicate = cells % (P + 1)
        images = np.bincount(predicate, minlength=P + 1)[1:]
        return np.bincount(predicate, recalls, minlength=P + 1)[1:] / np.maximum(images, 1)

    def mean_over_predicates(self, name: str, k: int, P: int) -> float:
        return ratio(float(self.predicate_recalls(name, k, P).sum()), P if len(self.image) else 0)


def read_mode(name: str) -> Mode:
    """Check the name of a mode.

    Args:
        name: "predcls", "sgcls" or "sgdet".

    Returns:
        The mode.

    Raises:
        InputError: There is no such mode.
    """
    for mode in MODES:
        if mode == name:
            return mode
    raise InputError(f"unknown mode {name!r}{nearest(name, MODES)}")


def match_relations(targets: GraphTruth, prediction: GraphPrediction, mode: Mode) -> Bool[np.ndarray, "K R"]:
    """Match each predicted pair, with its best predicate, to ground-truth relations.

    Args:
        targets: The ground truth.
        prediction: The prediction; "no relation" is never the best predicate.
        mode: What was given.

    Returns:
        Which relations each pair matches.
    """
    given = _with_given(targets, prediction, mode)
    return _constrained(targets, given, np.arange(len(given.pairs)))


def first_matches(matches: Bool[np.ndarray, "K R"]) -> Int[np.ndarray, " R"]:
    """Compute the rank of the first triplet that matches each relation.

    Args:
        matches: Which triplets, best first, match which relations.

    Returns:
        Ranks from 0; the largest integer where none matches.
    """
    if not len(matches):
        return np.full(matches.shape[1], _NEVER)
    return np.where(matches.any(axis=0), matches.argmax(axis=0), _NEVER)


def _with_given(targets: GraphTruth, prediction: GraphPrediction, mode: Mode) -> GraphPrediction:
    """Return the prediction with what the mode gives."""
    if mode == "sgdet" or not len(prediction.pairs):
        return prediction
    if mode == "sgcls":
        return replace(prediction, boxes=targets.boxes)
    return replace(prediction, boxes=targets.boxes, labels=targets.labels, scores=np.ones(len(targets.boxes)))


def _best_first(prediction: GraphPrediction) -> GraphPrediction:
    """Return the prediction with its pairs by the falling score of their best triplet; equal ones keep their order."""
    if not len(prediction.pairs):
        return prediction
    order = np.argsort(-_pair_scores(prediction), kind="stable")
    return replace(prediction, pairs=prediction.pairs[order], probabilities=prediction.probabilities[order])


def _pair_scores(prediction: GraphPrediction) -> Float[np.ndarray, " K"]:
    """Compute the score of each pair's best triplet: that of its predicate times those of its objects."""
    objects = prediction.scores.astype(np.float32)[prediction.pairs].prod(axis=1)
    scores: Float[np.ndarray, " K"] = objects * prediction.probabilities[:, 1:].astype(np.float32).max(
        axis=1, initial=0
    )
    return scores


def _constrained(
    targets: GraphTruth, prediction: GraphPrediction, rows: Int[np.ndarray, " K"]
) -> Bool[np.ndarray, "K R"]:
    """Return `_matches` of these pairs with their best predicates."""
    probabilities = prediction.probabilities[rows, 1:]
    predicates = probabilities.argmax(axis=1) + 1 if len(rows) else rows
    return _matches(targets, prediction, rows, predicates)


def _best_triplets(prediction: GraphPrediction, count: int) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Return pairs and predicates of the highest scores, falling; equal scores by pair, then predicate."""
    if not len(prediction.pairs):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    relation = prediction.probabilities[:, 1:].astype(np.float32)
    objects = prediction.scores.astype(np.float32)[prediction.pairs].prod(axis=1)
    # A triplet among the best `count` belongs to a pair whose best triplet is among the best `count` of the pairs'.
    pairs = _at_least_nth(_pair_scores(prediction), count)
    scores = (objects[pairs, None] * relation[pairs]).ravel()
    cells = _at_least_nth(scores, count)
    best = cells[np.argsort(-scores[cells], kind="stable")[:count]]
    return pairs[best // relation.shape[1]], best % relation.shape[1] + 1


def _at_least_nth(values: Float[np.ndarray, " K"], n: int) -> Int[np.ndarray, " L"]:
    """Return the rows, in order, of all values not below the nth highest; more than n where values are equal."""
    if len(values) <= n:
        return np.arange(len(values))
    return np.flatnonzero(values >= np.partition(values, -n)[-n])


def _on_target_pairs(targets: GraphTruth, prediction: GraphPrediction) -> Int[np.ndarray, " K"]:
    """Return the rows of predicted pairs that are pairs of ground-truth relations."""
    objects = max(len(targets.boxes), len(prediction.boxes))
    pairs, target_pairs = (array[:, 0] * objects + array[:, 1] for array in (prediction.pairs, targets.relations))
    return np.flatnonzero(np.isin(pairs, target_pairs))


def _matches(
    targets: GraphTruth, prediction: GraphPrediction, pairs: Int[np.ndarray, " K"], predicates: Int[np.ndarray, " K"]
) -> Bool[np.ndarray, "K R"]:
    """Return which ground-truth relations each triplet (row of the predicted pairs, predicate) matches."""
    same: Bool[np.ndarray, "N G"] = (prediction.labels[:, None] == targets.labels) & (
        box_iou(prediction.boxes, targets.boxes, LAST_PIXEL) >= IOU_THRESHOLD
    )
    subjects, objects = prediction.pairs[pairs].T
    target_subjects, target_objects, target_predicates = targets.relations.T
    matches: Bool[np.ndarray, "K R"] = (
        same[subjects[:, None], target_subjects]
        & same[objects[:, None], target_objects]
        & (predicates[:, None] == target_predicates)
    )
    return matches
