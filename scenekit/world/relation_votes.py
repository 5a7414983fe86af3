"""Relations between the objects of a map: how often scenes state each of them, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from scenekit.world.sightings import Relation

Pair = tuple[int, int]


class Name(NamedTuple):
    """A predicate, and the name of the key that it comes from."""

    predicate: str
    source: str


@dataclass(frozen=True)
class Vote:
    """How often scenes state a relation, and when."""

    count: int
    """Number of scenes."""
    weight: float
    """Sum of its scores."""
    first_seen: float
    """Time of the first of them, in seconds."""
    last_seen: float
    """Time of the last of them, in seconds."""

    def joined(self, other: Vote) -> Vote:
        """Return the sum of both."""
        first, last = min(self.first_seen, other.first_seen), max(self.last_seen, other.last_seen)
        return Vote(self.count + other.count, self.weight + other.weight, first, last)


class RelationVotes:
    """The votes of all scenes on the relations between objects of a map."""

    def __init__(self) -> None:
        self.votes: dict[Pair, dict[Name, Vote]] = {}
        """By (subject, object), identities in the map."""
        self.together: dict[Pair, int] = {}
        """Number of scenes that show both, by identities, the lower one first."""
        self.partners: defaultdict[int, set[int]] = defaultdict(set)
        """With which others each object was sighted."""

    def add(self, numbers: Mapping[int, int], relations: Iterable[Relation], time: float) -> None:
        """Add the votes of one scene.

        Args:
            numbers: The identity of each sighting.
            relations: Relations between sightings.
            time: Time of the scene, in seconds.
        """
        present = sorted(set(numbers.values()))
        for place, first in enumerate(present):
            for second in present[place + 1 :]:
                self.meet(first, second, 1)
        for relation in relations:
            ends = numbers[relation.subject], numbers[relation.object]
            vote = Vote(1, relation.weight, time, time)
            self.vote(ends, Name(relation.predicate, relation.source), vote)

    def meet(self, first: int, second: int, count: int) -> None:
        """Count scenes that show two objects."""
        pair = (min(first, second), max(first, second))
        self.together[pair] = self.together.get(pair, 0) + count
        self.partners[first].add(second)
        self.partners[second].add(first)

    def vote(self, ends: Pair, name: Name, vote: Vote) -> None:
        """Count votes on one relation."""
        if ends[0] != ends[1]:
            named = self.votes.setdefault(ends, {})
            named[name] = vote if name not in named else named[name].joined(vote)
            self.partners[ends[0]].add(ends[1])
            self.partners[ends[1]].add(ends[0])

    def shared(self, first: int, second: int) -> int:
        """Return the number of scenes that show both objects."""
        return self.together.get((min(first, second), max(first, second)), 0)

    def drop(self, identity: int) -> list[tuple[Pair, dict[Name, Vote] | int]]:
        """Remove an object, and return what was counted of it."""
        removed: list[tuple[Pair, dict[Name, Vote] | int]] = []
        for other in sorted(self.partners.pop(identity, ())):
            self.partners[other].discard(identity)
            for pair in ((identity, other), (other, identity)):
                if pair in self.votes:
                    removed.append((pair, self.votes.pop(pair)))
                if pair in self.together:
                    removed.append((pair, self.together.pop(pair)))
        return removed

    def rename(self, old: int, new: int) -> None:
        """Move the votes of one object to another one."""
        for pair, counted in self.drop(old):
            first, second = (new if end == old else end for end in pair)
            if first == second:
                continue
            if isinstance(counted, int):
                self.meet(first, second, counted)
            else:
                for name, vote in counted.items():
                    self.vote((first, second), name, vote)

    def holding(self, share: float) -> Iterator[tuple[Pair, Name, Vote, float]]:
        """Yield the relations that hold.

        Args:
            share: Smallest share of the scenes with both objects that state the relation.

        Yields:
            (subject, object), the name, the votes, and that share.
        """
        for ends, named in sorted(self.votes.items()):
            for name, vote in sorted(named.items(), key=lambda entry: (-entry[1].weight, entry[0])):
                part = min(vote.count / max(self.shared(*ends), vote.count), 1.0)
                if part >= share:
                    yield ends, name, vote, part
