"""Tracks as text files of MOTChallenge or KITTI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from scenekit.errors import InputError, nearest
from scenekit.io.files import write_atomically
from scenekit.io.track_files import TrackFormat, kitti_line, mot_line, track_format
from scenekit.scene import Scene
from scenekit.tracking.tracker import UNCONFIRMED

SINGLE = -1
"""The number of the class in MOTChallenge's files of a single class."""


def save_tracks(
    scenes: Iterable[Scene | InputError],
    path: str | Path,
    format: str = "motchallenge",
    classes: Iterable[str] | None = None,
) -> None:
    """Write the tracks of a stream as a text file, which `scenekit score mot` reads.

    A line is an object in a frame. Frames are numbered by `moment`, or in order where scenes have none. MOTChallenge's
    files hold the number of the class where several are written, its place in the vocabulary from 1, and else -1.
    KITTI's hold 2D boxes. Objects without a track, of the id -1, and crowds are left out.

    Args:
        scenes: The scenes with lasting ids; an InputError is a frame without objects.
        path: The file; it is written whole or not at all.
        format: "motchallenge" or "kitti".
        classes: Names of the classes to write; all of the vocabulary, if None.

    Raises:
        InputError: There is no such format or class, an id repeats in a frame, or the file cannot be written.
    """
    form, names = track_format(format), None if classes is None else tuple(classes)
    lines: list[str] = []
    for count, scene in enumerate(scenes):
        if isinstance(scene, Scene):
            frame = count if scene.moment is None else scene.moment.number
            lines += lines_of(scene, frame, form, names)
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def lines_of(scene: Scene, frame: int, format: TrackFormat, classes: tuple[str, ...] | None) -> Iterator[str]:
    """Yield the lines of one frame.

    Args:
        scene: The scene.
        frame: Its number, from 0.
        format: The format.
        classes: Names of the classes to write; all, if None.

    Yields:
        A line for each object.

    Raises:
        InputError: There is no such class, or an id repeats.
    """
    objects, things = scene.objects, scene.vocabulary.things
    for name in classes or ():
        if name not in things:
            raise InputError(f"there is no class {name!r}{nearest(name, things)}")
    written = things if classes is None else classes
    tracked = (objects.ids != UNCONFIRMED) & ~objects.crowd
    ids = objects.ids[tracked].tolist()
    if len(set(ids)) < len(ids):
        raise InputError(f"frame {frame} has an id more than once: {ids}; track the scenes first")
    scores = [1.0] * len(objects) if objects.scores is None else objects.scores.tolist()
    for row in tracked.nonzero()[:, 0].tolist():
        label, id, box = int(objects.labels[row]), int(objects.ids[row]), objects.boxes[row].tolist()
        if things[label] not in written:
            continue
        if format == "kitti":
            yield kitti_line(frame, id, things[label], box, scores[row])
        else:
            yield mot_line(frame, id, box, scores[row], label + 1 if len(written) > 1 else SINGLE)
