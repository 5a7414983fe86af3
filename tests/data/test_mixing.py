"""The order of samples: whole, shuffled, weighted, and the same wherever one begins."""

import itertools
from collections import Counter

import pytest

from scenekit.data.mixing import Draw, batches, draws, mixture_weights, shuffled, steps_of
from scenekit.errors import InputError


def take(count, iterator):
    return list(itertools.islice(iterator, count))


def test_every_epoch_has_every_sample_once():
    first, second = take(10, shuffled(10, seed=3)), take(20, shuffled(10, seed=3))[10:]
    assert sorted(draw.index for draw in first) == sorted(draw.index for draw in second) == list(range(10))
    assert {draw.epoch for draw in first} == {0} and {draw.epoch for draw in second} == {1}
    assert [draw.index for draw in first] != [draw.index for draw in second]
    assert [draw.index for draw in first] != [draw.index for draw in take(10, shuffled(10, seed=4))]


def test_shares_follow_weights():
    counts = Counter(draw.source for draw in take(6000, draws([5, 50, 500], [1.0, 2.0, 3.0], seed=0)))
    assert [counts[source] / 1000 for source in range(3)] == pytest.approx([1, 2, 3], rel=0.1)


def test_small_sets_come_whole_before_they_repeat():
    own = [draw for draw in take(300, draws([7, 1000], [1.0, 1.0], seed=0)) if draw.source == 0]
    for epoch in range(own[-1].epoch):
        assert sorted(draw.index for draw in own if draw.epoch == epoch) == list(range(7))


def test_starting_later_continues_the_same_order():
    whole = list(batches(draws([11, 5], [2.0, 1.0], seed=1), 3, start=0, stop=20))
    assert list(batches(draws([11, 5], [2.0, 1.0], seed=1), 3, start=13, stop=20)) == whole[13:]


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_order_out(world):
    parts = [list(batches(draws([40], [1.0], seed=1), 2, start=1, stop=4, rank=r, world=world)) for r in range(world)]
    together = [draw for step in zip(*parts, strict=True) for batch in step for draw in batch]
    assert together == take(4 * 2 * world, draws([40], [1.0], seed=1))[2 * world :]


def test_a_step_of_many_equals_a_step_of_one_large():
    small = [list(batches(draws([40], [1.0], seed=1), 2, start=0, stop=3, rank=r, world=2)) for r in range(2)]
    (large,) = [list(batches(draws([40], [1.0], seed=1), 4, start=0, stop=3))]
    assert [a + b for a, b in zip(*small, strict=True)] == large


def test_an_empty_data_set_is_named():
    with pytest.raises(InputError, match=r"at least one sample.*\[4, 0\]"):
        next(draws([4, 0], [1.0, 1.0], seed=0))
    assert Draw(0, 1, 2) == Draw(0, 1, 2)


def test_temperature_moves_shares_from_sizes_to_weights():
    sizes, weights = [100, 400], [1.0, 3.0]
    assert mixture_weights(sizes, weights, None) == weights
    small, large = mixture_weights(sizes, weights, 1.0)
    assert large / small == pytest.approx(3 * 4)  # every image of the second one three times as often
    small, large = mixture_weights(sizes, weights, 2.0)
    assert large / small == pytest.approx(3 * 2)  # the root of 4
    small, large = mixture_weights(sizes, weights, 1e9)
    assert large / small == pytest.approx(3)
    assert mixture_weights([10**6, 10], [1.0, 1.0], 0.01) == [1.0, pytest.approx(0)]  # no overflow


def test_steps_of_passes_over_the_data():
    assert steps_of(1.0, 100, 8) == 13  # the last step draws four images of the second pass
    assert steps_of(2.0, 100, 8) == 25
    assert steps_of(0.5, 3, 8) == 1
