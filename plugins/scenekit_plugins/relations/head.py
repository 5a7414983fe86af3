"""The head: selection of pairs, prediction of their predicates, and decoding to relations.

Letters: N objects of the batch, M candidate pairs, K selected pairs, Q predicates with "no relation" first, R
relations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.evaluation.evaluator import Evaluator
from scenekit.keys import OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core, Head, ParameterNames
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.scene import Scene
from scenekit.structures import Geometry, Regions, Relations
from scenekit_plugins.relations.config import RelationConfig
from scenekit_plugins.relations.counts import PredicateCounts
from scenekit_plugins.relations.decode import (
    Labels,
    best_of_padded,
    best_relations,
    known_labels,
    named_by_root,
    new_labels,
)
from scenekit_plugins.relations.evaluator import SceneGraphEvaluator
from scenekit_plugins.relations.frequency import frequency_logits
from scenekit_plugins.relations.geometry import pair_numbers
from scenekit_plugins.relations.losses import (
    PairTargets,
    TargetRelations,
    count_pairs,
    label_loss,
    predicate_loss,
    relatedness_loss,
    sampled_pairs,
)
from scenekit_plugins.relations.message_passing import MessagePassingPredictor
from scenekit_plugins.relations.pairs import PairScorer, all_pairs, best_of_group, pairs_of_one
from scenekit_plugins.relations.predictor import Graph, PairPredictions, Predictor
from scenekit_plugins.relations.transformer import TransformerPredictor


@dataclass(frozen=True, eq=False)
class RawRelations:
    """Predictions of the networks."""

    candidates: Int[Tensor, "M 2"]
    """All ordered pairs of objects of an image."""
    relatedness: Float[Tensor, " M"] | None
    """Logits of whether a pair is related; None without a network."""
    graph: Graph
    """Objects and selected pairs."""
    predictions: PairPredictions
    """Predictions for the selected pairs."""


class RelationHead(Head[RawRelations, list[Relations]]):
    """A head that scores all pairs, predicts the predicates of the best ones, and counts predicates in training."""

    baseline_name = "frequency"

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        vocabulary = core.vocabulary
        if not vocabulary.predicates:
            raise InputError(
                "task 'relations' needs a vocabulary with predicates, but it has none; add a data set with relations, "
                "or leave the task out"
            )
        self.core, self.config = core, config
        self.counts = PredicateCounts(vocabulary.things, vocabulary.predicates, config.smoothing)
        self.scorer = None if config.predictor == "frequency" else PairScorer(vocabulary.things)
        self.predictor = _predictor(core, config)
        self.axis_names = _prefixed({"counts": self.counts, "scorer": self.scorer, "predictor": self.predictor})

    def forward(self, board: Board) -> RawRelations:
        objects: Regions = board[OBJECTS]
        precision = board.images.pixels.dtype
        classes = class_shares(objects, len(self.core.vocabulary.things)).to(precision)
        padded = objects.valid is not None
        candidates = pairs_of_one(len(objects), objects.boxes.device) if padded else all_pairs(objects.image_index)
        geometry = pair_numbers(objects, candidates, board.images.sizes).to(precision)
        relatedness = None if self.scorer is None else self.scorer(classes, candidates, geometry)
        rows = self._best(objects, candidates, relatedness)
        graph = Graph(objects, classes, candidates[rows], geometry[rows])
        return RawRelations(candidates, relatedness, graph, self._predictions(board, graph))

    def _best(
        self, objects: Regions, candidates: Int[Tensor, "M 2"], relatedness: Float[Tensor, " M"] | None
    ) -> Int[Tensor, " K"]:
        """Return the best candidates of each image, by the scores of both objects and of relatedness."""
        labels, scores = known_labels(objects)
        if relatedness is None:
            related = 1 - frequency_logits(self.counts, labels, candidates)[:, 0].exp()
        else:
            related = relatedness.detach().sigmoid()
        pair_score = related * scores[candidates].prod(dim=1)
        if objects.valid is not None:
            there = objects.valid[candidates].all(dim=1)
            return pair_score.where(there, -1.0).topk(min(self.config.max_pairs, len(candidates))).indices
        return best_of_group(pair_score, objects.image_index[candidates[:, 0]], self.config.max_pairs)

    def _predictions(self, board: Board, graph: Graph) -> PairPredictions:
        """Predict by frequencies, by a network, or by their sum, as configured."""
        assert graph.objects.labels is not None
        exclusive = self.config.predicates == "softmax"
        frequency = frequency_logits(self.counts, graph.objects.labels, graph.pairs, exclusive)
        if self.predictor is None:
            return PairPredictions(frequency, None)
        predictions: PairPredictions = self.predictor(board, graph)
        if not self.config.frequency_bias:
            return predictions
        return replace(predictions, predicates=predictions.predicates + frequency)

    def loss(self, raw: RawRelations, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute `predicate`; with a network also `pair`, of relatedness, and `object`, of the labels."""
        graph, ground_truth = raw.graph, targets.streams[OBJECTS]
        relations = TargetRelations.of(targets, len(self.core.vocabulary.predicates))
        selected = PairTargets.of(relations, graph.objects, graph.pairs, ground_truth.exhaustive)
        rows = sampled_pairs(selected, graph.pair_image, board.images, self.config, "relations")
        logits = raw.predictions.predicates[rows].float()
        losses = {"predicate": predicate_loss(logits, selected.predicates[rows], self.counts, self.config)}
        if raw.relatedness is not None:
            candidates = PairTargets.of(relations, graph.objects, raw.candidates, ground_truth.exhaustive)
            losses["pair"] = relatedness_loss(raw.relatedness.float(), candidates)
        if raw.predictions.labels is not None:
            certain = graph.objects.class_logits is None
            labels = raw.predictions.labels.float()
            losses["object"] = safe_mean(labels * 0.0) if certain else label_loss(labels, graph.objects, ground_truth)
        count_pairs(self.counts, relations, ground_truth)
        return losses

    def decode(self, raw: RawRelations, board: Board) -> list[Relations]:
        """Return the relations of each image, between rows of the regions that OBJECTS are taken from."""
        graph, logits = raw.graph, raw.predictions.predicates.float()
        new = self._new_labels(raw, distinct=OBJECTS in board.given)
        _, scores = known_labels(graph.objects) if new is None else new
        probabilities = logits.sigmoid() if self.config.predicates == "sigmoid" else logits.softmax(dim=1)
        if graph.objects.valid is not None:
            return [best_of_padded(scores, graph, probabilities, self.config.max_relations, new)]
        own = [(graph.pair_image == image).nonzero()[:, 0] for image in range(len(board.images))]
        best = [
            best_relations(scores, graph.pairs[rows], probabilities[rows], self.config.max_relations) for rows in own
        ]
        return [named_by_root(relations, graph.objects, new) for relations in best]

    def _new_labels(self, raw: RawRelations, distinct: bool) -> Labels | None:
        """Return labels predicted from context; None if they are not trained, or the labels are certain."""
        objects, logits = raw.graph.objects, raw.predictions.labels
        if not self.config.relabels or logits is None or objects.class_logits is None:
            return None
        return new_labels(objects, logits, distinct)

    def finish(self, value: Relations, scene: Scene, geometry: Geometry) -> Relations:
        """Keep the labels of objects beyond the limit."""
        if value.labels is None or value.label_scores is None:
            return value
        is_new, objects = value.labels >= 0, scene.objects
        scores = torch.ones(len(objects)) if objects.scores is None else objects.scores
        labels = value.labels.where(is_new, objects.labels.to(is_new.device))
        return replace(value, labels=labels, label_scores=value.label_scores.where(is_new, scores.to(is_new.device)))

    def prepare_evaluator(self, evaluator: Evaluator) -> Evaluator:
        """Add the triplets of the training data, from which zero-shot recall follows.

        Args:
            evaluator: The evaluator.

        Returns:
            The evaluator with these triplets.
        """
        if not isinstance(evaluator, SceneGraphEvaluator):
            return evaluator
        return evaluator.with_seen(self.counts.counts[..., 1:])

    def baseline(self) -> RelationHead | None:
        """Return a head with the counts alone.

        Returns:
            The head; None if this one has no network.
        """
        if self.predictor is None:
            return None
        head = RelationHead(self.core, self.config.model_copy(update={"predictor": "frequency"}))
        head.counts, head.provides = self.counts, self.provides
        return head


def class_shares(objects: Regions, things: int) -> Float[Tensor, "N _"]:
    """Return probabilities of the labels, background last; 1 where only the label is known.

    Args:
        objects: The objects.
        things: Number of things.

    Returns:
        The probabilities.
    """
    if objects.class_logits is not None:
        return objects.class_logits.detach().float().softmax(dim=1)
    assert objects.labels is not None
    return F.one_hot(objects.labels, things + 1).to(objects.boxes)


def _predictor(core: Core, config: RelationConfig) -> Predictor | None:
    if config.predictor == "frequency":
        return None
    return MessagePassingPredictor(core, config) if config.predictor == "imp" else TransformerPredictor(core, config)


def _prefixed(parts: dict[str, PredicateCounts | PairScorer | Predictor | None]) -> ParameterNames:
    """Return the axis names of all parts under the head's parameter names."""
    return {
        f"{prefix}.{name}": axes
        for prefix, part in parts.items()
        if part is not None
        for name, axes in part.axis_names.items()
    }
