"""The tracks: where each object is expected, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scenekit_plugins.associate.motion import Motion
from scenekit_plugins.associate.objects import Detections, Grid

BOX_NOISE, BOX_SPEED, BOX_DRIFT = 0.05, 1.0, 2.0
"""Standard deviations in units of the larger side of the box: of its center and sides, of their unknown velocity a
second, and of their acceleration a second squared."""

SIDE_SHARE = 0.4
"""How much less sides change than centers."""

PLACE_NOISE, NOISE_PER_METRE, PLACE_SPEED, PLACE_DRIFT = 0.1, 0.05, 1.0, 3.0
"""Standard deviations in metres: of a place, for each metre of distance, of its velocity and its acceleration."""

NEW_LOOK = 0.2
"""Share of the current image in the appearance of a track."""


@dataclass
class Track:
    """One object over time."""

    id: int
    """Its id, -1 until it is confirmed."""
    label: int
    """The label of its last object."""
    hits: int
    """In how many images it has had an object."""
    time: float
    """When it last had one, seconds."""
    box: Motion
    """Center and sides of its box, pixels."""
    place: Motion | None = None
    """Center of its 3D box, metres; None without one."""
    look: Float[np.ndarray, " C"] | None = None
    """Unit vector of its appearance; None without one."""
    grid: Grid | None = None
    """Its last mask, in its box."""

    @classmethod
    def begin(cls, detections: Detections, row: int) -> Track:
        """Start a track.

        Args:
            detections: The objects of an image.
            row: The row of its object.

        Returns:
            The track, not confirmed.
        """
        value = _center_and_sides(detections.boxes[row])
        scale = _scale(value)
        track = cls(
            -1,
            int(detections.labels[row]),
            0,
            detections.time,
            Motion.begin(value, BOX_NOISE * scale, BOX_SPEED * scale),
        )
        track.add(detections, row)
        return track

    def predict(self, seconds: float) -> None:
        """Move on in time.

        Args:
            seconds: How far.
        """
        self.box.predict(seconds, BOX_DRIFT * _scale(self.box.value))
        if self.place is not None:
            self.place.predict(seconds, np.full(3, PLACE_DRIFT))

    @property
    def expected(self) -> Float[np.ndarray, "4"]:
        """The predicted box, xyxy in pixels; its sides are at least one pixel."""
        center, sides = self.box.value[:2], np.maximum(self.box.value[2:], 1.0)
        return np.concatenate((center - sides / 2, center + sides / 2))

    def add(self, detections: Detections, row: int) -> None:
        """Add an object.

        Args:
            detections: The objects of an image.
            row: The row of its object.
        """
        value = _center_and_sides(detections.boxes[row])
        if self.hits:
            self.box.correct(value, BOX_NOISE * _scale(value))
        self.hits += 1
        self.label, self.time, self.grid = int(detections.labels[row]), detections.time, detections.grid(row)
        if detections.places is not None and detections.far is not None and np.isfinite(detections.places[row]).all():
            self._move_to(detections.places[row], float(detections.far[row]))
        if detections.looks is not None and np.isfinite(detections.looks[row]).all():
            look = (
                detections.looks[row]
                if self.look is None
                else self.look + NEW_LOOK * (detections.looks[row] - self.look)
            )
            self.look = look / max(float(np.linalg.norm(look)), 1e-9)

    def _move_to(self, place: Float[np.ndarray, "3"], far: float) -> None:
        noise = np.full(3, PLACE_NOISE + NOISE_PER_METRE * far)
        if self.place is None:
            self.place = Motion.begin(place, noise, np.full(3, PLACE_SPEED))
        else:
            self.place.correct(place, noise)


def _center_and_sides(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    return np.concatenate(((box[:2] + box[2:]) / 2, box[2:] - box[:2]))


def _scale(value: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """Return the unit of the noise of center and sides, in pixels."""
    longest = max(float(value[2:].max()), 1.0)
    return longest * np.array([1.0, 1.0, SIDE_SHARE, SIDE_SHARE])
