"""Which frames of a recording are asked for."""

from __future__ import annotations

import math

from scenekit.errors import InputError, repr_of


def check_range(start: float | None, stop: float | None, every: int) -> None:
    """Check which frames of a recording are asked for.

    Args:
        start: Seconds at which they begin, or None.
        stop: Seconds before which they end, or None.
        every: Every which one.

    Raises:
        InputError: A number is out of range, or there can be no such frames.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise InputError(f"every: expected a whole number from 1, got {repr_of(every)}")
    for name, value in (("start", start), ("stop", stop)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name}: expected seconds from 0, got {repr_of(value)}")
    if stop is not None and stop <= (start or 0):
        raise InputError(f"stop: expected more than start ({start or 0:g} s), got {stop:g} s")
