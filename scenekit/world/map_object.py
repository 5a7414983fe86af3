"""An object of a map: what its sightings come to.

Letters: K sightings that are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from scenekit.world.fusion import covariances, fused_rotation, robust_mean, weighted_median
from scenekit.world.options import WorldOptions
from scenekit.world.sightings import Sightings, Solid, Votes

MOVED = 3
"""Sightings of a track elsewhere, one after the other, from which on its object has moved."""

MOST_NAMES = 64
"""Names of a key that an object keeps votes for, the ones with the most."""


@dataclass(frozen=True, eq=False)
class Kept:
    """The sightings of an object that are kept."""

    center: Float[np.ndarray, "K 3"]
    """Centers in the world, in metres."""
    size: Float[np.ndarray, "K 3"]
    """Width, height and length in metres."""
    rotation: Float[np.ndarray, "K 3 3"]
    """World from object."""
    ray: Float[np.ndarray, "K 3"]
    """Directions from the camera."""
    distance: Float[np.ndarray, " K"]
    """Metres from the camera."""
    score: Float[np.ndarray, " K"]
    """Scores, 0 to 1."""

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def of(cls, sightings: Sightings, number: int) -> Kept:
        """Return one sighting."""
        rows = slice(number, number + 1)
        placed = sightings.center[rows], sightings.size[rows], sightings.rotation[rows]
        return cls(*placed, sightings.ray[rows], sightings.distance[rows], sightings.scores[rows])

    def __getitem__(self, rows: slice) -> Kept:
        return Kept(*(part[rows] for part in self.parts))

    def joined(self, other: Kept, most: int) -> Kept:
        """Return both, without the least certain ones: those from afar, and with low scores."""
        parts = [np.concatenate((mine, theirs)) for mine, theirs in zip(self.parts, other.parts, strict=True)]
        whole = Kept(*parts)
        if len(whole) <= most:
            return whole
        certainty = whole.score / (0.1 + whole.distance) ** 2
        rows = np.sort(np.argsort(-certainty, kind="stable")[:most])
        return Kept(*(part[rows] for part in whole.parts))

    @property
    def camera(self) -> Float[np.ndarray, "3"]:
        """From where the object was sighted on average, in metres."""
        return np.asarray((self.center - self.ray * self.distance[:, None]).mean(axis=0))

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """All columns."""
        return self.center, self.size, self.rotation, self.ray, self.distance, self.score


@dataclass(frozen=True, eq=False)
class MapObject:
    """An object of a map, as all sightings of it together have it."""

    identity: int
    """Its number in the map, which stays; numbers of merged objects are not used again."""
    label: str
    """Its class: the one with the most votes."""
    position: Float[np.ndarray, "3"]
    """Its center in the world, in metres."""
    size: Float[np.ndarray, "3"]
    """Width, height and length in metres: medians of the sightings."""
    rotation: Float[np.ndarray, "3 3"] = field(repr=False)
    """World from object (x forward, y down, z left), the mean modulo the symmetry of the class."""
    score: float
    """The best score of a sighting, 0 to 1."""
    sightings: int
    """Number of scenes that show it."""
    chances: int
    """Number of scenes that had its place in view, as far as cameras and other objects tell; at least `sightings`."""
    first_seen: float
    """Time of the first sighting, in seconds."""
    last_seen: float
    """Time of the last sighting, in seconds."""
    labels: Mapping[str, float] = field(repr=False)
    """Sums of the scores of its sightings, by class."""
    votes: Votes = field(repr=False)
    """Sums of the weights of names (attributes, captions, ...) by the name of their key."""
    weights: Mapping[str, float] = field(repr=False)
    """Sums of the scores of the sightings that carry each of these keys."""
    kept: Kept = field(repr=False)
    """The sightings from which position, size and rotation are computed."""
    tracks: tuple[int, ...] = field(default=(), repr=False)
    """Tracks that it had in scenes; numbers of several streams may be equal."""
    solid: Solid | None = field(default=None, repr=False)
    """The mesh of the best sighting, in the frame of the object."""
    strays: Kept | None = field(default=None, repr=False)
    """The latest sightings of its track, where these are elsewhere: so many in turn, and it has moved."""

    @property
    def diagonal(self) -> float:
        """Length of the diagonal of its box, in metres."""
        return float(np.linalg.norm(self.size))

    def shares(self, key: str) -> dict[str, float]:
        """Return the mean weight of the names of a key.

        Args:
            key: Name of the key, such as "attributes".

        Returns:
            Means over all sightings that carry the key, weighted by their scores, the greatest first; empty where none
            does.
        """
        total = self.weights.get(key, 0.0)
        ranked = sorted(self.votes.get(key, {}).items(), key=lambda vote: -vote[1])
        return {name: weight / total for name, weight in ranked if total > 0}


def first_sighting(identity: int, sightings: Sightings, number: int) -> MapObject:
    """Return a new object with one sighting."""
    score, time = float(sightings.scores[number]), sightings.view.time
    votes, weights = weighted_votes(sightings.votes[number], score)
    track = sightings.tracks[number]
    return MapObject(
        identity,
        sightings.labels[number],
        sightings.center[number],
        sightings.size[number],
        sightings.rotation[number],
        score,
        1,
        1,
        time,
        time,
        {sightings.labels[number]: score},
        votes,
        weights,
        Kept.of(sightings, number),
        () if track is None else (track,),
        sightings.solids.get(number),
    )


def weighted_votes(votes: Votes, score: float) -> tuple[Votes, dict[str, float]]:
    """Return the votes of a sighting times its score, and the sum of the scores by key."""
    weighted = {key: {name: score * weight for name, weight in names.items()} for key, names in votes.items()}
    return weighted, dict.fromkeys(votes, score)


def merged(
    mine: MapObject, other: MapObject, symmetry: Mapping[str, int], options: WorldOptions, shared: int = 0
) -> MapObject:
    """Return one object with the sightings of two; it keeps the identity of the first.

    Args:
        mine: The first one.
        other: The second one.
        symmetry: Symmetry by class, as in `Vocabulary.symmetry`.
        options: What the map is built by.
        shared: Number of scenes that show both.
    """
    labels = summed(mine.labels, other.labels)
    keys = dict.fromkeys((*mine.votes, *other.votes))
    votes = {key: most_named(summed(mine.votes.get(key, {}), other.votes.get(key, {}))) for key in keys}
    sightings = mine.sightings + other.sightings - shared
    ranked = sorted((mine, other), key=lambda item: item.score, reverse=True)
    both = replace(
        mine,
        label=max(labels, key=lambda name: labels[name]),
        score=max(mine.score, other.score),
        sightings=sightings,
        chances=max(mine.chances, other.chances, sightings),
        first_seen=min(mine.first_seen, other.first_seen),
        last_seen=max(mine.last_seen, other.last_seen),
        labels=labels,
        votes=votes,
        weights=summed(mine.weights, other.weights),
        kept=mine.kept.joined(other.kept, options.keep),
        tracks=tuple(dict.fromkeys((*mine.tracks, *other.tracks))),
        solid=next((item.solid for item in ranked if item.solid is not None), None),
    )
    return estimated(both, symmetry, options)


def strayed(
    mine: MapObject, other: MapObject, symmetry: Mapping[str, int], options: WorldOptions
) -> tuple[MapObject, bool]:
    """Return a tracked object after a sighting elsewhere, and whether it has moved there.

    Its position starts anew after `MOVED` such sightings in turn; a single one is an outlier.
    """
    strays = other.kept if mine.strays is None else mine.strays.joined(other.kept, MOVED)
    seen = merged(mine, replace(other, kept=other.kept[:0]), symmetry, options)
    if len(strays) < MOVED:
        return replace(seen, strays=strays), False
    return estimated(replace(seen, kept=strays, strays=None), symmetry, options), True


def estimated(item: MapObject, symmetry: Mapping[str, int], options: WorldOptions) -> MapObject:
    """Return the object with position, size and rotation computed from its sightings."""
    kept = item.kept
    spread = covariances(kept.ray, kept.distance, options.lateral_error, options.ray_error)
    certainty = kept.score / (0.1 + kept.distance)
    rotation, sizes = fused_rotation(kept.rotation, kept.size, certainty, symmetry.get(item.label, 1))
    position = robust_mean(kept.center, kept.score, spread)
    return replace(item, position=position, size=weighted_median(sizes, certainty), rotation=rotation)


def summed(mine: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Return the sums of the weights of all names."""
    return {name: mine.get(name, 0.0) + theirs.get(name, 0.0) for name in dict.fromkeys((*mine, *theirs))}


def most_named(votes: Mapping[str, float]) -> dict[str, float]:
    """Return the names with the most votes."""
    if len(votes) <= 2 * MOST_NAMES:
        return dict(votes)
    return dict(sorted(votes.items(), key=lambda vote: -vote[1])[:MOST_NAMES])
