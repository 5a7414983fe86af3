"""What `scenekit predict` writes of a source of frames, while it runs: a drawn video, JSON lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from scenekit.cli import output
from scenekit.cli.stream_sources import FrameSource
from scenekit.errors import InputError, listed
from scenekit.io.clock import USUAL_RATE, ForwardClock
from scenekit.io.files import created, portable, unwritable
from scenekit.io.json_lines import json_line
from scenekit.io.streams import results

if TYPE_CHECKING:
    from scenekit.scene import Scene
    from scenekit.structures.moments import VideoFrame

STDOUT = "-"
"""The target of JSON lines on standard output."""


@runtime_checkable
class Sink(Protocol):
    """Takes one scene after the other; what it has taken stays, however the run ends."""

    def write(self, scene: Scene, frame: VideoFrame) -> None:
        """Write a scene, and the frame that it is of."""


Opener: TypeAlias = Callable[[Path, FrameSource], AbstractContextManager[Sink]]
"""(target, source) -> the open sink of a source."""


class _Lines:
    """A file of text that grows line by line; each line is complete, at any time."""

    def __init__(self, target: Path) -> None:
        self._target, self._whole = target, 0
        try:
            self._file = target.open("wb", buffering=0)
        except OSError as error:
            raise unwritable(target, error) from error

    def append(self, text: str) -> None:
        """Write whole lines; InputError where the file cannot be written."""
        data = text.encode()
        try:
            written = self._file.write(data)
            if written < len(data):
                self._file.write(data[written:])
        except OSError as error:
            raise unwritable(self._target, error) from error
        self._whole += len(data)

    def close(self) -> None:
        """Close the file, without a line that has been cut off."""
        with self._file:
            if self._target.is_file():
                self._file.truncate(self._whole)


def of_frame(scene: Scene) -> Scene:
    """Return a scene without the values of its clip, which would stand in the line of each frame anew.

    Args:
        scene: The scene of a frame.

    Returns:
        What belongs to the frame alone.
    """
    return replace(scene, values={key: value for key, value in scene.values.items() if not key.of_clip})


class SceneLines(_Lines):
    """A file of scenes as JSON, one a line."""

    def write(self, scene: Scene, frame: VideoFrame) -> None:
        """Write a line.

        Args:
            scene: The scene.
            frame: Its frame.

        Raises:
            InputError: The file cannot be written.
        """
        if scene.path is not None and os.path.exists(scene.path):
            scene = replace(scene, path=portable(scene.path, self._target))
        self.append(json_line(of_frame(scene).to_json()))


class PrintedLines:
    """Scenes as JSON on standard output, one a line."""

    def write(self, scene: Scene, frame: VideoFrame) -> None:
        """Print a line.

        Args:
            scene: The scene.
            frame: Its frame.
        """
        results().write(json_line(of_frame(scene).to_json()))
        results().flush()


class DrawnVideo:
    """A video of the drawings of scenes; where the times of a source go back, its clock goes on."""

    def __init__(self, target: Path, source: FrameSource) -> None:
        from scenekit.io.video.writing import VideoWriter

        self.writer = VideoWriter(target, rate=source.rate)
        self._clock = ForwardClock(1 / (source.rate or USUAL_RATE))

    def write(self, scene: Scene, frame: VideoFrame) -> None:
        """Draw a scene on its frame.

        Args:
            scene: The scene.
            frame: Its frame.
        """
        self.writer.write(scene.draw(frame), None if frame.moment is None else self._clock.at(frame.moment.time))


@contextmanager
def scene_lines(target: Path, source: FrameSource | None = None) -> Iterator[Sink]:
    """Provide a file of scenes.

    Args:
        target: The file.
        source: Whose scenes they are; None where it is for several sources.

    Yields:
        The sink.

    Raises:
        InputError: The file cannot be written.
    """
    with closing(SceneLines(target)) as lines:
        yield lines


@contextmanager
def drawn_video(target: Path, source: FrameSource) -> Iterator[Sink]:
    """Provide a video of drawings.

    Args:
        target: The file.
        source: Whose frames are drawn.

    Yields:
        The sink.

    Raises:
        InputError: The file cannot be written.
    """
    drawn = DrawnVideo(target, source)
    with drawn.writer as writer:
        yield drawn
    if writer.count == 0:
        output.print_note(f"{source.source}: no frames, so that {target} is not written")


class TrackLines(_Lines):
    """A file of tracks in MOTChallenge's format, one object of a frame a line."""

    def write(self, scene: Scene, frame: VideoFrame) -> None:
        """Write the objects of a scene.

        Args:
            scene: The scene, with lasting ids.
            frame: Its frame.

        Raises:
            InputError: An id repeats, or the file cannot be written.
        """
        from scenekit.tracking.saving import lines_of

        number = 0 if scene.moment is None else scene.moment.number
        self.append("".join(f"{line}\n" for line in lines_of(scene, number, "motchallenge", None)))


@contextmanager
def track_lines(target: Path, source: FrameSource) -> Iterator[Sink]:
    """Provide a file of tracks, which grows with the stream.

    Args:
        target: The file.
        source: Whose frames are tracked.

    Yields:
        The sink.

    Raises:
        InputError: The file cannot be written.
    """
    with closing(TrackLines(target)) as lines:
        yield lines


TRACKS = ".txt"
"""How the names of files of tracks end."""

CLIP = ".clip.json"
"""How the names of files of the values of whole clips end."""

DRAWN = (".mp4", ".m4v", ".mov", ".mkv")
"""How the names of drawn videos end."""

FILES: Mapping[str, Opener] = {**dict.fromkeys(DRAWN, drawn_video), TRACKS: track_lines}
"""What --out writes to a file, by its suffix."""


@dataclass(frozen=True)
class Targets:
    """Where the results of sources go; what is None is not written."""

    out: Path | None = None
    """A file of the one source, or a folder, which gets a drawn video and a file of scenes of each."""
    lines: Path | None = None
    """A file of the scenes of all sources."""
    printed: bool = False
    """Whether scenes are printed as JSON lines."""
    files: Mapping[str, Opener] = field(default_factory=lambda: FILES)
    """What `out` may be, by its suffix."""

    @classmethod
    def of(cls, out: Path | None, lines: str | None, files: Mapping[str, Opener] = FILES) -> Targets:
        """Return what the options --out and --json name.

        Args:
            out: Value of --out.
            lines: Value of --json.
            files: What --out writes to a file, by its suffix.

        Returns:
            The targets.
        """
        return cls(out, None if lines in (None, STDOUT) else Path(str(lines)), lines == STDOUT, files)

    @property
    def folder(self) -> Path | None:
        """The folder that --out names, if it is one: it is there, or its name has no suffix."""
        if self.out is None or (self.out.suffix.lower() in self.files and not self.out.is_dir()):
            return None
        return self.out

    def of_source(self, stem: str) -> dict[Path, Opener]:
        """Return the files of one source by name.

        Args:
            stem: Name of its files in a folder, without suffix.

        Returns:
            What opens them.
        """
        if self.out is None:
            return {}
        if self.folder is None:
            return {self.out: self.files[self.out.suffix.lower()]}
        return {self.folder / f"{stem}.mp4": drawn_video, self.folder / f"{stem}.jsonl": scene_lines}

    def clip_files(self, stem: str, alone: bool) -> list[Path]:
        """Return the files for what belongs to a whole clip: one beside each file of scenes.

        Args:
            stem: Name of the files of the source in a folder, without suffix.
            alone: Whether there is no other source.

        Returns:
            The files; of several sources, that beside the lines of all has the name of its source, too.
        """
        files = [] if self.folder is None else [self.folder / f"{stem}{CLIP}"]
        if self.lines is not None:
            files.append(self.lines.with_name(f"{self.lines.stem}{'' if alone else f'-{stem}'}{CLIP}"))
        return list(dict.fromkeys(files))

    def check(self, sources: Sequence[str], stems: Sequence[str]) -> None:
        """Check the targets before the run; nothing is created.

        Args:
            sources: Names of the sources.
            stems: Names of their files in a folder, without suffix.

        Raises:
            InputError: A target is one of the sources, one file is named for several sources or results, its suffix is
                unknown, or a folder cannot be written.
        """
        if self.out is not None and self.folder is None and len(sources) > 1:
            raise InputError(f"--out names one file for {len(sources)} sources; name a folder for a file of each")
        if self.folder is not None and self.folder.suffix and not self.folder.is_dir():
            raise InputError(f"--out {self.out}: expected a folder, or a file with {listed(self.files, 9)}")
        written = [file for stem in stems for file in self.of_source(stem)]
        for option, targets in (("--out", written), ("--json", [self.lines] if self.lines else [])):
            for target in targets:
                check_apart(option, target, sources)
                if target is not self.lines and self.lines is not None and is_same(target, self.lines):
                    raise InputError(f"--out and --json write the same file, {target}; name two")
            for folder in dict.fromkeys(target.parent for target in targets):
                check_folder(folder)

    def check_tracks(self, tracked: bool) -> None:
        """Check that a file of tracks is asked for where objects are tracked alone.

        Args:
            tracked: Whether objects are tracked.

        Raises:
            InputError: They are not.
        """
        if not tracked and self.out is not None and self.folder is None and self.out.suffix.lower() == TRACKS:
            raise InputError(f"--out {self.out} holds tracks; add --track, or name a folder or a video")

    @contextmanager
    def opened(self) -> Iterator[Callable[[FrameSource, str], AbstractContextManager[list[Sink]]]]:
        """Open what all sources share.

        Yields:
            (source, stem of its files) -> a context manager that opens the sinks of a source.
        """
        with ExitStack() as stack:
            shared: list[Sink] = [PrintedLines()] if self.printed else []
            if self.lines is not None:
                output.make_folder(self.lines.parent)
                shared.append(stack.enter_context(scene_lines(self.lines)))
            yield partial(self._opened_for, shared)

    @contextmanager
    def _opened_for(self, shared: list[Sink], source: FrameSource, stem: str) -> Iterator[list[Sink]]:
        for target in self.of_source(stem):
            output.make_folder(target.parent)
        with ExitStack() as stack:
            own = [stack.enter_context(open(target, source)) for target, open in self.of_source(stem).items()]
            yield [*shared, *own]


def check_apart(option: str, target: Path, sources: Sequence[str]) -> None:
    """Check that a file to write is none that is read.

    Args:
        option: The option that names it.
        target: The file.
        sources: Names of the sources.

    Raises:
        InputError: It is one of them.
    """
    for name in sources:
        if is_same(target, Path(name)):
            raise InputError(f"{option} {target} is the file that is read; name another file")


def is_same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, which need not be there.

    Args:
        one: A path.
        other: Another.

    Returns:
        True for the same file.
    """
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def check_folder(folder: Path) -> None:
    """Check that files can be written into a folder, which need not be there; nothing is created.

    Args:
        folder: The folder.

    Raises:
        InputError: It cannot be created or written.
    """
    with created(next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))):
        pass
