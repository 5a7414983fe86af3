"""The clock of a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

USUAL_RATE = 25.0
"""Images a second of a stream that says nothing about them."""


@dataclass
class ForwardClock:
    """The times of a stream whose stamps may repeat or go back: there its clock continues after the image before."""

    step: float
    """Seconds from the image before to one that is not later by its stamp."""
    shift: float = 0.0
    """Seconds that are added to stamps."""
    last: float = -math.inf
    """The time of the image before."""

    def at(self, stamp: float) -> float:
        """Return the time of the next image.

        Args:
            stamp: Its own time in seconds.

        Returns:
            Seconds, later than those of the image before; those after it keep their distance from it.
        """
        if stamp + self.shift <= self.last:
            self.shift = self.last + self.step - stamp
        self.last = stamp + self.shift
        return self.last
