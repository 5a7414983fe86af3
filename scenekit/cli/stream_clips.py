"""The part of `scenekit predict` that is about tasks of clips: they read a whole video before its frames are drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from scenekit.cli import output
from scenekit.cli.predict_live import LiveOptions
from scenekit.cli.predict_stream import with_camera
from scenekit.cli.stream_sinks import Targets
from scenekit.cli.stream_sources import Kind, Selection
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.keys import Key
    from scenekit.model.clips import ClipScene
    from scenekit.model.scene_model import SceneModel
    from scenekit.structures.cameras import Camera


def parted(network: SceneModel, tasks: Sequence[str] | None) -> tuple[list[str], list[str] | None]:
    """Split the tasks that are asked for.

    Args:
        network: The model.
        tasks: Names of tasks; None where none is named, which asks for no task of clips.

    Returns:
        Tasks of clips; and the others, None for all tasks of images.

    Raises:
        InputError: The model has no such task.
    """
    network.plan.needed(tasks or ())
    of_clips = [name for name in tasks or () if name in network.clip_tasks]
    return of_clips, None if tasks is None else [name for name in tasks if name not in of_clips]


@dataclass(frozen=True)
class ClipRun:
    """Runs tasks of clips on one video after the other."""

    network: SceneModel
    """The model."""
    tasks: Sequence[str]
    """Names of tasks of clips; without any, no video is read."""
    threshold: float
    """Smallest score of an object."""
    camera: float | Camera | None
    """The camera, or its focal length in pixels, if known."""
    targets: Targets
    """Where the results go."""

    def check(self, kind: Kind, names: Sequence[str], live: LiveOptions) -> None:
        """Check that all sources can be read twice.

        Args:
            kind: Kind of the sources.
            names: Their names.
            live: Options of streams.

        Raises:
            InputError: A source is live, or an option makes it so.
        """
        if not self.tasks:
            return
        why = f"--tasks {self.tasks[0]}: it reads a whole video before the frames are drawn"
        for name in names:
            if not kind.runs_clip_tasks(name):
                raise InputError(f"{why}, which needs a video file, not {name}; record one first, or leave it out")
        for option, value in (("--live", live.live or None), ("--budget", live.budget)):
            if value is not None:
                raise InputError(f"{why}, and cannot be used with {option}; leave one of them out")

    def values(
        self, kind: Kind, selection: Selection, alone: bool, name: str, stem: str
    ) -> Mapping[Key[Any, Any], Any]:
        """Predict, write and print the values of a whole video.

        Args:
            kind: Kind of the source.
            selection: Which frames.
            alone: Whether there is no other source.
            name: Its name.
            stem: Name of its files in a folder, without suffix.

        Returns:
            The values; none without tasks.

        Raises:
            InputError: The video cannot be read, it has no such frames, or a file cannot be written.
        """
        if not self.tasks:
            return {}
        clip = self._clip(kind, selection, name)
        for file in self.targets.clip_files(stem, alone):
            output.make_folder(file.parent)
            clip.save(file)
        print_clip(clip, name, aside=self.targets.printed)
        return clip.whole.values

    def _clip(self, kind: Kind, selection: Selection, name: str) -> ClipScene:
        """Predict the values of a video; of each frame no more is kept than the tasks read."""
        from scenekit.model.clips import predict_clip

        with kind.open(name, selection) as source:
            frames = source if self.camera is None else map(partial(with_camera, camera=self.camera), source)
            text = f"{os.path.basename(name)}: {', '.join(self.tasks)}"
            watched = output.rated_progress(frames, text, selection.count(source.duration, source.rate))
            return predict_clip(self.network, watched, self.tasks, self.threshold)


def print_clip(clip: ClipScene, source: str, aside: bool = False) -> None:
    """Print a table of each value of a clip.

    Args:
        clip: The values.
        source: Name of the video.
        aside: Whether standard output has other results, so that tables go to standard error.
    """
    for key, value in clip.whole.values.items():
        columns = key.field.columns(value, clip.whole.frame(key))
        rows = list(zip(*columns.values(), strict=True))
        title = f"{os.path.basename(source)}: {key.name}"
        if rows:
            output.print_table(title, [column or key.name for column in columns], rows, aside)
        else:
            (output.print_note if aside else output.print_text)(f"{title}: none")


def print_unasked(network: SceneModel, kind: Kind, names: Sequence[str]) -> None:
    """Print that a model has tasks of clips that run where they are named only, if its sources can have them.

    Args:
        network: The model.
        kind: Kind of the sources.
        names: Their names.
    """
    if network.clip_tasks and all(map(kind.runs_clip_tasks, names)):
        every = ",".join((*network.tasks, *network.clip_tasks))
        output.print_note(f"without {', '.join(network.clip_tasks)}; for everything: --tasks {every}")
