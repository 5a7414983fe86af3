"""Association of objects with tracks by an optimal assignment, image by image.

As ByteTrack (Zhang et al., 2022), objects of low scores are matched last and begin no tracks. Letters: N objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from scenekit.scene import Scene
from scenekit.tracking import Tracker
from scenekit_plugins.associate.config import AssociateConfig
from scenekit_plugins.associate.objects import Detections
from scenekit_plugins.associate.similarity import overlaps, similarity
from scenekit_plugins.associate.tracks import Track

ROUNDING = 1e-6
"""Seconds by which times may be off."""

Measure = Callable[[Sequence[Track], Detections, AssociateConfig], Float[np.ndarray, "T N"]]


class Associate(Tracker):
    """Tracks that predict where their objects are, and get those that fit best.

    Args:
        config: Weights and limits.
    """

    def __init__(self, config: AssociateConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Reset the tracker, so that another stream can begin."""
        self.tracks: list[Track] = []
        self.time: float | None = None
        self.in_world = False
        self.count = 0

    def update(self, scene: Scene) -> Int[Tensor, " N"]:
        """Track the objects of the next image.

        Args:
            scene: The scene.

        Returns:
            Ids, -1 for what is not confirmed.
        """
        detections = Detections.of(scene)
        is_first = self.time is None
        self.tracks = [track for track in self.tracks if self._lives(track, detections.time)]
        self._predict(detections)
        owners = self._matched(detections)
        born = [row for row in self._free(owners, detections) if detections.scores[row] >= self.config.birth]
        for row in born:
            self.tracks.append(Track.begin(detections, row))
            owners[row] = self.tracks[-1]
        self._confirm([track for track in owners if track is not None], is_first)
        self.tracks = [track for track in self.tracks if track.id >= 0 or track.time == detections.time]
        return torch.tensor([-1 if track is None else track.id for track in owners], dtype=torch.int64)

    def _lives(self, track: Track, time: float) -> bool:
        """Return whether a track goes on: it had an object in the image before, or not long ago."""
        return track.time == self.time or time - track.time <= self.config.lost + ROUNDING

    def _predict(self, detections: Detections) -> None:
        """Move all tracks on to the time of an image; places of another frame of coordinates are forgotten."""
        if detections.in_world != self.in_world:
            for track in self.tracks:
                track.place = None
        seconds = 0.0 if self.time is None else detections.time - self.time
        for track in self.tracks:
            track.predict(seconds)
        self.time, self.in_world = detections.time, detections.in_world

    def _matched(self, detections: Detections) -> list[Track | None]:
        """Return the track of each object, updated with it; None for objects without one."""
        owners: list[Track | None] = [None] * len(detections)
        high = detections.tracked & (detections.scores >= self.config.high)
        low = detections.tracked & ~high
        confirmed = [track for track in self.tracks if track.id >= 0]
        new = [track for track in self.tracks if track.id < 0]
        left = self._assign(confirmed, high, detections, owners, similarity, self.config.least)
        self._assign(new, high, detections, owners, similarity, self.config.least)
        self._assign(left, low, detections, owners, overlaps, self.config.least_low)
        return owners

    def _assign(
        self,
        tracks: Sequence[Track],
        among: np.ndarray,
        detections: Detections,
        owners: list[Track | None],
        measure: Measure,
        least: float,
    ) -> list[Track]:
        """Assign free objects to tracks; return the tracks that are left."""
        rows = np.array([row for row in np.flatnonzero(among) if owners[row] is None], dtype=np.int64)
        if not tracks or not len(rows):
            return list(tracks)
        table = measure(tracks, detections, self.config)[:, rows]
        # What is too unlike is worth nothing, so that it never keeps two good pairs apart.
        worth = np.where(table >= least, table + 1e-6, 0.0)
        matched = set()
        for number, column in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
            if worth[number, column] > 0:
                tracks[number].add(detections, int(rows[column]))
                owners[rows[column]] = tracks[number]
                matched.add(int(number))
        return [track for number, track in enumerate(tracks) if number not in matched]

    @staticmethod
    def _free(owners: Sequence[Track | None], detections: Detections) -> list[int]:
        return [row for row, owner in enumerate(owners) if owner is None and detections.tracked[row]]

    def _confirm(self, tracks: Sequence[Track], is_first: bool) -> None:
        """Number tracks that have enough objects."""
        for track in tracks:
            if track.id < 0 and (is_first or track.hits >= self.config.hits):
                track.id, self.count = self.count, self.count + 1
