"""Balanced sampling."""

import pytest
import torch

from scenekit.ops.rng import generator
from scenekit.ops.sampling import sample_balanced

POSITIVE = torch.arange(100) < 30
NEGATIVE = torch.arange(100) >= 50


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        (POSITIVE, NEGATIVE, (8, 24)),
        (POSITIVE & (torch.arange(100) < 3), NEGATIVE, (3, 29)),
        (POSITIVE, NEGATIVE & (torch.arange(100) < 55), (8, 5)),
        (POSITIVE, NEGATIVE & False, (8, 0)),
        (POSITIVE & False, NEGATIVE & False, (0, 0)),
    ],
)
def test_counts(positive: torch.Tensor, negative: torch.Tensor, expected: tuple[int, int]) -> None:
    rows = sample_balanced(positive, negative, 32, 0.25, generator(0))
    assert (int(positive[rows].sum()), int(negative[rows].sum())) == expected
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == sum(expected)


def test_the_generator_decides() -> None:
    first, again, other = (sample_balanced(POSITIVE, NEGATIVE, 32, 0.25, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_candidate_has_the_same_chance() -> None:
    counts = torch.zeros(100)
    for seed in range(400):
        counts[sample_balanced(POSITIVE, NEGATIVE, 20, 0.5, generator(seed))] += 1
    share = counts[POSITIVE] / 400
    assert abs(float(share.mean()) - 1 / 3) < 1e-6
    assert float((share - 1 / 3).abs().max()) < 5 * (1 / 3 * 2 / 3 / 400) ** 0.5
