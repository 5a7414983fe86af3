"""How a map grows: sightings become objects, objects of tracks move, doubles become one.

Letters: K sightings, M objects of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from scenekit.world.association import GATE, IMPOSSIBLE, Solids, assigned, costs, grown_together
from scenekit.world.fusion import FLOOR
from scenekit.world.map_object import MapObject, first_sighting, merged, strayed
from scenekit.world.options import WorldOptions
from scenekit.world.relation_votes import RelationVotes
from scenekit.world.sightings import Sightings
from scenekit.world.views import View


def columns_of(items: Sequence[MapObject]) -> Solids:
    """Return the boxes of objects.

    Args:
        items: Objects of a map, M.

    Returns:
        Their boxes, in the same order.
    """
    labels = [item.label for item in items]
    center, size = (np.array([getattr(item, name) for item in items]).reshape(-1, 3) for name in ("position", "size"))
    return Solids(labels, center, size, np.array([item.rotation for item in items]).reshape(-1, 3, 3))


def in_view(view: View, items: Solids, boxes: Solids) -> Bool[np.ndarray, " M"]:
    """Return which objects a camera has in view, outside of and not behind boxes.

    Args:
        view: The camera.
        items: Boxes of the objects, M.
        boxes: Boxes that may hide them.

    Returns:
        True for those in view.
    """
    seen = view.contains(items.center, 2 * items.half_diagonal)
    if seen.any():
        seen[seen] = ~view.hidden(items.center[seen], boxes.center, boxes.size, boxes.rotation)
    return seen


@dataclass(eq=False)
class Growth:
    """The objects of a map, and how they change with each scene."""

    options: WorldOptions
    """What the map is built by."""
    objects: dict[int, MapObject] = field(default_factory=dict)
    """By identity, in the order of their first sightings."""
    tracks: dict[int, int] = field(default_factory=dict)
    """The identity that each track of the present stream belongs to."""
    next_identity: int = 0
    """The identity of the next object."""
    relations: RelationVotes = field(default_factory=RelationVotes)
    """The votes on relations."""

    def add(self, sightings: Sightings, symmetry: Mapping[str, int]) -> list[int]:
        """Merge the sightings of a scene.

        Args:
            sightings: The sightings, K.
            symmetry: Symmetry by class, as in `Vocabulary.symmetry`.

        Returns:
            The identity of each sighting.
        """
        before = list(self.objects.values())
        visible = in_view(sightings.view, columns_of(before), columns_of(before))
        found = self._matched(sightings)
        identities = [self._updated(sightings, k, found.get(k), symmetry) for k in range(len(sightings))]
        for item, seen in zip(before, visible.tolist(), strict=True):
            if seen or item.identity in found.values():
                now = self.objects[item.identity]
                self.objects[item.identity] = replace(now, chances=max(item.chances + 1, now.sightings))
        self.relations.add(dict(enumerate(identities)), sightings.relations, sightings.view.time)
        replaced = self._merge_doubles(identities, symmetry)
        return [replaced.get(identity, identity) for identity in identities]

    def _matched(self, sightings: Sightings) -> dict[int, int]:
        """Return the identities of the sightings of known objects: by track first, then by place and class."""
        tracked = self._tracked(sightings)
        taken = set(tracked.values())
        order = [identity for identity in self.objects if identity not in taken]
        free = np.array([k for k in range(len(sightings)) if k not in tracked], dtype=np.int64)
        theirs = Solids(sightings.labels, sightings.center, sightings.size, sightings.rotation)[free]
        rows = assigned(self._columns(order), theirs, sightings.view.position, self.options)
        placed = {k: order[row] for k, row in zip(free.tolist(), rows.tolist(), strict=True) if row >= 0}
        return {**tracked, **placed}

    def _tracked(self, sightings: Sightings) -> dict[int, int]:
        """Return the identity of each sighting whose track is known; the best of several that claim one object."""
        found: dict[int, int] = {}
        for k in np.argsort(-sightings.scores, kind="stable").tolist():
            track = sightings.tracks[k]
            identity = None if track is None else self.tracks.get(track)
            if identity is not None and identity not in found.values():
                found[k] = identity
        return found

    def _updated(self, sightings: Sightings, number: int, identity: int | None, symmetry: Mapping[str, int]) -> int:
        """Merge a sighting into an object, or begin a new one; return its identity."""
        track = sightings.tracks[number]
        new = first_sighting(self.next_identity if identity is None else identity, sightings, number)
        if identity is None:
            self.next_identity += 1
            self.objects[new.identity] = new
        elif track is not None and self._elsewhere(identity, new, sightings.view):
            self.objects[identity], moved = strayed(self.objects[identity], new, symmetry, self.options)
            if moved:
                self.relations.drop(identity)
        else:
            old = replace(self.objects[identity], strays=None)
            self.objects[identity] = merged(old, new, symmetry, self.options)
        if track is not None:
            self.tracks[track] = new.identity
        return new.identity

    def _elsewhere(self, identity: int, new: MapObject, view: View) -> bool:
        """Return whether a tracked sighting is not where its object was."""
        mine = self._columns([identity])
        theirs = replace(columns_of([new]), labels=mine.labels)
        return bool(costs(mine, theirs, view.position, self.options)[0, 0] >= IMPOSSIBLE)

    def _merge_doubles(self, identities: Sequence[int], symmetry: Mapping[str, int]) -> dict[int, int]:
        """Merge objects that have grown together; return the identity of each merged one."""
        replaced: dict[int, int] = {}
        for identity in dict.fromkeys(identities):
            identity = replaced.get(identity, identity)
            while (double := self._double_of(identity)) is not None:
                keep, gone = sorted((identity, double))
                shared = self.relations.shared(keep, gone)
                pair = self.objects[keep], self.objects.pop(gone)
                self.objects[keep] = merged(*pair, symmetry, self.options, shared)
                self.relations.rename(gone, keep)
                self.tracks = {track: keep if held == gone else held for track, held in self.tracks.items()}
                replaced = {old: keep if now == gone else now for old, now in replaced.items()} | {gone: keep}
                identity = keep
        return replaced

    def _double_of(self, identity: int) -> int | None:
        """Return another object that is the same one, if any."""
        item, order = self.objects[identity], [other for other in self.objects if other != identity]
        others = self._columns(order)
        apart = np.linalg.norm(others.center - item.position, axis=1)
        error = GATE * (FLOOR + self.options.ray_error * item.kept.distance.mean())
        near = np.flatnonzero(apart < others.half_diagonal + item.diagonal / 2 + error)
        if not len(near):
            return None
        shared = np.array([self._share_together(item, self.objects[order[row]]) for row in near.tolist()])
        doubles = grown_together(columns_of([item]), others[near], shared, item.kept.camera, self.options)
        return order[int(near[doubles.argmax()])] if doubles.any() else None

    def _share_together(self, item: MapObject, other: MapObject) -> float:
        """Return the share of the sightings of the rarer one in scenes that show both."""
        return self.relations.shared(item.identity, other.identity) / min(item.sightings, other.sightings)

    def _columns(self, identities: Sequence[int]) -> Solids:
        return columns_of([self.objects[identity] for identity in identities])
