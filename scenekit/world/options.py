"""What a map is built by: when two sightings are one object, and which objects count."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from scenekit.errors import InputError
from scenekit.io.records import is_number


@dataclass(frozen=True)
class WorldOptions:
    """What a map is built by."""

    up: tuple[float | int, ...] = (0.0, 0.0, 1.0)
    """Direction that points up in the world of the poses: (0, -1, 0) where it is the frame of a first camera."""
    tracked: bool | None = None
    """Whether equal `objects.ids` are one object, even where it moves: None where they are tracks (`Scene.tracked`),
    False never, True always, so that other scenes are refused. False is for several streams at one time, as each
    begins its ids anew; where one stream follows another, tracks end with the stream."""
    threshold: float = 0.0
    """Smallest score of an object of a scene that is added, 0 to 1."""
    lateral_error: float = 0.02
    """Expected error of a position across the ray of sight, in units of the distance from the camera."""
    ray_error: float = 0.1
    """The same along the ray: depth is known less well, so that views from other sides correct it."""
    overlap: float = 0.1
    """Smallest IoU of two 3D boxes of one class by which they are one object, however far apart their centers are."""
    overlap_of_classes: float = 0.3
    """The same for boxes of different classes; the votes of all sightings decide the class."""
    together: float = 0.2
    """Two objects that scenes show beside each other in more than this share of the sightings of the rarer one stay
    two, though they are near."""
    confirm: int = 3
    """Number of sightings from which on an object is confirmed."""
    confirm_share: float = 0.25
    """Smallest share of the scenes with its place in view that must show a confirmed object."""
    keep: int = 48
    """How many sightings of an object are kept to compute its position, size and rotation: the most certain ones."""
    keep_meshes: bool = False
    """Whether objects keep the mesh of their best sighting, if scenes have any."""

    def __post_init__(self) -> None:
        if len(self.up) != 3 or not all(map(is_number, self.up)) or not math.hypot(*self.up) > 0:
            raise InputError(f"up must be a direction of three numbers, such as (0, 0, 1), got {self.up}")
        object.__setattr__(self, "up", tuple(map(float, self.up)))
        for name in ("threshold", "overlap", "overlap_of_classes", "together", "confirm_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("lateral_error", "ray_error"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} is a share of the distance, above 0 and below 1, got {getattr(self, name)}")
        for name in ("confirm", "keep"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise InputError(f"{name} must be a whole number from 1, got {getattr(self, name)}")


NAMES = tuple(entry.name for entry in fields(WorldOptions))
"""Names of the options."""
