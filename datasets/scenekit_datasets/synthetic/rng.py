"""Seeded random choices with the same sequence on every platform and in every version.

Python guarantees the sequence of `random.Random.random()` alone, so everything here is derived from it: `randrange`,
`choice`, `gauss` and all of NumPy's distributions may change between versions.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of random choices.

    Args:
        words: Values that determine the stream.
    """

    def __init__(self, *words: object) -> None:
        digest = hashlib.sha256("/".join(str(word) for word in words).encode()).digest()
        self._source = random.Random(int.from_bytes(digest[:8], "big"))

    def unit(self) -> float:
        """Draw uniformly from [0, 1).

        Returns:
            A number.
        """
        return self._source.random()

    def uniform(self, low: float, high: float) -> float:
        """Draw uniformly from [low, high).

        Args:
            low: Lower bound.
            high: Upper bound.

        Returns:
            A number.
        """
        return low + (high - low) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """Draw uniformly from low, ..., high, both included.

        Args:
            low: Least number.
            high: Greatest number.

        Returns:
            A number.
        """
        return low + int(self.unit() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Draw a boolean.

        Args:
            probability: Probability of True.

        Returns:
            True or False.
        """
        return self.unit() < probability

    def sign(self) -> float:
        """Draw a sign.

        Returns:
            1 or -1.
        """
        return 1.0 if self.chance(0.5) else -1.0

    def pick(self, items: Sequence[T]) -> T:
        """Draw an item uniformly.

        Args:
            items: The items.

        Returns:
            One of them.
        """
        return items[int(self.unit() * len(items))]

    def weighted(self, weights: dict[T, float]) -> T:
        """Draw a key in proportion to its weight.

        Args:
            weights: Weights by key.

        Returns:
            One of the keys.
        """
        left = self.unit() * sum(weights.values())
        for item, weight in weights.items():
            left -= weight
            if left < 0:
                return item
        return next(reversed(weights))

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return a shuffled copy (Fisher-Yates).

        Args:
            items: The items.

        Returns:
            The items in random order.
        """
        out = list(items)
        for last in range(len(out) - 1, 0, -1):
            other = self.integer(0, last)
            out[last], out[other] = out[other], out[last]
        return out
