"""Sources of frames that `scenekit predict` can name: a `Kind` each."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.structures.moments import VideoFrame

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".mxf", ".nut", ".ivf", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg"),
    ".y4m",
)
"""Suffixes of files that are read as videos."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a source are asked for."""

    start: float | None = None
    """Seconds at which they begin."""
    stop: float | None = None
    """Seconds before which they end."""
    every: int = 1
    """Every which one."""

    def check(self) -> None:
        """Check that there can be such frames; InputError if not."""
        from scenekit.io.ranges import check_range

        check_range(self.start, self.stop, self.every)

    def count(self, duration: float | None, rate: float | None) -> int | None:
        """Return how many frames there are, about.

        Args:
            duration: Seconds of the source.
            rate: Frames a second.

        Returns:
            The number; None where it is unknown.
        """
        if rate is None or (duration is None and self.stop is None):
            return None
        end = min(math.inf if duration is None else duration, math.inf if self.stop is None else self.stop)
        return max(math.ceil((end - (self.start or 0.0)) * rate / self.every), 0)


@runtime_checkable
class FrameSource(Protocol):
    """An open source: a context manager, and an iterator of frames.

    It skips frames that cannot be read, and counts them. An InputError of `__next__` ends the run; what has been
    written until then stays.
    """

    @property
    def source(self) -> str:
        """Return its name, as it stands in the scenes."""

    @property
    def rate(self) -> float | None:
        """Return the frames a second on average, if known, before `every`."""

    @property
    def duration(self) -> float | None:
        """Return its seconds, if known."""

    @property
    def damaged(self) -> int:
        """Return how many frames have been skipped so far as they cannot be read."""

    def __iter__(self) -> Iterator[VideoFrame]: ...
    def __next__(self) -> VideoFrame: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...


@dataclass(frozen=True)
class Kind:
    """A kind of source."""

    name: str
    """Its name in messages, in the plural."""
    accepts: Callable[[str], bool]
    """Whether a name on the command line is one of it; nothing is opened."""
    open: Callable[[str, Selection], FrameSource]
    """Opens the source of a name; InputError where that cannot be."""
    check: Callable[[str, Selection], None]
    """Raises InputError, before the model is loaded, where frames of the source cannot be had."""
    release: Callable[[], None] = lambda: None
    """Closes what `check` has opened and kept, as far as `open` has not returned it."""
    runs_clip_tasks: Callable[[str], bool] = lambda name: False
    """Whether tasks of clips can run on it: it can be opened and read twice, and its times begin near 0."""


def is_video(name: str) -> bool:
    """Return whether a name is that of a video file, a URL, or the index of a camera.

    Args:
        name: The name; that of a file which is there is never a camera.

    Returns:
        True for a video.
    """
    if "://" in name or Path(name).suffix.lower() in VIDEO_SUFFIXES:
        return True
    return name.isascii() and name.isdecimal() and not os.path.exists(name)


def open_video(name: str, selection: Selection) -> FrameSource:
    """Open a video.

    Args:
        name: The name.
        selection: The frames.

    Returns:
        The open video.
    """
    from scenekit.io.video.reading import video

    source = int(name) if is_camera(name) else name
    return video(source, start=selection.start, stop=selection.stop, every=selection.every)


def is_camera(name: str) -> bool:
    """Return whether a video is a camera.

    Args:
        name: A name that `is_video` accepts.

    Returns:
        True for the index of one.
    """
    return re.fullmatch("[0-9]+", name) is not None


@dataclass(frozen=True)
class Videos:
    """Videos that are checked before a run, and opened once where a second time may fail: all but regular files.

    A pipe can be read once, and many cameras of the network serve one reader at a time.
    """

    kept: dict[str, FrameSource] = field(default_factory=dict)
    """Open ones that wait for their turn, by name."""

    def check(self, name: str, selection: Selection) -> None:
        """Check that a video can be read, and is as long as is asked for.

        Args:
            name: The name.
            selection: The frames.

        Raises:
            InputError: It cannot be read, or ends before the start.
        """
        if os.path.isfile(name):
            with open_video(name, Selection()) as opened:
                check_start(opened, name, selection)
        elif name not in self.kept:
            self.kept[name] = open_video(name, selection)
            check_start(self.kept[name], name, selection)

    def open(self, name: str, selection: Selection) -> FrameSource:
        """Return an open video.

        Args:
            name: The name.
            selection: The frames.

        Returns:
            The one that has been checked, where it has been kept.

        Raises:
            InputError: It cannot be opened.
        """
        return self.kept.pop(name) if name in self.kept else open_video(name, selection)

    def release(self) -> None:
        """Close the videos whose turn has not come."""
        while self.kept:
            self.kept.popitem()[1].__exit__(None, None, None)


def check_start(opened: FrameSource, name: str, selection: Selection) -> None:
    """Check that a video does not end before the start.

    Args:
        opened: The video.
        name: Its name.
        selection: The frames.

    Raises:
        InputError: It does.
    """
    if selection.start is not None and opened.duration is not None and selection.start >= opened.duration:
        raise InputError(f"--start {selection.start:g}: {name} is only {opened.duration:g} s long")


def video_kind() -> Kind:
    """Return the kind of sources that videos are.

    Returns:
        The kind, for one run.
    """
    videos = Videos()
    return Kind("videos", is_video, videos.open, videos.check, videos.release, os.path.isfile)


def kind_of(names: Sequence[str], known: Sequence[Kind] | None = None) -> Kind | None:
    """Return the kind of the sources that are named.

    Args:
        names: Names on the command line.
        known: Kinds that they may be of; videos if None. A name belongs to the first one that accepts it.

    Returns:
        Their kind; None for images.

    Raises:
        InputError: They are of several kinds.
    """
    known = (video_kind(),) if known is None else known
    kinds = {name: next((kind for kind in known if kind.accepts(name)), None) for name in names}
    first = kinds[names[0]]
    for name, kind in kinds.items():
        if kind is not first:
            one, other = (it.name if it is not None else "images" for it in (first, kind))
            raise InputError(f"{names[0]} and {name}: {one} and {other} cannot be mixed; run them one after the other")
    return first
