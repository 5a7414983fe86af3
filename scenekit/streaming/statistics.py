"""Counts and times of a stream, in bounded memory."""

from __future__ import annotations

import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

KEPT = 10_000
"""Times that are kept for percentiles: up to so many they are exact, beyond that those of a uniform sample."""

TIMES = {
    "decode": "the source gives a frame, in a thread beside the network",
    "wait": "the network waits for a frame",
    "prepare": "reading and resizing the image, choosing the tasks",
    "network": "the pass of the network",
    "postprocess": "building the scene in pixels of the image",
    "end_to_end": "from taking a frame to its scene: prepare, network and postprocess",
    "sink": "the caller works on the scene, until it asks for the next",
    "age": "from when the frame was there to its scene: the time it waited, and end_to_end",
}
"""The times of a frame, and what each one is."""


@dataclass(frozen=True)
class Times:
    """How long a part took, in seconds."""

    count: int
    """Number of frames."""
    mean: float
    """Mean over all frames."""
    p50: float
    """Median."""
    p95: float
    """95th percentile."""
    p99: float
    """99th percentile."""
    longest: float
    """Maximum over all frames."""

    def to_json(self) -> dict[str, Any]:
        """Encode the times as plain JSON, in milliseconds.

        Returns:
            The mapping.
        """
        names = ("mean", "p50", "p95", "p99", "longest")
        return {"count": self.count, **{f"{name}_ms": 1e3 * getattr(self, name) for name in names}}


@dataclass(frozen=True)
class StreamStats:
    """What happened to the frames of a stream so far."""

    read: int
    """Frames that the source gave, damaged ones included."""
    processed: int
    """Frames with a scene."""
    dropped: int
    """Frames in whose place a newer one was taken, and those that waited when the stream was closed."""
    damaged: int
    """Frames with an error in place of their scene, and those that the source skips and counts as `damaged`."""
    seconds: float
    """From the first request for a scene to the last scene."""
    times: Mapping[str, Times]
    """How long the parts took, by the names of `TIMES`."""
    ran: Mapping[str, int]
    """By task, on how many frames it ran."""

    @property
    def rate(self) -> float:
        """Scenes per second; 0 before the first one."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0

    def with_skipped(self, count: int) -> StreamStats:
        """Return the statistics with damaged frames that the source skipped.

        Args:
            count: Their number.

        Returns:
            The statistics.
        """
        return replace(self, read=self.read + count, damaged=self.damaged + count)

    def to_json(self) -> dict[str, Any]:
        """Encode the statistics as plain JSON, with times in milliseconds.

        Returns:
            The mapping.
        """
        return {
            "frames": {
                "read": self.read,
                "processed": self.processed,
                "dropped": self.dropped,
                "damaged": self.damaged,
            },
            "seconds": self.seconds,
            "scenes_per_second": self.rate,
            "times": {name: times.to_json() for name, times in self.times.items()},
            "ran": dict(self.ran),
        }


class Reservoir:
    """Percentiles of a stream of numbers, from a uniform sample of bounded size.

    Args:
        size: How many numbers are kept; as long as there are no more, percentiles are exact.
    """

    def __init__(self, size: int = KEPT) -> None:
        self.count = 0
        self._size = size
        self._sum = self._longest = 0.0
        self._kept = array("d")
        self._random = random.Random(0)

    def add(self, value: float) -> None:
        """Add a number.

        Args:
            value: The number.
        """
        self.count += 1
        self._sum += value
        self._longest = max(self._longest, value)
        if len(self._kept) < self._size:
            self._kept.append(value)
        elif (place := self._random.randrange(self.count)) < self._size:  # as each one before it had this chance
            self._kept[place] = value

    def times(self) -> Times:
        """Return the summary.

        Returns:
            Count, mean, percentiles (interpolated between neighbours) and maximum; zeros if there is no number.
        """
        if not self.count:
            return Times(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        p50, p95, p99 = np.percentile(self._kept, (50, 95, 99)).tolist()
        return Times(self.count, self._sum / self.count, p50, p95, p99, self._longest)


@dataclass(eq=False)
class Recorder:
    """Collects the statistics of a stream."""

    tasks: tuple[str, ...]
    """The tasks that are counted."""
    processed: int = 0
    """Frames with a scene."""
    damaged: int = 0
    """Frames with an error."""
    seconds: float = 0.0
    """Duration so far."""
    ran: dict[str, int] = field(default_factory=dict)
    """How often each task ran."""
    times: dict[str, Reservoir] = field(default_factory=lambda: {name: Reservoir() for name in TIMES})
    """The times of the frames."""

    def add(self, **times: float) -> None:
        """Add times of a frame.

        Args:
            **times: Seconds by their names in `TIMES`.
        """
        for name, seconds in times.items():
            self.times[name].add(seconds)

    def count(self, run: tuple[str, ...]) -> None:
        """Count a frame with a scene.

        Args:
            run: Tasks and stages that ran.
        """
        self.processed += 1
        for name in run:
            if name in self.tasks:
                self.ran[name] = self.ran.get(name, 0) + 1

    def stats(self, read: int, dropped: int) -> StreamStats:
        """Return the statistics so far.

        Args:
            read: Frames that the source gave.
            dropped: Frames that were dropped.

        Returns:
            A copy, which does not change any more.
        """
        times = {name: reservoir.times() for name, reservoir in self.times.items()}
        ran = {name: self.ran.get(name, 0) for name in self.tasks}
        return StreamStats(read, self.processed, dropped, self.damaged, self.seconds, times, ran)
