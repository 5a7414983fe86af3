"""Clips on disk: one zip file per clip, written atomically, whose frames are read one by one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scenekit_datasets.synthetic.cache import DAMAGED, read_scene, replacing, warn_once, write_scene
from scenekit_datasets.synthetic.clips.clip import VERSION, SyntheticClip, SyntheticFrame, generate_clip, render_frame
from scenekit_datasets.synthetic.clips.events import Event
from scenekit_datasets.synthetic.clips.plan import Change, Planned, plan_clip
from scenekit_datasets.synthetic.scene import VERSION as SCENE_VERSION


@dataclass(frozen=True)
class ClipNumber:
    """All that a clip depends on."""

    seed: int
    """Seed of the clip."""
    index: int
    """Index of the clip."""
    size: tuple[int, int]
    """(height, width) of the images in pixels."""
    frames: int
    """Number of frames."""
    rate: float
    """Frames per second."""
    still: bool = False
    """Whether nothing moves but the camera."""
    visit: int = 0
    """Which visit it is."""
    meshes: bool = False
    """Whether frames carry meshes."""

    def path(self, root: Path) -> Path:
        """Return the file of the clip.

        Args:
            root: Folder of the cache.

        Returns:
            The path.
        """
        kind = f"v{VERSION}.{SCENE_VERSION}-{self.size[0]}x{self.size[1]}-{self.frames}x{self.rate:g}"
        kind += ("-still" if self.still else "") + (f"-visit{self.visit}" if self.visit else "")
        kind += "-meshes" if self.meshes else ""
        return root / kind / f"seed{self.seed}" / f"{self.index // 1000:04d}" / f"{self.index:08d}.zip"

    def generate(self) -> SyntheticClip:
        """Generate the clip.

        Returns:
            The clip.
        """
        made = generate_clip(
            self.seed, self.index, self.size, self.frames, self.rate, still=self.still, visit=self.visit
        )
        return made if self.meshes else replace(made, frames=tuple(_light(frame) for frame in made.frames))


def _light(frame: SyntheticFrame) -> SyntheticFrame:
    return replace(frame, scene=replace(frame.scene, meshes=()))


@lru_cache(maxsize=8)
def _planned(seed: int, index: int, duration: float, still: bool, visit: int) -> Planned:
    """Return a plan; the last few are kept, as the frames of a clip are mostly read one after the other."""
    return plan_clip(seed, index, duration, still, visit)


@dataclass(frozen=True)
class StoredClip:
    """A clip whose frames are read, or rendered, when they are needed."""

    number: ClipNumber
    """Which clip it is."""
    events: tuple[Event, ...]
    """What happens, by its start."""
    changes: tuple[Change, ...]
    """What is different from the first visit."""
    frame: Callable[[int], SyntheticFrame]
    """Returns one frame."""


def opened(root: Path | None, number: ClipNumber) -> StoredClip:
    """Open a clip; without a folder, or where nothing can be written, its frames are rendered when they are needed.

    Args:
        root: Folder of the cache.
        number: Which clip it is.

    Returns:
        The clip.
    """
    if root is None:
        return _unstored(number)
    path = number.path(root)
    try:
        return _stored(path, number)
    except DAMAGED:
        made = number.generate()
    try:
        save(path, made)
        return _stored(path, number)
    except OSError as error:
        warn_once(root, error.strerror)
        return StoredClip(number, made.events, made.changes, made.frames.__getitem__)


def _unstored(number: ClipNumber) -> StoredClip:
    def planned() -> Planned:
        return _planned(number.seed, number.index, number.frames / number.rate, number.still, number.visit)

    def frame(row: int) -> SyntheticFrame:
        made = render_frame(planned(), (number.seed, number.index, row), row / number.rate, number.size)
        return made if number.meshes else _light(made)

    return StoredClip(number, planned().events, planned().changes, frame)


def _stored(path: Path, number: ClipNumber) -> StoredClip:
    """Open a file; a frame that turns out to be damaged is rendered again."""
    with zipfile.ZipFile(path) as source:
        data = json.loads(source.read("clip.json"))
        events = tuple(_record(Event, entry) for entry in data["events"])
        changes = tuple(_record(Change, entry) for entry in data["changes"])
        if len(data["frames"]) != number.frames:
            raise ValueError(f"{path} has {len(data['frames'])} frames, expected {number.frames}")

    def frame(row: int) -> SyntheticFrame:
        try:
            with zipfile.ZipFile(path) as source:
                scene = read_scene(source, _prefix(row))
        except DAMAGED:
            path.unlink(missing_ok=True)
            return _unstored(number).frame(row)
        entry = data["frames"][row]
        return SyntheticFrame(entry["time"], np.array(entry["pose"]), np.array(entry["ids"], dtype=np.int64), scene)

    return StoredClip(number, events, changes, frame)


def _record(kind: Any, entry: dict[str, Any]) -> Any:
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()})


def _prefix(row: int) -> str:
    return f"{row:04d}/"


def save(path: Path, clip: SyntheticClip) -> None:
    """Write a clip atomically.

    Args:
        path: The file.
        clip: The clip.
    """
    frames = [{"time": f.time, "pose": f.pose.tolist(), "ids": f.ids.tolist()} for f in clip.frames]
    data = {
        "frames": frames,
        "events": [asdict(event) for event in clip.events],
        "changes": [asdict(change) for change in clip.changes],
    }
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for row, frame in enumerate(clip.frames):
            write_scene(out, frame.scene, _prefix(row))
        out.writestr("clip.json", json.dumps(data))
