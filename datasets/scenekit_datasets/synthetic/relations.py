"""Relations between objects, from the geometry alone.

Letters: N objects. "Middle" is the center of an object's oriented 3D box.

The rules, for subject A and object B:
  on           straight below A's contact point, B is met within TOUCH of it, and A is not inside B. The contact point
               is A's lowest height under its middle; for a sitting person it is the seat.
  inside       as for on, but B has a cavity, stands upright, and the contact point is below its rim.
  under        straight above the middle of A's top, the first object other than A is B.
  near         neither carries the other, heights overlap, and their ground rectangles are less than CLOSE apart.
  left of, right of, in front of, behind
               neither is on, inside or under the other, the middles are within REACH on the ground plane and at least
               APART in the direction, and that direction exceeds the other by the factor CLEARLY. Sideways is the
               camera's x and must agree with the order in the image; depth is the camera's z, nearer is in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scenekit_datasets.synthetic import textures
from scenekit_datasets.synthetic.annotate import box3d
from scenekit_datasets.synthetic.geometry import Vec3, rectangles_overlap, vec
from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.render import Renderer
from scenekit_datasets.synthetic.vocabulary import PREDICATES

TOUCH = 0.03
CLOSE = 0.35
REACH = 2.5
APART = 0.25
CLEARLY = 1.2
SKIN = 0.02
"""Depth in metres at which probes start inside the object, so that small intersections do not matter."""


@dataclass(frozen=True)
class Contact:
    """The support of an object."""

    support: int
    """Index of an object, GROUND or NOTHING."""
    height: float
    """Height of the contact in metres."""


GROUND, NOTHING = -1, -2


def middle_world(placed: Placed) -> Vec3:
    """Return the center of an object's oriented box.

    Args:
        placed: The object.

    Returns:
        Point in the world, in metres.
    """
    low, high = placed.model.extent
    return np.asarray(placed.turn @ ((low + high) / 2) + placed.place)


def contact_point(placed: Placed) -> Vec3:
    """Return the point on which an object's weight rests.

    Args:
        placed: The object.

    Returns:
        Point in the world, in metres.
    """
    if placed.model.seat is not None:
        return np.asarray(placed.turn @ placed.model.seat + placed.place)
    point = middle_world(placed)
    point[2] = placed.verts[:, 2].min()
    return point


def _probe(renderer: Renderer, index: int, start: Vec3, upwards: bool) -> tuple[int, float]:
    """Return the first owner other than object `index` straight up or down from `start` (world), and its distance.

    The owner is -1 where there is none.
    """
    direction = renderer.rotation[:, 2] * (1.0 if upwards else -1.0)
    origin = renderer.stage.view.rotation @ (start - renderer.stage.view.position)
    gone = 0.0
    while True:
        hit = renderer.tracer.first((origin + direction * gone)[:, None], direction[:, None])
        if hit.triangle[0] < 0:
            return -1, np.inf
        gone += float(hit.distance[0])
        owner = int(renderer.owners[hit.triangle[0]])
        if owner != index:
            return owner, gone
        gone += 1e-3


def contact(renderer: Renderer, index: int) -> Contact:
    """Determine the support of an object.

    Args:
        renderer: The scene.
        index: Index of the object.

    Returns:
        Its support.
    """
    point = contact_point(renderer.objects[index])
    owner, gap = _probe(renderer, index, point + vec(0.0, 0.0, SKIN), upwards=False)
    if owner < 0 or gap > SKIN + TOUCH:
        return Contact(NOTHING, float(point[2]))
    return Contact(owner if owner < renderer.ground else GROUND, float(point[2]))


def ground_below(renderer: Renderer, index: int) -> str | None:
    """Return the stuff that an object stands on.

    Args:
        renderer: The scene.
        index: Index of the object.

    Returns:
        Name of the stuff, None for an object on another one.
    """
    placed, stage = renderer.objects[index], renderer.stage
    if contact(renderer, index).support != GROUND:
        return None
    x, y = contact_point(placed)[:2, None]
    if stage.patch is not None and textures.in_patch(stage.patch, x, y)[0]:
        return stage.patch.kind
    return stage.ground


def _holds(host: Placed, height: float) -> bool:
    """Return whether an object that rests at `height` is inside `host`."""
    if host.model.cavity is None or host.tipped:
        return False
    return height < float(host.verts[:, 2].max()) - TOUCH


def _above(renderer: Renderer, index: int) -> int:
    """Return the object straight above the middle of another's top, or -1."""
    placed = renderer.objects[index]
    start = middle_world(placed)
    start[2] = placed.verts[:, 2].max() - SKIN
    owner, _ = _probe(renderer, index, start, upwards=True)
    return owner if owner < renderer.ground else -1


def _vertical(renderer: Renderer) -> set[tuple[int, str, int]]:
    """Return relations on, inside and under."""
    out = set()
    for index in range(len(renderer.objects)):
        below = contact(renderer, index)
        if below.support >= 0:
            held = _holds(renderer.objects[below.support], below.height)
            out.add((index, "inside" if held else "on", below.support))
        above = _above(renderer, index)
        if above >= 0:
            out.add((index, "under", above))
    return out


def _sideways(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"]) -> str | None:
    """Return left of, right of, in front of or behind for middles `a` and `b` in the camera frame, if clear."""
    across, deep = b[0] - a[0], b[2] - a[2]
    if np.hypot(across, deep) > REACH:
        return None
    if abs(across) >= APART and abs(across) > CLEARLY * abs(deep):
        same_order = (b[0] / b[2] - a[0] / a[2]) * across > 0
        return ("left of" if across > 0 else "right of") if same_order else None
    if abs(deep) >= APART and abs(deep) > CLEARLY * abs(across):
        return "in front of" if deep > 0 else "behind"
    return None


def _near(a: Placed, b: Placed) -> bool:
    low, high = (max(a.verts[:, 2].min(), b.verts[:, 2].min()), min(a.verts[:, 2].max(), b.verts[:, 2].max()))
    return bool(low < high and rectangles_overlap(a.base, b.base, CLOSE))


def relations(renderer: Renderer) -> tuple[tuple[int, str, int], ...]:
    """Determine all relations between objects.

    Args:
        renderer: The scene.

    Returns:
        (subject, predicate, object), sorted by subject, object and predicate.
    """
    objects = renderer.objects
    triples = _vertical(renderer)
    stacked = {(a, b) for a, _, b in triples} | {(b, a) for a, _, b in triples}
    middles = [box3d(renderer.stage, placed)[0] for placed in objects]
    for a in range(len(objects)):
        for b in range(len(objects)):
            if a == b or (a, b) in stacked:
                continue
            direction = _sideways(middles[a], middles[b])
            if direction is not None:
                triples.add((a, direction, b))
            if _near(objects[a], objects[b]):
                triples.add((a, "near", b))
    return tuple(sorted(triples, key=lambda row: (row[0], row[2], PREDICATES.index(row[1]))))
