"""Camera poses over time: files of trajectories, and poses between two of their entries. Letters: T entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.ops.poses import between
from scenekit.structures.moments import Moment, check_pose

TUM, KITTI = 8, 12
"""Numbers in a line of a file of each format."""

UNIT_TOLERANCE = 1e-2
"""How far the length of a quaternion in a file may be from 1."""

END_TOLERANCE = 0.01
"""Seconds before the first and after the last pose in which that pose holds: files have rounded times."""


@dataclass(frozen=True, eq=False)
class Poses:
    """Camera poses over time, each from the camera frame to that of the world, in metres.

    The camera frame is the optical one: x right, y down, z forward. A pose of `base_link` (x forward, z up) is not one
    of its camera: multiply it by the pose of the camera on the robot first.

    ```python
    poses = sk.Poses.load("trajectory.txt")
    world.add(scene, pose=poses.of(scene.moment))
    ```
    """

    times: Float[np.ndarray, " T"]
    """Seconds, increasing; numbers of images where `by_number` is set."""
    matrices: Float[np.ndarray, "T 4 4"]
    """Camera to world."""
    by_number: bool = False
    """Whether `times` count images from 0, as for files without times."""

    def __post_init__(self) -> None:
        if not len(self.times) or len(self.times) != len(self.matrices):
            raise InputError(f"expected a time per pose, at least one, got {len(self.times)} and {len(self.matrices)}")
        late = np.flatnonzero(~(np.diff(self.times) > 0))
        if not np.isfinite(self.times).all() or len(late):
            pair = self.times[late[0] : late[0] + 2].tolist() if len(late) else "one that is not finite"
            raise InputError(f"the times of poses must be finite and increase, got {pair}")

    def __len__(self) -> int:
        return len(self.times)

    def at(self, time: float | int) -> Float[Tensor, "4 4"]:
        """Interpolate the pose at a time: positions linearly, rotations along the shortest turn (Slerp).

        Up to 10 ms before the first pose and after the last one, that pose holds: times in files are rounded.

        Args:
            time: Seconds; the number of an image where `by_number` is set.

        Returns:
            Camera to world.

        Raises:
            InputError: The time is farther before the first pose or after the last one; poses are not extrapolated.
        """
        first, last = float(self.times[0]), float(self.times[-1])
        slack = 0.0 if self.by_number else END_TOLERANCE
        if not first - slack <= time <= last + slack:
            what = "image" if self.by_number else "time"
            raise InputError(
                f"there is no pose for {what} {time:g}: the trajectory covers {first:g} to {last:g}; leave such images"
                " out, or check that both have the same clock"
            )
        time = min(max(time, first), last)
        after = int(np.searchsorted(self.times, time))
        if float(self.times[after]) == time:
            return torch.from_numpy(self.matrices[after].copy())
        share = float((time - self.times[after - 1]) / (self.times[after] - self.times[after - 1]))
        return torch.from_numpy(between(self.matrices[after - 1], self.matrices[after], share))

    def of(self, moment: Moment | None) -> Float[Tensor, "4 4"]:
        """Interpolate the pose of an image of a stream.

        Args:
            moment: When it was taken.

        Returns:
            Camera to world.

        Raises:
            InputError: The moment is unknown, or not covered.
        """
        if moment is None:
            raise InputError(
                "the scene has no moment, so that its pose cannot be looked up; give predict a VideoFrame with"
                " Moment(time, number), or pass the pose itself"
            )
        return self.at(float(moment.number) if self.by_number else moment.time)

    @classmethod
    def load(cls, path: str | Path, times: str | Path | None = None) -> Poses:
        """Read a trajectory: TUM's format, "t x y z qx qy qz qw" in each line, or KITTI odometry's, 3 x 4 numbers.

        Blank lines, and those that begin with "#", are skipped. Numbers are separated by blanks or commas.

        Args:
            path: The file.
            times: A file with a time in seconds in each line, as the times.txt of KITTI odometry; without it poses of
                that format belong to images 0, 1, 2, ...

        Returns:
            The poses.

        Raises:
            InputError: A file cannot be read, or a line is none of these; the message names it.
        """
        lines = list(numbered_lines(path))
        if not lines:
            raise InputError(f"{path}: expected a pose in each line, got none")
        count = len(lines[0][1])
        if count not in (TUM, KITTI):
            raise InputError(
                f"{path}: line {lines[0][0]}: expected 8 numbers (TUM: t x y z qx qy qz qw) or 12 (KITTI odometry),"
                f" got {count}"
            )
        poses = np.stack([pose_of(numbers, count, f"{path}: line {line}") for line, numbers in lines])
        if count == TUM and times is not None:
            raise InputError(f"{path} has a time in each line; leave out {times}")
        if count == KITTI and times is None:
            return cls(np.arange(len(poses), dtype=np.float64), poses, by_number=True)
        clock = np.array([numbers[0] for _, numbers in lines]) if times is None else read_times(times, len(poses))
        try:
            return cls(clock, poses)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def numbered_lines(path: str | Path) -> Iterator[tuple[int, list[float]]]:
    """Yield the numbers of each line that has some, with the number of the line, counted from 1."""
    for line, text in enumerate(read_text(path).splitlines(), 1):
        words = text.split("#")[0].replace(",", " ").split()
        if words:
            try:
                yield line, list(map(float, words))
            except ValueError:
                raise InputError(f"{path}: line {line}: expected numbers, got {text.strip()[:60]!r}") from None


def pose_of(numbers: list[float], count: int, place: str) -> Float[np.ndarray, "4 4"]:
    """Return the pose of a line."""
    if len(numbers) != count:
        raise InputError(f"{place}: expected {count} numbers as in the first line, got {len(numbers)}")
    pose = np.eye(4)
    if count == KITTI:
        pose[:3] = np.array(numbers).reshape(3, 4)
    else:
        length = float(np.linalg.norm(numbers[4:]))
        if not abs(length - 1) <= UNIT_TOLERANCE:
            raise InputError(f"{place}: the quaternion qx qy qz qw must have length 1, got {length:g}")
        pose[:3, :3], pose[:3, 3] = Rotation.from_quat(numbers[4:]).as_matrix(), numbers[1:4]
    try:
        check_pose(torch.from_numpy(pose))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return pose


def read_times(path: str | Path, count: int) -> Float[np.ndarray, " T"]:
    """Return the times of a file with one in each line."""
    lines = list(numbered_lines(path))
    if len(lines) != count or any(len(numbers) != 1 for _, numbers in lines):
        raise InputError(f"{path}: expected {count} lines with one time each, got {len(lines)} lines")
    return np.array([numbers[0] for _, numbers in lines])
