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
from scenekit.metrics.scene_graph import LAST_PIXEL, GraphPrediction, GraphTruth, Mode, SceneGraphRecall, Triplets
from scenekit.model.external_regions import Given
from scenekit.scene import Scene
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary

WithoutPairs = Literal["zero", "skip"]


class SceneGraphEvaluator(ModalEvaluator):
    """R@k, mR@k, ngR@k, ng_mR@k, zR@k and ng_zR@k for k = 20, 50, 100 in the modes predcls, sgcls and sgdet.

    Images that are not annotated with relations are skipped. zR is NaN where neither `zero_shot` nor `seen` is known.

    Args:
        vocabulary: That of the model.
        zero_shot: Triplets (subject label, object label, predicate) that training did not contain.
        without_pairs: How images without predicted pairs count; see `SceneGraphRecall`.
        seen: Triplets that training contained: all others are zero-shot. Instead of `zero_shot`.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        zero_shot: Iterable[tuple[int, int, int]] | None = None,
        without_pairs: WithoutPairs = "zero",
        seen: Iterable[tuple[int, int, int]] | None = None,
    ) -> None:
        self.vocabulary, self.without_pairs = vocabulary, without_pairs
        unseen: Triplets = _from_one(zero_shot or ()) if seen is None else _AllBut(_from_one(seen))
        modes: tuple[Mode, ...] = ("predcls", "sgcls", "sgdet")
        super().__init__(
            {mode: GraphModeEvaluator(vocabulary, mode, unseen, without_pairs) for mode in modes},
            {"predcls": _target_objects, "sgcls": _target_boxes},
        )

    def with_seen(self, counts: Int[Tensor, "C C P"]) -> SceneGraphEvaluator:
        """Return the same evaluator for a model whose training contained these triplets.

        Args:
            counts: How often training had the triplet; all 0 where the triplets were not counted.

        Returns:
            An evaluator without images.

        Raises:
            InputError: The counts are of another vocabulary.
        """
        labels, predicates = len(self.vocabulary.things), len(self.vocabulary.predicates)
        if tuple(counts.shape) != (labels, labels, predicates):
            expected = [labels, labels, predicates]
            raise InputError(f"counts of triplets must be {expected} for this vocabulary, got {list(counts.shape)}")
        seen = [(subject, object_, predicate) for subject, object_, predicate in (counts > 0).nonzero().tolist()]
        return SceneGraphEvaluator(self.vocabulary, without_pairs=self.without_pairs, seen=seen or None)


class GraphModeEvaluator:
    """Scene-graph recall in one mode.

    Args:
        vocabulary: That of the model.
        mode: What the model is given: "predcls", "sgcls" or "sgdet".
        zero_shot: Triplets that training did not contain, counted from 1.
        without_pairs: How images without predicted pairs count; see `SceneGraphRecall`.
    """

    def __init__(
        self, vocabulary: Vocabulary, mode: Mode, zero_shot: Triplets, without_pairs: WithoutPairs = "zero"
    ) -> None:
        self.recall = SceneGraphRecall(vocabulary.predicates, mode, zero_shot, without_pairs)

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if RELATIONS in sample.supervision.keys:
            self.recall.update(graph_truth(sample.scene), graph_prediction(prediction))

    def merge(self, other: GraphModeEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary and mode.
        """
        self.recall.merge(other.recall)

    def result(self) -> dict[str, Any]:
        """Compute the recalls.

        Returns:
            Fractions by name, and the number of `images`; see `SceneGraphRecall.result`.
        """
        return self.recall.result()


@dataclass(frozen=True)
class _AllBut:
    """All triplets but those of the training data."""

    seen: frozenset[tuple[int, int, int]]

    def __contains__(self, triplet: object) -> bool:
        return triplet not in self.seen


def _from_one(triplets: Iterable[tuple[int, int, int]]) -> frozenset[tuple[int, int, int]]:
    """Return the triplets counted from 1, as the benchmark has them."""
    return frozenset((subject + 1, object_ + 1, predicate + 1) for subject, object_, predicate in triplets)


def graph_truth(scene: Scene) -> GraphTruth:
    """Return the objects and relations of a ground-truth scene in the benchmark's conventions.

    Args:
        scene: The ground truth.

    Returns:
        Boxes that include the last pixel; labels and predicates counted from 1; relations as often as they are listed.
    """
    relations, objects = scene[RELATIONS], scene.objects
    rows = torch.stack((relations.subject, relations.object, relations.predicate + 1), dim=1)
    if relations.count is not None:
        rows = rows.repeat_interleave(relations.count, dim=0)
    return GraphTruth.of(_inclusive(objects.boxes), objects.labels + 1, rows)


def graph_prediction(scene: Scene) -> GraphPrediction:
    """Return the objects and pairs of a predicted scene in the benchmark's conventions, the best triplet first.

    Args:
        scene: A prediction. Where its relations relabel the objects, those labels count.

    Returns:
        Boxes that include the last pixel; labels and predicates counted from 1.
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
    """Return probabilities of "no relation" and of each predicate.

    Where a scene stores only the best predicate, its probability is such that the triplet keeps its score.
    """
    table = relations.probabilities
    if table is None:
        certainty = scores[relations.subject] * scores[relations.object]
        best = torch.ones(len(relations)) if relations.score is None else relations.score / certainty.clamp(min=1e-12)
        table = torch.zeros(len(relations), predicates).scatter(1, relations.predicate[:, None], best[:, None])
    return torch.cat(((1 - table.sum(dim=1, keepdim=True)).clamp(min=0), table), dim=1)


def _inclusive(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    return boxes - boxes.new_tensor([0, 0, LAST_PIXEL, LAST_PIXEL])


def _target_boxes(sample: Sample) -> Given | None:
    return {OBJECTS: sample.scene.objects.boxes} if _has_relations(sample) else None


def _target_objects(sample: Sample) -> Given | None:
    return {OBJECTS: sample.scene.objects} if _has_relations(sample) else None


def _has_relations(sample: Sample) -> bool:
    return RELATIONS in sample.supervision.keys and len(sample.scene[RELATIONS]) > 0
