"""Scene-graph recall of scenes, in the three modes of the benchmark.

Letters: N objects of one image, R relations, P predicates, C labels.

Scenes have half-open boxes and count labels and predicates from 0; the benchmark includes the last pixel, and 0 is its
background and its "no relation".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.evaluation.evaluator import ModalEvaluator
from scenekit.keys import OBJECTS, RELATIONS
from scenekit.metrics.scene_graph.arrays import LAST_PIXEL, GraphPrediction, GraphTruth
from scenekit.metrics.scene_graph.recall import Mode, SceneGraphRecall, Triplets
from scenekit.model.external_regions import Given
from scenekit.scene import Scene
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary

WithoutPairs = Literal["zero", "skip"]


class SceneGraphEvaluator(ModalEvaluator):
    """R@k, mR@k, ngR@k, ng_mR@k, zR@k and ng_zR@k for k = 20, 50, 100 in the modes predcls, sgcls and sgdet.

    Images that do not supervise RELATIONS, or have none, are passed over. `zero_shot` lists the triplets (subject
    label, object label, predicate) that training did not show; a head that counted them while it learned says so by
    `with_seen`. zR is NaN where neither is known. `without_pairs` as for SceneGraphRecall.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        zero_shot: Iterable[tuple[int, int, int]] | None = None,
        without_pairs: WithoutPairs = "zero",
    ) -> None:
        self.vocabulary, self.without_pairs = vocabulary, without_pairs
        unseen = frozenset((s + 1, o + 1, p + 1) for s, o, p in zero_shot or ())
        self._measure(unseen)

    def with_seen(self, counts: Int[Tensor, "C C P"]) -> SceneGraphEvaluator:
        """The same for a model whose training showed subject, object and predicate together so often.

        Counts that are 0 throughout say nothing: nobody counted.
        """
        labels, predicates = len(self.vocabulary.things), len(self.vocabulary.predicates)
        if tuple(counts.shape) != (labels, labels, predicates):
            expected = [labels, labels, predicates]
            raise InputError(f"counts of triplets must be {expected} for this vocabulary, got {list(counts.shape)}")
        evaluator = SceneGraphEvaluator(self.vocabulary, without_pairs=self.without_pairs)
        seen = (counts > 0).nonzero() + 1
        if len(seen):
            evaluator._measure(_Unseen(frozenset(map(tuple, seen.tolist()))))
        return evaluator

    def _measure(self, zero_shot: Triplets) -> None:
        modes: tuple[Mode, ...] = ("predcls", "sgcls", "sgdet")
        super().__init__(
            {mode: GraphModeEvaluator(self.vocabulary, mode, zero_shot, self.without_pairs) for mode in modes},
            {"predcls": _true_objects, "sgcls": _true_boxes},
        )


class GraphModeEvaluator:
    """Scene-graph recall in one mode; triplets are counted from 1."""

    def __init__(
        self, vocabulary: Vocabulary, mode: Mode, zero_shot: Triplets, without_pairs: WithoutPairs = "zero"
    ) -> None:
        self.recall = SceneGraphRecall(vocabulary.predicates, mode, zero_shot, without_pairs)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image."""
        if RELATIONS in truth.supervision.keys:
            self.recall.update(graph_truth(truth.scene), graph_prediction(prediction))

    def merge(self, other: GraphModeEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        self.recall.merge(other.recall)

    def result(self) -> dict[str, Any]:
        """As of SceneGraphRecall."""
        return self.recall.result()


@dataclass(frozen=True)
class _Unseen:
    """All triplets but those that were seen."""

    seen: frozenset[tuple[int, ...]]

    def __contains__(self, triplet: object) -> bool:
        return triplet not in self.seen


def graph_truth(scene: Scene) -> GraphTruth:
    """Objects and relations of a ground-truth scene, as the metric takes them."""
    relations, objects = scene[RELATIONS], scene.objects
    rows = torch.stack((relations.subject, relations.object, relations.predicate + 1), dim=1)
    return GraphTruth.of(_inclusive(objects.boxes), objects.labels + 1, rows)


def graph_prediction(scene: Scene) -> GraphPrediction:
    """Objects and pairs of a predicted scene, the best triplet first, as the metric takes them.

    Labels are those of the relations where their predictor labelled the objects anew.
    """
    relations, objects = scene[RELATIONS], scene.objects
    labels = objects.labels if relations.labels is None else relations.labels
    scores = objects.scores if relations.label_scores is None else relations.label_scores
    scores = torch.ones(len(objects)) if scores is None else scores
    if relations.score is not None:
        relations = relations[relations.score.argsort(descending=True, stable=True)]
    pairs = torch.stack((relations.subject, relations.object), dim=1)
    table = _probabilities(relations, scores, len(scene.vocabulary.predicates))
    return GraphPrediction.of(_inclusive(objects.boxes), labels + 1, scores, pairs, table)


def _probabilities(
    relations: Relations, scores: Float[Tensor, " N"], predicates: int
) -> Float[Tensor, "R {predicates}+1"]:
    """Of "no relation" and each predicate; where only the best is told, such that its triplet scores as told."""
    table = relations.probabilities
    if table is None:
        certainty = scores[relations.subject] * scores[relations.object]
        best = torch.ones(len(relations)) if relations.score is None else relations.score / certainty.clamp(min=1e-12)
        table = torch.zeros(len(relations), predicates).scatter(1, relations.predicate[:, None], best[:, None])
    return torch.cat(((1 - table.sum(dim=1, keepdim=True)).clamp(min=0), table), dim=1)


def _inclusive(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    return boxes - boxes.new_tensor([0, 0, LAST_PIXEL, LAST_PIXEL])


def _true_boxes(truth: Sample) -> Given | None:
    return {OBJECTS: truth.scene.objects.boxes} if _has_relations(truth) else None


def _true_objects(truth: Sample) -> Given | None:
    return {OBJECTS: truth.scene.objects} if _has_relations(truth) else None


def _has_relations(truth: Sample) -> bool:
    return RELATIONS in truth.supervision.keys and len(truth.scene[RELATIONS]) > 0
