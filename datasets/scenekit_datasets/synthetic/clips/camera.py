"""Camera paths: still, panning, moving or circling, some with the noise of a hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.stage import Stage, View

KINDS = {"still": 0.25, "pan": 0.2, "dolly": 0.2, "slide": 0.15, "orbit": 0.2}
"""Probability of each kind: fixed, turning on the spot, forwards or back, sideways, around the objects."""

RANGES = {"still": (0.0, 0.0), "pan": (0.12, 0.4), "dolly": (0.3, 0.8), "slide": (0.3, 0.9), "orbit": (0.2, 0.55)}
"""How far each kind goes: radians for pan and orbit, metres for the others."""

WIDE = {"slide": (1.0, 1.6), "orbit": (0.6, 0.95)}
"""Paths that show the objects from several sides."""

MARGIN = 0.35
"""Distance in metres that the camera keeps from walls."""


def ease(part: float) -> float:
    """Compute a smooth start and stop.

    Args:
        part: Part of the time, clamped to 0..1.

    Returns:
        Part of the way.
    """
    u = min(max(part, 0.0), 1.0)
    return u * u * (3.0 - 2.0 * u)


@dataclass(frozen=True)
class CameraPath:
    """A moving camera."""

    view: View
    """The camera in the middle of the way."""
    kind: str
    """One of KINDS."""
    amount: float
    """Signed length of the way, in radians or metres."""
    pivot: float
    """Distance in metres of the point that an orbit circles."""
    duration: float
    """Seconds that the way takes."""
    shake: tuple[tuple[float, float, float], ...]
    """(amplitude, frequency in Hz, phase) of the noise in x, y, height (metres), yaw and pitch (radians)."""

    def at(self, time: float) -> View:
        """Return the camera at a time.

        Args:
            time: Seconds.

        Returns:
            The camera.
        """
        way = self.amount * (ease(time / self.duration) - 0.5)
        x = y = yaw = 0.0
        if self.kind == "orbit":
            x, y, yaw = self.pivot * math.sin(way), self.pivot * (1.0 - math.cos(way)), way
        elif self.kind == "pan":
            yaw = way
        elif self.kind == "dolly":
            y = way
        elif self.kind == "slide":
            x = way
        noise = [a * math.sin(2.0 * math.pi * f * time + p) for a, f, p in self.shake] or [0.0] * 5
        return replace(
            self.view,
            x=x + noise[0],
            y=y + noise[1],
            height=self.view.height + noise[2],
            yaw=yaw + noise[3],
            pitch=self.view.pitch + noise[4],
        )


def random_path(dice: Dice, stage: Stage, duration: float, wide: bool = False) -> CameraPath:
    """Draw a camera path that stays within the room.

    Args:
        dice: Source of random choices.
        stage: The stage.
        duration: Length of the clip in seconds.
        wide: Whether it shows the objects from several sides.

    Returns:
        The path.
    """
    kind = dice.pick(tuple(WIDE)) if wide else dice.weighted(KINDS)
    amount = dice.sign() * dice.uniform(*(WIDE if wide else RANGES)[kind])
    steady = dice.chance(0.6 if kind == "still" else 0.3)
    sizes = (0.006, 0.004, 0.005, 0.004, 0.003)
    shake = tuple((a * dice.uniform(0.4, 1.2), dice.uniform(0.4, 1.3), dice.uniform(0.0, 6.28)) for a in sizes)
    pivot = (stage.near + stage.far) / 2
    path = CameraPath(stage.view, kind, amount, pivot, duration, () if steady else shake)
    while not _within(path, stage):
        path = replace(path, amount=path.amount * 0.8)
    return path


def _within(path: CameraPath, stage: Stage) -> bool:
    if stage.walls is None:
        return True
    ends = [path.at(time) for time in (0.0, path.duration)]
    return all(stage.walls[0] + MARGIN < view.x < stage.walls[1] - MARGIN for view in ends)


def pose_of(view: View) -> Float[np.ndarray, "4 4"]:
    """Return the pose of a camera: camera to world, in metres.

    The axes of the world are x to the right and y away from the camera as a clip is laid out, and z up; the ground is
    at z = 0.

    Args:
        view: The camera.

    Returns:
        The matrix.
    """
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = view.rotation.T, view.position
    return out
