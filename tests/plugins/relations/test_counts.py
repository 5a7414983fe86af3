"""Counts of predicates and their smoothed shares, worked by hand."""

from __future__ import annotations

import torch

from scenekit_plugins.relations.counts import PredicateCounts
from scenekit_plugins.relations.frequency import frequency_logits

ON, NEAR = 1, 2  # columns; 0 is "no relation"


def counted(smoothing: float = 2.0) -> PredicateCounts:
    """cup on table twice, once also near; a cup and a table that do not relate; table near cup."""
    counts = PredicateCounts(("cup", "table"), ("on", "near"), smoothing)
    subject, target = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 1, 0])
    holds = torch.tensor([[True, False], [True, True], [False, False], [False, True]])
    counts.add(subject, target, holds)
    return counts


def test_every_predicate_of_a_pair_counts_and_pairs_without_count_as_such() -> None:
    assert counted().counts.tolist() == [[[0, 0, 0], [1, 2, 1]], [[0, 0, 1], [0, 0, 0]]]
    assert counted().frequencies().tolist() == [1.0, 2.0, 2.0]


def test_counts_stand_still_outside_of_training() -> None:
    counts = counted().eval()
    counts.add(torch.tensor([0]), torch.tensor([1]), torch.tensor([[True, False]]))
    assert int(counts.counts.sum()) == 5


def test_rare_pairs_lean_on_frequent_ones() -> None:
    general = torch.tensor([2.0, 3.0, 3.0]) / 8
    by_cup = (torch.tensor([1.0, 2.0, 1.0]) + 2 * general) / 6
    to_table = by_cup
    from_table = (torch.tensor([0.0, 0.0, 1.0]) + 2 * general) / 3
    shares = counted().probabilities()
    torch.testing.assert_close(shares[0, 1], (torch.tensor([1.0, 2.0, 1.0]) + (by_cup + to_table)) / 6)
    torch.testing.assert_close(shares[1, 1], (from_table + to_table) / 2)  # never seen
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(2, 2))
    assert bool((shares > 0).all())


def test_without_counts_everything_is_as_likely() -> None:
    fresh = PredicateCounts(("cup", "table"), ("on", "near"), smoothing=4.0)
    torch.testing.assert_close(fresh.probabilities(), torch.full((2, 2, 3), 1 / 3))


def test_logits_stand_for_the_shares() -> None:
    counts, labels, pairs = counted(), torch.tensor([1, 0]), torch.tensor([[1, 0], [0, 1]])
    shares = torch.stack((counts.probabilities()[0, 1], counts.probabilities()[1, 0]))
    torch.testing.assert_close(frequency_logits(counts, labels, pairs).softmax(dim=1), shares)
    torch.testing.assert_close(frequency_logits(counts, labels, pairs, exclusive=False).sigmoid(), shares)
