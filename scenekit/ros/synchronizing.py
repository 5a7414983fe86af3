"""Messages of several topics that belong to one time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from scenekit.errors import InputError
from scenekit.ros.headers import SECOND, Header
from scenekit.ros.opening import BagNotes, Logged, note_damage

T = TypeVar("T")

LATE = SECOND
"""Nanoseconds of the recording that an image waits for what belongs to it."""


@dataclass(frozen=True)
class Dated(Generic[T]):
    """Something with its header."""

    header: Header
    """When and where it was measured."""
    logged: int
    """Nanoseconds at which it was recorded."""
    value: T
    """What it is."""


@dataclass(frozen=True)
class Together:
    """An image with the nearest message of each other topic."""

    image: Dated[Any]
    """The image."""
    others: Mapping[str, Dated[Any]]
    """Messages by topic; a topic without one within the tolerance is absent."""


@dataclass
class Synchronizer:
    """Finds, for each image, the message of each other topic whose stamp is nearest.

    An image waits until every topic has a message that is not earlier, at most `LATE` of the recording.
    """

    topic: str
    """Topic of the images."""
    others: tuple[str, ...]
    """The other topics."""
    tolerance: int
    """Largest difference of stamps, in nanoseconds."""
    notes: BagNotes
    """Gets a line about the first message of a topic that is damaged."""
    _waiting: deque[Dated[Any]] = field(default_factory=deque)
    _held: dict[str, deque[Dated[Any]]] = field(default_factory=dict)

    def run(self, messages: Iterable[Logged]) -> Iterator[Together]:
        """Yield the images with what belongs to them.

        Args:
            messages: Messages of all topics in the order in which they were recorded.

        Yields:
            Every image, in its order.
        """
        self._held = {topic: deque() for topic in self.others}
        for one in messages:
            try:
                message = one.message()
            except InputError as error:
                note_damage(self.notes, one.topic, error)
                continue
            dated = Dated(Header.of(message, one.time), one.time, message)
            if one.topic == self.topic:
                self._waiting.append(dated)
            if one.topic in self._held:
                self._held[one.topic].append(dated)
            while self._waiting and self._is_ready(self._waiting[0], one.time):
                yield self._taken()
        while self._waiting:
            yield self._taken()

    def _is_ready(self, image: Dated[Any], now: int) -> bool:
        newest = (held[-1].header.stamp if held else None for held in self._held.values())
        return now - image.logged > LATE or all(stamp is not None and stamp >= image.header.stamp for stamp in newest)

    def _taken(self) -> Together:
        """Return the next image; messages too early for it are dropped, unless they are recent, as stamps may jump."""
        image = self._waiting.popleft()
        found = {}
        for topic, held in self._held.items():
            early, old = image.header.stamp - self.tolerance, image.logged - LATE
            while len(held) > 1 and held[0].header.stamp < early and held[0].logged < old:
                held.popleft()
            near = min(held, key=lambda one: abs(one.header.stamp - image.header.stamp), default=None)
            if near is not None and abs(near.header.stamp - image.header.stamp) <= self.tolerance:
                found[topic] = near
        return Together(image, found)
