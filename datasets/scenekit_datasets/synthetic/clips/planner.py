"""The plan of a clip: what stands where, what moves when, without collisions.

Lengths are in metres, times in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from scenekit_datasets.synthetic.clips.camera import CameraPath
from scenekit_datasets.synthetic.clips.tracks import Track, still
from scenekit_datasets.synthetic.geometry import Vec3, rectangles_overlap, vec
from scenekit_datasets.synthetic.layout import GAP, WEIGHTS, Arrangement, Placed
from scenekit_datasets.synthetic.model import Model
from scenekit_datasets.synthetic.render import Renderer
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.stage import Stage

STEP = 0.125
"""Seconds between the times at which collisions and visibility are checked."""

CAMERA_ROOM = 0.8
"""Objects keep this distance from the camera."""


@dataclass(frozen=True)
class Action:
    """Something that an object does."""

    verb: str
    """What it does, a name of events.VERBS."""
    actor: int
    """Number of the object."""
    start: float
    """When it begins."""
    end: float
    """When it ends."""
    object: int = -1
    """Number of what is pushed, carried, put or taken, -1 for nothing."""
    support: int = -1
    """Number of the chair or table, -1 for none."""
    side: str = ""
    """"left" or "right" for the person's own arm."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A clip before it is rendered."""

    stage: Stage
    """The stage."""
    path: CameraPath
    """The camera."""
    tracks: tuple[Track, ...]
    """All objects; the place of each is its number."""
    actions: tuple[Action, ...]
    """What happens."""
    duration: float
    """Length of the clip."""
    visit: int = 0
    """Which visit it is."""

    @property
    def present(self) -> list[int]:
        """Numbers of the objects that are there."""
        return [number for number, track in enumerate(self.tracks) if self.visit in track.visits]

    def renderer(self, time: float) -> Renderer:
        """Prepare the scene at a time.

        Args:
            time: Seconds.

        Returns:
            The scene with the objects of `present`, in their order.
        """
        stage = replace(self.stage, view=self.path.at(time))
        return Renderer(stage, [self.tracks[number].at(time) for number in self.present])


class Planner:
    """Adds still and moving objects to a clip, none of which go through each other.

    Args:
        dice: Source of random choices.
        stage: The stage.
        path: The camera.
        duration: Length of the clip.
    """

    def __init__(self, dice: Dice, stage: Stage, path: CameraPath, duration: float) -> None:
        self.dice, self.stage, self.path, self.duration = dice, stage, path, duration
        self.arrangement = Arrangement(dice, stage)
        self.tracks: list[Track] = []
        self.actions: list[Action] = []
        self.times = [STEP * i for i in range(int(duration / STEP) + 1)]

    def furnish(self, count: int) -> None:
        """Add still objects.

        Args:
            count: How many are drawn; those without room are left out.
        """
        persons = 1 if self.dice.chance(0.25) else 0
        wishes = ["person"] * persons + [self.dice.weighted(WEIGHTS) for _ in range(count - persons)]
        for category in sorted(wishes, key=lambda name: name not in ("person", "table", "car", "chair", "lamp")):
            self.arrangement.add(category)
        self.keep_clear(self.arrangement.placed)
        for placed in self.arrangement.placed:
            raised = placed.host >= 0
            touches = {placed.host} if raised else set()
            self.tracks.append(Track(placed.model.category, [(0.0, still(placed))], touches, raised=raised))

    def keep_clear(self, placed: list[Placed]) -> None:
        """Reduce the camera's way until it keeps clear of still objects.

        Args:
            placed: The objects.
        """
        for _ in range(12):
            ways = [self.path.at(time) for time in self.times[::4]]
            if not any(_too_near(_square(view.x, view.y), one.base) for view in ways for one in placed):
                return
            self.path = replace(self.path, amount=self.path.amount * 0.75)

    def stand(self, model: Model) -> int:
        """Add a still object upright on the ground.

        Args:
            model: The model.

        Returns:
            Its number, -1 without room.
        """
        index = self.arrangement.on_ground(model, tip=0.0)
        if index < 0:
            return -1
        track = Track(model.category, [(0.0, still(self.arrangement.placed[index]))])
        if self.clear([track]):
            return self.add(track)
        self.arrangement.placed.pop()
        return -1

    def add(self, track: Track) -> int:
        """Add a track.

        Args:
            track: The track.

        Returns:
            Its number.
        """
        self.tracks.append(track)
        return len(self.tracks) - 1

    def still_objects(self) -> list[tuple[int, Placed]]:
        """Return the objects on the ground that never move.

        Returns:
            (number, object).
        """
        steady = [(n, t) for n, t in enumerate(self.tracks) if t.figure is None and len(t.pieces) == 1 and not t.raised]
        return [(number, track.at(0.0)) for number, track in steady if track.at(0.0) is track.at(self.duration)]

    def clear(self, tracks: list[Track]) -> bool:
        """Return whether new tracks stay in the room and keep apart from all others and from each other.

        Args:
            tracks: The tracks; they may touch each other, and what they name.

        Returns:
            True if so.
        """
        return all(self._clear_at(tracks, time) for time in self.times)

    def _clear_at(self, tracks: list[Track], time: float) -> bool:
        view = self.path.at(time)
        for track in tracks:
            base = track.base(time)
            if not self._in_room(base, np.array([view.x, view.y])):
                return False
            for number, other in enumerate(self.tracks):
                if number in track.touches or other.raised or not other.visits:
                    continue
                if _too_near(base, other.base(time)):
                    return False
        return True

    def _in_room(self, base: Float[np.ndarray, "4 2"], camera: Float[np.ndarray, "2"]) -> bool:
        if np.hypot(*(base - camera).T).min() < CAMERA_ROOM or base[:, 1].min() < -1.0:
            return False
        if self.stage.walls is None:
            return True
        left, right, back, _ = self.stage.walls
        low, high = base.min(0), base.max(0)
        return bool(low[0] > left + 0.03 and high[0] < right - 0.03 and high[1] < back - 0.03)

    def spot(self, inside: bool) -> Vec3:
        """Draw a place on the ground.

        Args:
            inside: Whether it is in the image, or beside what the image shows.

        Returns:
            The place.
        """
        stage, dice = self.stage, self.dice
        y = stage.near + 0.2 + (stage.far - stage.near - 0.2) * dice.unit()
        half = y * 0.5 / stage.view.focal
        x = dice.uniform(-0.8, 0.8) * half if inside else dice.sign() * (half + dice.uniform(0.6, 1.2))
        return vec(x, y, 0.0)

    def course(self, longest: float) -> tuple[Vec3, float, float]:
        """Draw a straight way: within the image, into it, out of it, or behind an object.

        Args:
            longest: Length that it has at most.

        Returns:
            (start, direction, length).
        """
        dice = self.dice
        kind = dice.weighted({"within": 0.4, "into": 0.15, "out of": 0.15, "behind": 0.5})
        if kind == "behind" and self.still_objects():
            return self._behind(longest)
        begin, end = self.spot(kind != "into"), self.spot(kind != "out of")
        gap = end - begin
        length = float(np.hypot(gap[0], gap[1]))
        yaw = math.atan2(gap[1], gap[0])
        if length > longest and kind == "into":
            begin = end - gap * (longest / length)
        return begin, yaw, min(length, longest)

    def _behind(self, longest: float) -> tuple[Vec3, float, float]:
        """Draw a way that passes behind an object as the camera sees it."""
        dice = self.dice
        _, placed = dice.pick(self.still_objects())
        center = np.append(placed.base.mean(0), 0.0)
        size = float(np.hypot(*(placed.base - placed.base.mean(0)).T).max())
        away = center / np.linalg.norm(center)
        middle = center + away * (size + dice.uniform(0.3, 0.8))
        yaw = math.atan2(away[1], away[0]) + dice.sign() * (math.pi / 2 + dice.uniform(-0.35, 0.35))
        length = min(dice.uniform(1.5, 3.2), longest)
        return middle - vec(math.cos(yaw), math.sin(yaw), 0.0) * length * dice.uniform(0.4, 0.6), yaw, length

    def slot(self, length: float) -> tuple[float, float]:
        """Draw when something happens.

        Args:
            length: How long it takes.

        Returns:
            (start, end).
        """
        first, last = 0.15, max(self.duration - length - 0.15, 0.16)
        start = self.dice.uniform(first, last)
        return start, start + length


def _square(x: float, y: float) -> Float[np.ndarray, "4 2"]:
    """Return the room around a camera."""
    half = CAMERA_ROOM * 0.7
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    return np.asarray(corners + np.array([x, y]))


def _too_near(one: Float[np.ndarray, "4 2"], two: Float[np.ndarray, "4 2"]) -> bool:
    gap = np.hypot(*(one.mean(0) - two.mean(0)))
    reach = np.hypot(*(one[0] - one[2])) / 2 + np.hypot(*(two[0] - two[2])) / 2 + GAP
    return bool(gap < reach and rectangles_overlap(one, two, GAP))
