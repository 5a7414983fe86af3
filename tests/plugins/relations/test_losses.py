"""What the ground truth says of pairs, which are sampled, and the losses, on cases worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from scenekit.keys import OBJECTS, RELATIONS
from scenekit.model.targets import StreamTruth, Targets
from scenekit.structures import ImageBatch, Regions, Relations
from scenekit_plugins.relations.config import RelationConfig
from scenekit_plugins.relations.counts import PredicateCounts
from scenekit_plugins.relations.losses import (
    PairTargets,
    TargetRelations,
    balanced_weights,
    count_pairs,
    label_loss,
    log_prior,
    predicate_loss,
    relatedness_loss,
    sampled_pairs,
    shown_labels,
)
from scenekit_plugins.relations.pairs import all_pairs

LEFT, ON = 0, 1
THINGS, PREDICATES = ("cup", "table"), ("left of", "on")


def relations(*rows: tuple[int, int, int]) -> Relations:
    return Relations(*torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1))


def truth(**changes: Any) -> StreamTruth:
    """Two objects in the first image, three in the second, side by side."""
    image = torch.tensor([0, 0, 1, 1, 1])
    boxes = torch.stack([torch.tensor([10.0 * i, 0, 10 * i + 8, 8]) for i in (0, 1, 0, 1, 2)])
    yes = torch.ones(2, dtype=torch.bool)
    whole = StreamTruth(
        Regions(boxes, image, torch.tensor([0, 1, 0, 0, 1])), torch.zeros(5, dtype=torch.bool), yes, yes, yes[:, None]
    )
    return replace(whole, **{"covered": torch.ones(2, 2, dtype=torch.bool), **changes})


def targets(first: Relations | None, second: Relations | None, **changes: Any) -> Targets:
    valid = torch.tensor([first is not None, second is not None])
    return Targets({OBJECTS: truth(**changes)}, {RELATIONS: [first, second]}, {RELATIONS: valid})


def true(first: Relations | None, second: Relations | None) -> TargetRelations:
    return TargetRelations.of(targets(first, second), len(PREDICATES))


def holding(found: TargetRelations, subject: int, target: int) -> list[bool]:
    return [bool(value) for value in found.between(torch.tensor([subject]), torch.tensor([target]))[0]]


def test_rows_of_each_image_are_rows_of_the_batch() -> None:
    found = true(relations((0, 1, ON)), relations((2, 0, LEFT), (2, 0, ON), (0, 1, LEFT)))
    assert holding(found, 0, 1) == [False, True]
    assert holding(found, 4, 2) == [True, True]
    assert holding(found, 2, 3) == [True, False]
    assert holding(found, 1, 0) == holding(found, 3, 2) == holding(found, -1, 0) == [False, False]


def test_repeated_relations_count_once_and_those_to_itself_not_at_all() -> None:
    found = true(relations((0, 1, ON), (0, 1, ON), (1, 1, LEFT)), relations())
    assert len(found.codes) == 1 and holding(found, 0, 1) == [False, True]
    assert holding(found, 1, 1) == [False, False]


def test_images_that_say_nothing_hold_nothing() -> None:
    found = true(None, relations())
    assert found.labelled.tolist() == [False, True] and len(found.codes) == 0
    assert holding(found, 0, 1) == [False, False]


def objects(matched: list[int], image: list[int]) -> Regions:
    return Regions(torch.rand(len(matched), 4), torch.tensor(image), matched=torch.tensor(matched))


def test_what_is_known_of_pairs_of_detections() -> None:
    found = true(relations((0, 1, ON)), None)
    seen = objects([0, 1, 1, -1, 2, 3], [0, 0, 0, 0, 1, 1])
    pairs = torch.tensor([[0, 1], [0, 2], [1, 2], [0, 3], [4, 5]])
    exhaustive = torch.tensor([True, True])
    known = PairTargets.of(found, seen, pairs, exhaustive)
    assert known.related.tolist() == [True, True, False, False, False]
    assert known.annotated.tolist() == [True, True, False, True, False]  # one object twice; an image without relations
    partly = PairTargets.of(found, seen, pairs, torch.tensor([False, True]))
    assert partly.annotated.tolist() == [True, True, False, False, False]  # the unmatched one may be anything


def test_counting_all_pairs_of_the_ground_truth() -> None:
    counts = PredicateCounts(THINGS, PREDICATES, smoothing=1.0)
    told = targets(relations((0, 1, ON)), relations((2, 0, LEFT), (2, 0, ON)))
    crowd = torch.tensor([False, False, False, True, False])
    count_pairs(counts, TargetRelations.of(told, 2), truth(crowd=crowd))
    # First image: cup on table, table to cup nothing. Second, without the group: cup to table nothing, back both.
    assert counts.counts[0, 1].tolist() == [1, 0, 1] and counts.counts[1, 0].tolist() == [1, 1, 1]
    assert not counts.counts[0, 0].any() and not counts.counts[1, 1].any()


def images(*seeds: int) -> ImageBatch:
    size = (8, 8)
    return ImageBatch(torch.zeros(len(seeds), 3, *size), (size,) * len(seeds), (size,) * len(seeds), seeds=seeds)


def many_pairs() -> PairTargets:
    holds = torch.zeros(40, 2, dtype=torch.bool)
    holds[:15, 0] = True
    return PairTargets(holds, torch.arange(40) != 3)


def test_pairs_are_sampled_by_the_seed_of_their_image() -> None:
    config, image = RelationConfig(pair_samples=10, foreground_fraction=0.4), torch.zeros(40, dtype=torch.int64)
    rows = sampled_pairs(many_pairs(), image, images(7), config, "relations")
    assert len(rows) == 10 and int(many_pairs().related[rows].sum()) == 4 and 3 not in rows.tolist()
    assert torch.equal(rows, sampled_pairs(many_pairs(), image, images(7), config, "relations"))
    assert not torch.equal(rows, sampled_pairs(many_pairs(), image, images(8), config, "relations"))
    beside = sampled_pairs(many_pairs(), image + 1, images(1, 7), config, "relations")
    assert torch.equal(rows, beside)


def fresh() -> PredicateCounts:
    return PredicateCounts(THINGS, PREDICATES, smoothing=1.0)


def test_several_true_predicates_share_the_probability() -> None:
    logits = torch.tensor([[0.5, 1.0, -1.0], [0.2, 0.3, 2.0]])
    holds = torch.tensor([[True, True], [False, False]])
    log = logits.log_softmax(dim=1)
    wanted = (-(log[0, 1] + log[0, 2]) / 2 - log[1, 0]) / 2
    torch.testing.assert_close(predicate_loss(logits, holds, fresh(), RelationConfig()), wanted)


def test_each_predicate_by_itself() -> None:
    logits, holds = torch.randn(4, 3), torch.rand(4, 2) > 0.5
    wanted = F.binary_cross_entropy_with_logits(logits[:, 1:], holds.float(), reduction="sum") / 4
    config = RelationConfig(predicates="sigmoid")
    torch.testing.assert_close(predicate_loss(logits, holds, fresh(), config), wanted)


def counted() -> PredicateCounts:
    counts = fresh()
    counts.counts[0, 1] = torch.tensor([89, 9, 0])
    return counts


def test_logit_adjustment_adds_the_log_of_the_prior_while_learning() -> None:
    prior = torch.tensor([90.0, 10.0, 1.0]) / 101
    torch.testing.assert_close(log_prior(counted().frequencies()), prior.log())
    logits, holds = torch.randn(1, 3), torch.tensor([[False, True]])
    wanted = -(logits + 0.5 * prior.log()).log_softmax(dim=1)[0, 2]
    config = RelationConfig(long_tail="logit_adjustment", adjustment=0.5)
    torch.testing.assert_close(predicate_loss(logits, holds, counted(), config), wanted)


def test_class_balanced_weights_are_those_of_the_paper() -> None:
    beta, numbers = 0.9, (89, 9, 1)
    raw = [(1 - beta) / (1 - beta**n) for n in numbers]
    wanted = torch.tensor([value / (sum(raw) / 3) for value in raw])
    torch.testing.assert_close(balanced_weights(counted().frequencies(), beta), wanted)
    logits, holds = torch.randn(1, 3), torch.tensor([[True, False]])
    config = RelationConfig(long_tail="class_balanced", balance=beta)
    expected = -wanted[1] * logits.log_softmax(dim=1)[0, 1]
    torch.testing.assert_close(predicate_loss(logits, holds, counted(), config), expected)
    assert bool(balanced_weights(torch.zeros(3), 0.999).eq(1).all()) and bool(
        balanced_weights(torch.tensor([5.0, 1.0, 9.0]), 0.0).eq(1).all()
    )


def test_relatedness_of_known_pairs_only() -> None:
    logits = torch.zeros(40, requires_grad=True)
    loss = relatedness_loss(logits, many_pairs())
    assert float(loss.detach()) == pytest.approx(math.log(2))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(gradient[3]) == 0 and float(gradient[0]) < 0 < float(gradient[20])


def test_nothing_to_learn_from_is_zero_not_nan() -> None:
    none = PairTargets(torch.zeros(0, 2, dtype=torch.bool), torch.zeros(0, dtype=torch.bool))
    assert float(predicate_loss(torch.zeros(0, 3), none.predicates, fresh(), RelationConfig())) == 0
    assert float(relatedness_loss(torch.zeros(0), none)) == 0
    nobody = Regions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert float(label_loss(torch.zeros(0, 3), nobody, truth())) == 0
    assert all_pairs(nobody.image_index).shape == (0, 2)


def shown() -> Regions:
    """Of the first image: its cup well, a table where the cup is, its table taken for a cup, nothing; of the second
    image: its first cup."""
    boxes = torch.tensor([[0.0, 0, 8, 8], [1.0, 0, 8, 8], [10.0, 0, 18, 7], [40.0, 0, 48, 8], [0.0, 1, 8, 8]])
    scores = torch.tensor([0.6, 0.9, 0.5, 0.8, 0.3])
    return Regions(boxes, torch.tensor([0, 0, 0, 0, 1]), labels=torch.tensor([0, 1, 0, 0, 0]), scores=scores)


def test_one_region_shows_an_object_whatever_it_was_taken_for() -> None:
    assert shown_labels(shown(), truth()).tolist() == [-1, 0, 1, -1, 0]
    group = torch.tensor([False, True, False, False, False])
    assert shown_labels(shown(), truth(crowd=group)).tolist() == [-1, 0, -1, -1, 0]


def test_labels_are_learned_where_they_are_known() -> None:
    logits = torch.randn(5, 3)
    log = logits.log_softmax(dim=1)
    everything = -(log[0, 2] + log[1, 0] + log[2, 1] + log[3, 2] + log[4, 0]) / 5
    torch.testing.assert_close(label_loss(logits, shown(), truth()), everything)
    partly = truth(exhaustive=torch.tensor([False, True]), supervised=torch.tensor([True, False]))
    torch.testing.assert_close(label_loss(logits, shown(), partly), -(log[1, 0] + log[2, 1]) / 2)
