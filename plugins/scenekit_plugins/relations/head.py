"""The head: which pairs, what holds between them, and how it is told.

Letters: N objects of the batch, M candidate pairs, K judged pairs, Q predicates with "no relation" first, R relations.
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
from scenekit_plugins.relations.decode import Labels, best_relations, known_labels, named_by_root, new_labels
from scenekit_plugins.relations.evaluator import SceneGraphEvaluator
from scenekit_plugins.relations.frequency import frequency_logits
from scenekit_plugins.relations.geometry import pair_numbers
from scenekit_plugins.relations.losses import (
    PairTruth,
    TrueRelations,
    count_pairs,
    label_loss,
    predicate_loss,
    relatedness_loss,
    sampled_pairs,
)
from scenekit_plugins.relations.message_passing import MessagePassingPredictor
from scenekit_plugins.relations.pairs import PairScorer, all_pairs, best_of_group
from scenekit_plugins.relations.predictor import Graph, Judgement, Predictor
from scenekit_plugins.relations.transformer import TransformerPredictor


@dataclass(frozen=True, eq=False)
class RawRelations:
    """All candidate pairs with the logits of their relatedness (None without a network), and the judged ones."""

    candidates: Int[Tensor, "M 2"]
    relatedness: Float[Tensor, " M"] | None
    graph: Graph
    judgement: Judgement


class RelationHead(Head[RawRelations, list[Relations]]):
    """Scores all pairs, has the best ones judged by its predictor, and counts what it sees while it learns."""

    baseline_name = "frequency"

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        vocabulary = core.vocabulary
        if not vocabulary.predicates:
            raise InputError("task 'relations' needs a vocabulary with predicates; here there are none")
        self.core, self.config = core, config
        self.counts = PredicateCounts(vocabulary.things, vocabulary.predicates, config.smoothing)
        self.scorer = None if config.predictor == "frequency" else PairScorer(vocabulary.things)
        self.predictor = _predictor(core, config)
        self.axis_names = _prefixed({"counts": self.counts, "scorer": self.scorer, "predictor": self.predictor})

    def forward(self, board: Board) -> RawRelations:
        objects: Regions = board[OBJECTS]
        precision = board.images.pixels.dtype
        classes = class_shares(objects, len(self.core.vocabulary.things)).to(precision)
        candidates = all_pairs(objects.image_index)
        geometry = pair_numbers(objects, candidates, board.images.sizes).to(precision)
        relatedness = None if self.scorer is None else self.scorer(classes, candidates, geometry)
        rows = self._best(objects, candidates, relatedness)
        graph = Graph(objects, classes, candidates[rows], geometry[rows])
        return RawRelations(candidates, relatedness, graph, self._judged(board, graph))

    def _best(
        self, objects: Regions, candidates: Int[Tensor, "M 2"], relatedness: Float[Tensor, " M"] | None
    ) -> Int[Tensor, " K"]:
        """Rows of the most promising candidates of each image, by the scores of both objects and of relatedness."""
        labels, scores = known_labels(objects)
        if relatedness is None:
            related = 1 - frequency_logits(self.counts, labels, candidates)[:, 0].exp()
        else:
            related = relatedness.detach().sigmoid()
        promise = related * scores[candidates].prod(dim=1)
        return best_of_group(promise, objects.image_index[candidates[:, 0]], self.config.max_pairs)

    def _judged(self, board: Board, graph: Graph) -> Judgement:
        """Without a network the frequencies alone; with one they are where it starts from, if so configured."""
        assert graph.objects.labels is not None
        exclusive = self.config.predicates == "softmax"
        frequency = frequency_logits(self.counts, graph.objects.labels, graph.pairs, exclusive)
        if self.predictor is None:
            return Judgement(frequency, None)
        judgement: Judgement = self.predictor(board, graph)
        if not self.config.frequency_bias:
            return judgement
        return replace(judgement, predicates=judgement.predicates + frequency)

    def loss(self, raw: RawRelations, board: Board, targets: Targets) -> dict[str, Tensor]:
        """`predicate`; with a network also `pair`, of relatedness, and `object`, of the labels."""
        graph, truth = raw.graph, targets.streams[OBJECTS]
        true = TrueRelations.of(targets, len(self.core.vocabulary.predicates))
        judged = PairTruth.of(true, graph.objects, graph.pairs, truth.exhaustive)
        rows = sampled_pairs(judged, graph.pair_image, board.images, self.config, "relations")
        logits = raw.judgement.predicates[rows].float()
        losses = {"predicate": predicate_loss(logits, judged.predicates[rows], self.counts, self.config)}
        if raw.relatedness is not None:
            candidates = PairTruth.of(true, graph.objects, raw.candidates, truth.exhaustive)
            losses["pair"] = relatedness_loss(raw.relatedness.float(), candidates)
        if raw.judgement.labels is not None:
            certain = graph.objects.class_logits is None
            labels = raw.judgement.labels.float()
            losses["object"] = safe_mean(labels * 0.0) if certain else label_loss(labels, graph.objects, truth)
        count_pairs(self.counts, true, truth)
        return losses

    def decode(self, raw: RawRelations, board: Board) -> list[Relations]:
        """Of each image; objects are named by their rows in the regions that OBJECTS are taken from."""
        graph, logits = raw.graph, raw.judgement.predicates.float()
        new = self._new_labels(raw, distinct=OBJECTS in board.given)
        _, scores = known_labels(graph.objects) if new is None else new
        probabilities = logits.sigmoid() if self.config.predicates == "sigmoid" else logits.softmax(dim=1)
        own = [(graph.pair_image == image).nonzero()[:, 0] for image in range(len(board.images))]
        found = [
            best_relations(scores, graph.pairs[rows], probabilities[rows], self.config.max_relations) for rows in own
        ]
        return [named_by_root(relations, graph.objects, new) for relations in found]

    def _new_labels(self, raw: RawRelations, distinct: bool) -> Labels | None:
        """Labels in the light of their surroundings; None where nobody learns to judge them, or they are certain."""
        objects, logits = raw.graph.objects, raw.judgement.labels
        if not self.config.relabels or logits is None or objects.class_logits is None:
            return None
        return new_labels(objects, logits, distinct)

    def finish(self, value: Relations, scene: Scene, geometry: Geometry) -> Relations:
        """Objects that are too many to look at keep the labels that they have."""
        if value.labels is None or value.label_scores is None:
            return value
        judged, objects = value.labels >= 0, scene.objects
        scores = torch.ones(len(objects)) if objects.scores is None else objects.scores
        labels = value.labels.where(judged, objects.labels.to(judged.device))
        return replace(value, labels=labels, label_scores=value.label_scores.where(judged, scores.to(judged.device)))

    def prepare_evaluator(self, evaluator: Evaluator) -> Evaluator:
        """It is told which triplets training showed, so that it knows the others."""
        if not isinstance(evaluator, SceneGraphEvaluator):
            return evaluator
        return evaluator.with_seen(self.counts.counts[..., 1:])

    def baseline(self) -> RelationHead | None:
        """The counts alone, as they stand."""
        if self.predictor is None:
            return None
        head = RelationHead(self.core, self.config.model_copy(update={"predictor": "frequency"}))
        head.counts, head.provides = self.counts, self.provides
        return head


def class_shares(objects: Regions, things: int) -> Float[Tensor, "N _"]:
    """Probabilities of the labels, background last; certain where nothing but the label is known."""
    if objects.class_logits is not None:
        return objects.class_logits.detach().float().softmax(dim=1)
    assert objects.labels is not None
    return F.one_hot(objects.labels, things + 1).to(objects.boxes)


def _predictor(core: Core, config: RelationConfig) -> Predictor | None:
    if config.predictor == "frequency":
        return None
    return MessagePassingPredictor(core, config) if config.predictor == "imp" else TransformerPredictor(core, config)


def _prefixed(parts: dict[str, PredicateCounts | PairScorer | Predictor | None]) -> ParameterNames:
    """The names of all parts, as the head's."""
    return {
        f"{prefix}.{name}": axes
        for prefix, part in parts.items()
        if part is not None
        for name, axes in part.axis_names.items()
    }
