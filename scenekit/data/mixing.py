"""The order of samples: one order over several data sets, a pure function of the seed."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scenekit.errors import InputError


@dataclass(frozen=True)
class Draw:
    """A sample of a mixture."""

    source: int
    """The number of the data set."""
    index: int
    """The number of the sample in it."""
    epoch: int
    """How many times the sample was drawn before."""


def mixture_weights(lengths: Sequence[int], weights: Sequence[float], temperature: float | None) -> list[float]:
    """Compute the weights of data sets in a mixture from their sizes, as `weight * size ** (1 / temperature)`.

    A temperature of 1 gives every sample of data sets of equal weight the same probability; a higher one moves the
    shares towards those of the weights alone.

    Args:
        lengths: The number of samples of each data set.
        weights: The weight of each data set.
        temperature: The temperature, above 0; None for the weights alone.

    Returns:
        The weight of each data set in the mixture.
    """
    if temperature is None:
        return list(weights)
    largest = max(*lengths, 1)  # so that no power overflows
    return [weight * (length / largest) ** (1 / temperature) for length, weight in zip(lengths, weights, strict=True)]


def steps_of(epochs: float, samples: int, images: int) -> int:
    """Return the number of steps that draw as many images as some epochs have, rounded up.

    Args:
        epochs: The number of epochs, each of as many images as all data sets have together.
        samples: The number of samples of all data sets together.
        images: The number of images of one step, in all processes together.

    Returns:
        The number of steps, at least 1.
    """
    return max(math.ceil(epochs * samples / images), 1)


def draws(lengths: Sequence[int], weights: Sequence[float], seed: int) -> Iterator[Draw]:
    """Yield samples of a mixture endlessly; each data set has the share of its weight in the long run.

    Every data set is shuffled for each of its epochs, and drawn completely before any of its samples repeats.

    Args:
        lengths: The number of samples of each data set.
        weights: The weight of each data set.
        seed: The seed of the run.

    Yields:
        The draws.

    Raises:
        InputError: A data set is empty, or there is none.
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
    """Yield all samples of one data set endlessly, in a new order each epoch.

    Args:
        length: The number of samples.
        seed: The seed of the run.
        source: The number of the data set.

    Yields:
        The draws.
    """
    for epoch in itertools.count():
        order = list(range(length))
        random.Random(f"order/{seed}/{source}/{epoch}").shuffle(order)
        yield from (Draw(source, index, epoch) for index in order)


def batches(
    order: Iterator[Draw], size: int, *, start: int, stop: int, rank: int = 0, world: int = 1
) -> Iterator[list[Draw]]:
    """Yield the batches of one process.

    Batch n of all processes together takes the n-th `size * world` draws, so that every draw belongs to exactly one
    process. Draws before `start` are skipped without loading data.

    Args:
        order: The draws of all processes.
        size: Samples per batch of one process.
        start: The first batch.
        stop: The batch behind the last one.
        rank: The number of the process.
        world: The number of processes.

    Yields:
        The draws of each batch.
    """
    order = itertools.islice(order, start * size * world, None)
    for _ in range(start, stop):
        together = list(itertools.islice(order, size * world))
        yield together[rank * size : (rank + 1) * size]
