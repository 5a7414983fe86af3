"""What differs between two visits: objects that moved, appeared or vanished.

Letters: M objects of the earlier map, K objects of the later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from scenekit.errors import InputError
from scenekit.world.association import IMPOSSIBLE, Solids, overlaps, same_class
from scenekit.world.growing import columns_of, in_view
from scenekit.world.map_object import MapObject
from scenekit.world.options import WorldOptions

if TYPE_CHECKING:
    from scenekit.world.world import World

ALIKE = 1.6
"""Largest ratio of the sides of two boxes by which one may be the other, moved."""

OVERLAP = 0.25
"""Smallest IoU by which boxes of two maps are at the same place, though their centers are not."""

DISAGREEMENT = 2.0
"""Metres that weigh as much as attributes that have nothing in common, where it is decided what moved where."""


@dataclass(frozen=True, eq=False)
class Moved:
    """An object that is elsewhere."""

    before: MapObject
    """The object of the earlier map."""
    after: MapObject
    """The object of the later map."""
    distance: float
    """Metres between both centers."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What differs between two maps."""

    same: tuple[Moved, ...]
    """Objects that stayed, with the small distance between both estimates."""
    moved: tuple[Moved, ...]
    """Objects that moved."""
    appeared: tuple[MapObject, ...]
    """Objects of the later map whose place was in view before, and empty."""
    vanished: tuple[MapObject, ...]
    """Objects of the earlier map whose place was in view later, and empty."""
    first_viewed: tuple[MapObject, ...]
    """Objects of the later map whose place was not in view before: they may have been there."""
    not_viewed: tuple[MapObject, ...]
    """Objects of the earlier map whose place was not in view later: they may still be there."""

    def to_json(self) -> dict[str, Any]:
        """Encode the changes as plain JSON.

        Returns:
            Lists of objects with label, identities and positions by kind of change; counts of the others.
        """
        return {
            "moved": [
                {
                    "label": change.after.label,
                    "before": brief(change.before),
                    "after": brief(change.after),
                    "distance": change.distance,
                }
                for change in self.moved
            ],
            **{
                kind: [{"label": item.label, **brief(item)} for item in getattr(self, kind)]
                for kind in ("appeared", "vanished", "first_viewed", "not_viewed")
            },
            "same": len(self.same),
        }


def brief(item: MapObject) -> dict[str, Any]:
    """Return identity and position of an object.

    Args:
        item: The object.

    Returns:
        Its entry, in plain JSON.
    """
    return {"identity": item.identity, "position": item.position.tolist()}


def changes_between(earlier: World, later: World, moved: float) -> Changes:
    """Compare two maps; see `World.diff`.

    Args:
        earlier: The map of the earlier visit.
        later: The map of the later visit.
        moved: Metres from which on an object has moved.

    Returns:
        The changes.

    Raises:
        InputError: The maps cannot be compared.
    """
    check_maps(earlier, later, moved)
    before, after = earlier.objects, later.objects
    stayed = pairs(before, after, place_costs(before, after, moved, later.options))
    old = [item for item in before if item not in {pair.before for pair in stayed}]
    new = [item for item in after if item not in {pair.after for pair in stayed}]
    gone = pairs(old, new, move_costs(old, new))
    old = [item for item in old if item not in {pair.before for pair in gone}]
    new = [item for item in new if item not in {pair.after for pair in gone}]
    seen_later, seen_before = viewed(later, old), viewed(earlier, new)
    return Changes(
        tuple(stayed),
        tuple(gone),
        appeared=chosen(new, seen_before, True),
        vanished=chosen(old, seen_later, True),
        first_viewed=chosen(new, seen_before, False),
        not_viewed=chosen(old, seen_later, False),
    )


def check_maps(earlier: World, later: World, moved: float) -> None:
    """Raise InputError unless two maps can be compared.

    Args:
        earlier: The map of the earlier visit.
        later: The map of the later visit.
        moved: Metres from which on an object has moved.

    Raises:
        InputError: They cannot; the message says why.
    """
    if not moved > 0:
        raise InputError(f"moved is the distance in metres from which on an object has moved, above 0; got {moved}")
    if earlier.options.up != later.options.up:
        raise InputError(
            f"the maps have other directions of up, {earlier.options.up} and {later.options.up}; expected two maps in"
            " one world frame"
        )
    for name, world in (("earlier", earlier), ("later", later)):
        if not world.views:
            raise InputError(f"the {name} map has no scenes, so that nothing is known of it; add scenes to it first")


def chosen(items: Sequence[MapObject], seen: Sequence[bool], value: bool) -> tuple[MapObject, ...]:
    """Return the objects that are in view, or not.

    Args:
        items: Objects.
        seen: Whether the place of each is in view.
        value: Which of both is asked for.

    Returns:
        The objects, in the same order.
    """
    return tuple(item for item, flag in zip(items, seen, strict=True) if flag == value)


def place_costs(
    before: Sequence[MapObject], after: Sequence[MapObject], moved: float, options: WorldOptions
) -> Float[np.ndarray, "M K"]:
    """Return the costs of taking two objects for the same one, where it was.

    Along the ray of sight, both may be off by their expected errors besides. Objects of different classes are the same
    one where they overlap, or have about the same size: detectors confuse classes more often than objects are replaced.

    Args:
        before: Objects of the earlier map.
        after: Objects of the later map.
        moved: Metres from which on an object has moved.
        options: What the later map is built by.

    Returns:
        Costs in metres; `IMPOSSIBLE` for pairs that are not the same.
    """
    mine, theirs, same = columns_of(before), columns_of(after), same_class(columns_of(before), columns_of(after))
    apart, iou = unexplained(before, after, options), overlaps(mine, theirs)
    possible = (apart <= moved) & (same | (iou >= OVERLAP) | (size_ratios(mine, theirs) <= np.log(ALIKE)))
    return np.where(possible, apart - moved * iou + moved * ~same, IMPOSSIBLE)


def unexplained(
    before: Sequence[MapObject], after: Sequence[MapObject], options: WorldOptions
) -> Float[np.ndarray, "M K"]:
    """Return the metres between all centers, less the expected error along the ray of the later one.

    Args:
        before: Objects of the earlier map.
        after: Objects of the later map.
        options: What the later map is built by.

    Returns:
        Metres.
    """
    offset = np.array([[one.position - other.position for other in after] for one in before])
    offset = offset.reshape(len(before), len(after), 3)
    sight = np.array([item.position - item.kept.camera for item in after]).reshape(-1, 3)
    reach = np.linalg.norm(sight, axis=1)
    ray = sight / np.maximum(reach, 1e-9)[:, None]
    along = np.einsum("mki,ki->mk", offset, ray)
    left = np.maximum(np.abs(along) - options.ray_error * reach, 0.0)
    across = offset - along[..., None] * ray
    return np.asarray(np.hypot(np.linalg.norm(across, axis=2), left))


def move_costs(before: Sequence[MapObject], after: Sequence[MapObject]) -> Float[np.ndarray, "M K"]:
    """Return the costs of taking an object for another one that moved: of one class, and of about one size.

    Args:
        before: Objects of the earlier map.
        after: Objects of the later map.

    Returns:
        Costs in metres; `IMPOSSIBLE` for pairs that are not the same.
    """
    mine, theirs = columns_of(before), columns_of(after)
    ratio = size_ratios(mine, theirs)
    unlike = np.array([[disagreement(one, other) for other in after] for one in before]).reshape(ratio.shape)
    possible = same_class(mine, theirs) & (ratio <= np.log(ALIKE))
    return np.where(possible, distances(mine, theirs) + DISAGREEMENT * (unlike + ratio), IMPOSSIBLE)


def size_ratios(mine: Solids, theirs: Solids) -> Float[np.ndarray, "M K"]:
    """Return the logarithm of the largest ratio of the sides of all pairs of boxes, sorted by length.

    Args:
        mine: Boxes of the earlier map.
        theirs: Boxes of the later map.

    Returns:
        Natural logarithms, 0 for boxes of one size.
    """
    sides = [np.log(np.maximum(np.sort(boxes.size, axis=1), 1e-6)) for boxes in (mine, theirs)]
    return np.asarray(np.abs(sides[0][:, None] - sides[1]).max(axis=2, initial=0.0))


def disagreement(one: MapObject, other: MapObject) -> float:
    """Return how much two objects differ in what their sightings say, 0 to 1: one minus the cosine of the votes.

    Args:
        one: An object.
        other: Another one.

    Returns:
        The difference; 0.5 where nothing is said of one of them.
    """
    names = [(key, name) for key in one.votes for name in one.votes[key]]
    names += [(key, name) for key in other.votes for name in other.votes[key]]
    unique = list(dict.fromkeys(names))
    rows = np.array([[item.votes.get(key, {}).get(name, 0.0) for key, name in unique] for item in (one, other)])
    lengths = np.linalg.norm(rows, axis=1)
    return float(1 - rows[0] @ rows[1] / lengths.prod()) if len(unique) and lengths.all() else 0.5


def distances(mine: Solids, theirs: Solids) -> Float[np.ndarray, "M K"]:
    """Return the metres between all centers.

    Args:
        mine: Boxes of the earlier map.
        theirs: Boxes of the later map.

    Returns:
        Metres.
    """
    apart: Float[np.ndarray, "M K"] = np.linalg.norm(mine.center[:, None] - theirs.center, axis=2)
    return apart


def pairs(before: Sequence[MapObject], after: Sequence[MapObject], cost: Float[np.ndarray, "M K"]) -> list[Moved]:
    """Return the assignment with the least cost.

    Args:
        before: Objects of the earlier map.
        after: Objects of the later map.
        cost: Costs of all pairs.

    Returns:
        The pairs that are possible; each object is in one at most.
    """
    rows, columns = linear_sum_assignment(cost)
    return [
        Moved(before[row], after[column], float(np.linalg.norm(before[row].position - after[column].position)))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if cost[row, column] < IMPOSSIBLE
    ]


def viewed(world: World, items: Sequence[MapObject]) -> list[bool]:
    """Return which objects enough scenes of a map would show if they were there: as many as confirm an object.

    A scene with the place in view counts as the share of the scenes that sighted the object in its own map.

    Args:
        world: The map whose scenes count.
        items: Objects of the other map.

    Returns:
        True for those that would be shown.
    """
    places, boxes = columns_of(items), columns_of(world.objects)
    counts = sum((in_view(view, places, boxes).astype(int) for view in world.views), np.zeros(len(items), dtype=int))
    shares = [item.sightings / item.chances for item in items]
    return [count * share >= world.options.confirm for count, share in zip(counts.tolist(), shares, strict=True)]
