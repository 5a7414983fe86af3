"""A map over time as a recording for rerun's viewer (rerun.io).

The root of the recording is the frame of the map; `world` is the frame of the camera, which moves in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from scenekit.errors import InputError
from scenekit.scene import Scene
from scenekit.visualization.export.rerun_recording import CAMERA, TIMELINE, WORLD, Recording, recording
from scenekit.visualization.palette import object_color
from scenekit.world.map_object import MapObject
from scenekit.world.views import View, positions_of

if TYPE_CHECKING:
    from scenekit.world.world import World

OBJECTS, PATH = "map/objects", "map/path"
SECONDS = "time"


def save_map_recording(world: World, path: str | Path, scenes: Sequence[Scene] = ()) -> None:
    """Write a map over time; see `World.save_recording`."""
    shown = in_order(scenes)
    if shown and len(shown) != len(world.views):
        raise InputError(
            f"a recording shows each scene of the map or none, got {len(shown)} for {len(world.views)}; pass those that"
            " were added"
        )
    with recording(path, origin="/") as written:
        rr, stream = written.rerun, written.stream
        stream.log("/", view_coordinates(rr, world.options.up), static=True)
        known: list[MapObject] = []
        for number, view in enumerate(world.views):
            set_times(stream, number, view)
            add_camera(written, view, shown[number] if shown else None)
            stream.log(PATH, rr.LineStrips3D([positions_of(world.views[: number + 1])]))
            seen = [item for item in world.objects if item.first_seen <= view.time]
            if len(seen) != len(known):
                stream.log(OBJECTS, boxes_of(rr, world, seen))
            known = seen


def in_order(scenes: Sequence[Scene]) -> list[Scene]:
    """Return scenes in the order of a map: by time, where one without a moment has the number of scenes before it."""
    times = [float(n) if scene.moment is None else scene.moment.time for n, scene in enumerate(scenes)]
    return [scenes[n] for n in sorted(range(len(scenes)), key=lambda n: times[n])]


def set_times(stream: Any, number: int, view: View) -> None:
    """Set the number and the time of a scene."""
    stream.set_time(TIMELINE, sequence=number)
    stream.set_time(SECONDS, duration=view.time)


def add_camera(written: Recording, view: View, scene: Scene | None) -> None:
    """Log where a camera is, and what its image shows, if a scene is given."""
    rr, (height, width) = written.rerun, view.size
    written.stream.log(WORLD, rr.Transform3D(translation=view.position, mat3x3=view.pose[:3, :3]))
    if scene is not None:
        written.add(scene)
        return
    lens = rr.Pinhole(image_from_camera=view.matrix, width=width, height=height, camera_xyz=rr.ViewCoordinates.RDF)
    written.stream.log(CAMERA, lens)


def boxes_of(rr: ModuleType, world: World, items: Sequence[MapObject]) -> Any:
    """Return the boxes of objects with their names; half sizes are length, height, width, as the object's axes are."""
    labels = [world.vocabulary.things.index(item.label) for item in items]
    turns = np.array([Rotation.from_matrix(item.rotation).as_quat() for item in items])
    return rr.Boxes3D(
        centers=np.array([item.position for item in items]),
        half_sizes=np.array([item.size[[2, 1, 0]] / 2 for item in items]),
        quaternions=turns,
        colors=[object_color(label, item.identity) for label, item in zip(labels, items, strict=True)],
        labels=[f"{item.label} {item.identity}" for item in items],
    )


def view_coordinates(rr: ModuleType, up: Sequence[float | int]) -> Any:
    """Return the axes of a map for the viewer: the one that is nearest to up."""
    axis = int(np.abs(up).argmax())
    return getattr(rr.ViewCoordinates, f"RIGHT_HAND_{'XYZ'[axis]}_{'UP' if up[axis] > 0 else 'DOWN'}")
