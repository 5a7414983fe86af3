"""Which sample comes when: one order over several data sets, a pure function of the seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scenekit.errors import InputError


@dataclass(frozen=True)
class Draw:
    """Sample `index` of data set number `source`, seen for the `epoch`-th time (from 0)."""

    source: int
    index: int
    epoch: int


def draws(lengths: Sequence[int], weights: Sequence[float], seed: int) -> Iterator[Draw]:
    """Endlessly, samples of data sets of `lengths`; each set has the share of its weight in the long run.

    Every data set is shuffled anew for each of its epochs and seen whole before any of its samples comes again.
    """
    if not lengths or min(lengths) < 1:
        raise InputError(f"data sets with at least one sample each are expected, got lengths {list(lengths)}")
    orders = [shuffled(length, seed, source) for source, length in enumerate(lengths)]
    choose = random.Random(f"mixture/{seed}")
    shares = list(itertools.accumulate(weights))
    while True:
        (source,) = choose.choices(range(len(lengths)), cum_weights=shares)
        yield next(orders[source])


def shuffled(length: int, seed: int, source: int = 0) -> Iterator[Draw]:
    """Endlessly, all samples of one data set in a new order each epoch."""
    for epoch in itertools.count():
        order = list(range(length))
        random.Random(f"order/{seed}/{source}/{epoch}").shuffle(order)
        yield from (Draw(source, index, epoch) for index in order)


def batches(
    order: Iterator[Draw], size: int, *, start: int, stop: int, rank: int = 0, world: int = 1
) -> Iterator[list[Draw]]:
    """Batches number `start` to `stop` - 1 of process `rank` of `world`, `size` draws each.

    Batch n of all processes together takes the n-th `size * world` draws, so that every number of the order is seen by
    exactly one process. Draws before `start` are passed over; no data is loaded for that.
    """
    order = itertools.islice(order, start * size * world, None)
    for _ in range(start, stop):
        together = list(itertools.islice(order, size * world))
        yield together[rank * size : (rank + 1) * size]
