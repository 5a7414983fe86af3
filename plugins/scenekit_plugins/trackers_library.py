"""The trackers of the package `trackers`, by name: "trackers/bytetrack", "trackers/ocsort", ...

They know boxes and scores alone. Letters: N objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from scenekit.config import Config
from scenekit.errors import InputError, nearest
from scenekit.hooks import TrackerSpec, hookimpl
from scenekit.scene import Scene
from scenekit.tracking import Tracker

CLASSES = {
    "sort": "SORTTracker",
    "bytetrack": "ByteTrackTracker",
    "ocsort": "OCSORTTracker",
    "botsort": "BoTSORTTracker",
    "cbiou": "CBIoUTracker",
}
"""Names in the package by ours."""

FIXED = {"botsort": {"enable_cmc": False}}
"""Options that are ours to set: scenes have no pixels, from which camera motion would be estimated."""


class LibraryConfig(Config):
    """Options of the trackers of the package `trackers`; None for the package's own default."""

    per_class: bool = True
    """Whether objects of each label are tracked by themselves, so that a track never changes its label."""
    frame_rate: float | None = Field(default=None, gt=0)
    """Images a second of the stream."""
    lost_track_buffer: int | None = Field(default=None, ge=0)
    """How long a track goes on without an object, in images at 30 a second."""
    minimum_consecutive_frames: int | None = Field(default=None, ge=1)
    """Images in a row after which a track is confirmed."""
    minimum_iou_threshold: float | None = Field(default=None, ge=0, le=1)
    """Smallest IoU of a match."""
    track_activation_threshold: float | None = Field(default=None, ge=0, le=1)
    """Smallest score of an object that a new track begins with."""
    high_conf_det_threshold: float | None = Field(default=None, ge=0, le=1)
    """Objects that score less are matched last."""


class LibraryTracker(Tracker):
    """A tracker of the package.

    Args:
        name: Its name.
        config: Its options.

    Raises:
        InputError: The package is missing, or its tracker has no such option.
    """

    def __init__(self, name: str, config: LibraryConfig) -> None:
        try:
            import supervision
            import trackers
        except ImportError as error:
            raise InputError(
                f"tracker 'trackers/{name}' needs the package trackers ({error}): pip install 'scenekit[trackers]'"
            ) from None
        self._detections = supervision.Detections
        self._class: Any = getattr(trackers, CLASSES[name])
        self._options = {**options_of(name, self._class, config), **FIXED.get(name, {})}
        self._per_class = config.per_class
        self.reset()

    def reset(self) -> None:
        """Reset the tracker, so that another stream can begin."""
        self._trackers: dict[int, Any] = {}
        self._numbers: dict[tuple[int, int], int] = {}

    def update(self, scene: Scene) -> Int[Tensor, " N"]:
        """Track the objects of the next image.

        Args:
            scene: The scene.

        Returns:
            Ids, -1 for what is not confirmed.
        """
        assert scene.moment is not None
        labels = scene.objects.labels if self._per_class else torch.zeros_like(scene.objects.labels)
        ids = torch.full((len(labels),), -1)
        for label in {*labels.tolist(), *self._trackers}:
            rows = ((labels == label) & ~scene.objects.crowd).nonzero()[:, 0]
            if label not in self._trackers:
                self._trackers[label] = self._class(**self._options)
            for row, number in self._updated(label, scene, rows):
                if number >= 0:
                    ids[row] = self._numbers.setdefault((label, number), len(self._numbers))
        return ids

    def _updated(self, label: int, scene: Scene, rows: Int[Tensor, " _"]) -> Iterator[tuple[int, int]]:
        """Yield rows with the numbers that the tracker of a label gives them, -1 for none."""
        assert scene.moment is not None
        objects = scene.objects
        scores = torch.ones(len(objects)) if objects.scores is None else objects.scores
        found = self._detections(
            xyxy=objects.boxes[rows].double().numpy(),
            confidence=scores[rows].double().numpy(),
            class_id=objects.labels[rows].numpy(),
            data={"row": rows.numpy()},
        )
        tracked = self._trackers[label].update(found, timestamp=scene.moment.time)
        if len(tracked):
            yield from zip(tracked.data["row"].tolist(), tracked.tracker_id.tolist(), strict=True)


def options_of(name: str, kind: Any, config: LibraryConfig) -> dict[str, Any]:
    """Return the options of a tracker that are set.

    Args:
        name: Its name.
        kind: Its class.
        config: All options.

    Returns:
        Options by name.

    Raises:
        InputError: It has no such option.
    """
    options = {key: value for key, value in config.model_dump(exclude={"per_class"}).items() if value is not None}
    known = list(inspect.signature(kind).parameters)
    for option in options:
        if option not in known:
            raise InputError(f"tracker 'trackers/{name}' has no option {option!r}{nearest(option, known)}")
    return options


@hookimpl
def scenekit_trackers() -> Iterator[TrackerSpec]:
    """Yield the trackers of the package, which is imported when one of them is built."""
    for name in CLASSES:
        yield TrackerSpec(
            name=f"trackers/{name}",
            summary=f"{CLASSES[name].removesuffix('Tracker')} of the package trackers, on boxes and scores",
            build=partial(LibraryTracker, name),
            config=LibraryConfig,
        )
