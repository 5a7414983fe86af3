"""Transforms between frames over time, from the messages of /tf and /tf_static.

A pose [4 4] moves points from one frame to another. Between two messages translations are interpolated linearly and
rotations along the shortest arc.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from scenekit.errors import InputError, listed
from scenekit.ops.poses import between
from scenekit.ros.headers import SECOND, Header

EXTRAPOLATION = 0.1
"""Seconds that a transform may be used before its first and after its last message."""

SHOWN = 30
"""How many frames an error lists."""

Numbers: TypeAlias = Sequence[float | int] | np.ndarray

Pose = Float[np.ndarray, "4 4"]


class UnknownTransformError(InputError):
    """Two frames are connected, but not at the time that is asked for."""


@dataclass
class _Track:
    """The pose of a frame in its parent over time."""

    parent: str
    static: bool
    poses: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    stamps: list[int] = field(default_factory=list)
    before: int | None = None
    after: int | None = None

    def add(self, stamp: int, pose: tuple[np.ndarray, np.ndarray], span: tuple[float, float]) -> None:
        """Add a pose; outside of a span only the nearest one on each side is kept."""
        if stamp < span[0]:
            if self.before is not None and stamp < self.before:
                return
            self._drop(self.before)
            self.before = stamp
        elif stamp > span[1]:
            if self.after is not None and stamp > self.after:
                return
            self._drop(self.after)
            self.after = stamp
        self.poses[stamp] = pose

    def _drop(self, stamp: int | None) -> None:
        if stamp is not None:
            del self.poses[stamp]
            self.stamps = []

    def sorted_stamps(self) -> list[int]:
        if len(self.stamps) != len(self.poses):
            self.stamps = sorted(self.poses)
        return self.stamps


class TransformBuffer:
    """Frames that are connected to a tree, with their poses over time.

    ```python
    buffer = TransformBuffer()
    buffer.add("map", "base_link", stamp, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    buffer.lookup("map", "base_link", stamp)  # moves points of base_link to map
    ```

    Args:
        extrapolation: Seconds that a transform may be used before its first and after its last message.
        span: The first and the last time of interest, in nanoseconds: of poses before and after it only the nearest are
            kept, so that a long recording needs no more memory than the part of it that is read.
    """

    def __init__(self, extrapolation: float = EXTRAPOLATION, span: tuple[float, float] = (-math.inf, math.inf)) -> None:
        self.extrapolation, self.span = extrapolation, span
        self._tracks: dict[str, _Track] = {}

    def add(
        self,
        parent: str,
        child: str,
        stamp: int,
        translation: Numbers,
        quaternion: Numbers,
        static: bool = False,
    ) -> None:
        """Add the pose of a frame in its parent; a frame that gets another parent forgets the one before.

        Args:
            parent: Name of the parent.
            child: Name of the frame.
            stamp: Nanoseconds.
            translation: Position in metres.
            quaternion: x, y, z, w; of any length above 0.
            static: Whether the pose holds at all times.

        Raises:
            InputError: The pose is not finite, or the quaternion is 0.
        """
        place, turn = np.array(translation, float), np.array(quaternion, float)
        if not (np.isfinite(place).all() and np.isfinite(turn).all() and np.linalg.norm(turn) > 0):
            raise InputError(f"the transform from {child!r} to {parent!r} at {stamp / SECOND:.3f} s is no pose")
        track = self._tracks.get(child)
        if track is None or track.parent != parent or track.static != static:
            track = self._tracks[child] = _Track(parent, static)
        pose = (place, turn / np.linalg.norm(turn))
        if static:
            track.poses[0] = pose
        else:
            track.add(stamp, pose, self.span)

    def add_message(self, message: Any, static: bool = False) -> None:
        """Add the transforms of a message TFMessage.

        Args:
            message: The message.
            static: Whether it is one of /tf_static.
        """
        for one in message.transforms:
            header, move, turn = Header.of(one), one.transform.translation, one.transform.rotation
            child = str(one.child_frame_id).lstrip("/")
            place = (move.x, move.y, move.z)
            self.add(header.frame_id, child, header.stamp, place, (turn.x, turn.y, turn.z, turn.w), static)

    @property
    def frames(self) -> list[str]:
        """Names of all frames, in alphabetical order."""
        return sorted({*self._tracks, *(track.parent for track in self._tracks.values())})

    def root(self, frame: str) -> str:
        """Return the frame at the top of the tree that a frame is in.

        Args:
            frame: Name of the frame.

        Returns:
            Name of the frame that has no parent; the frame itself where it is unknown.
        """
        return [*self._up(frame)][-1]

    def connected(self, target: str, source: str) -> bool:
        """Return whether two frames are in one tree.

        Args:
            target: Name of a frame.
            source: Name of another one.

        Returns:
            True if a chain of transforms connects them.
        """
        return self.root(target) == self.root(source)

    def lookup(self, target: str, source: str, stamp: int) -> Pose:
        """Return the pose that moves points from one frame to another at a time.

        Args:
            target: Name of the frame of the results.
            source: Name of the frame of the points.
            stamp: Nanoseconds.

        Returns:
            The pose, in metres.

        Raises:
            UnknownTransformError: The frames are connected, but a transform of the chain is not known at the time.
            InputError: The frames are not connected.
        """
        if target != source and not self.connected(target, source):
            frames = listed(self.frames, SHOWN) or "none"
            raise InputError(f"no transforms connect {source!r} with {target!r}; the frames of the bag are: {frames}")
        up, down = [*self._up(source)], [*self._up(target)]
        common = next(frame for frame in up if frame in down)
        forward, back = (self._to_ancestor(start, common, stamp) for start in (source, target))
        pose: Pose = np.linalg.inv(back) @ forward
        pose[3] = (0.0, 0.0, 0.0, 1.0)
        return pose

    def _up(self, frame: str) -> Iterator[str]:
        """Yield a frame and all its ancestors; InputError where they are a circle."""
        seen = [frame]
        yield frame
        while frame in self._tracks:
            frame = self._tracks[frame].parent
            if frame in seen:
                raise InputError(f"the transforms are a circle: {' -> '.join([*seen, frame])}; expected a tree")
            seen.append(frame)
            yield frame

    def _to_ancestor(self, frame: str, ancestor: str, stamp: int) -> Pose:
        """Return the pose of a frame in one of its ancestors."""
        pose = np.eye(4)
        while frame != ancestor:
            track = self._tracks[frame]
            pose = self._at(frame, track, stamp) @ pose
            frame = track.parent
        return pose

    def _at(self, frame: str, track: _Track, stamp: int) -> Pose:
        """Return the pose of a frame in its parent."""
        if track.static:
            return _pose(*track.poses[0])
        stamps = track.sorted_stamps()
        beyond = max(stamps[0] - stamp, stamp - stamps[-1])
        if beyond > self.extrapolation * SECOND:
            side = "before the first" if stamp < stamps[0] else "after the last"
            raise UnknownTransformError(
                f"the transform from {frame!r} to {track.parent!r} is known from {stamps[0] / SECOND:.3f} to"
                f" {stamps[-1] / SECOND:.3f} s; {stamp / SECOND:.3f} s is {beyond / SECOND:.3f} s {side} (limit"
                f" {self.extrapolation:g} s)"
            )
        later = bisect_left(stamps, stamp)
        if beyond >= 0 or stamps[later] == stamp:
            return _pose(*track.poses[stamps[min(later, len(stamps) - 1)]])
        return _between(track, stamps[later - 1], stamps[later], stamp)


def _between(track: _Track, before: int, after: int, stamp: int) -> Pose:
    """Interpolate between two poses."""
    share = (stamp - before) / (after - before)
    return between(_pose(*track.poses[before]), _pose(*track.poses[after]), share)


def _pose(place: np.ndarray, quaternion: np.ndarray) -> Pose:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(quaternion).as_matrix(), place
    return pose
