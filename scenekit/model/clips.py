"""Tasks of clips on the frames of a video: only what they read is kept of each batch of frames."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch

from scenekit.errors import InputError
from scenekit.hooks import InputImage
from scenekit.io.files import read_text, write_atomically
from scenekit.io.images import Pixels, read_image
from scenekit.io.records import parse_json
from scenekit.io.video.reading import video
from scenekit.keys import IMAGES, Key
from scenekit.model.arguments import least_score, positive_integer, task_names
from scenekit.model.board import Board
from scenekit.model.modalities import InputValues, Maps
from scenekit.model.parts import Part, merged
from scenekit.model.postprocess import clip_scene
from scenekit.model.prediction import evaluating
from scenekit.model.preprocess import make_batch
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from scenekit.scene_json import json_text, reading
from scenekit.structures.images import ClipFrames, ImageBatch
from scenekit.structures.moments import Moment, VideoFrame

Item = TypeVar("Item")

FORMAT_VERSION = 1
"""Version of the JSON that `ClipScene.save` writes."""


@dataclass(frozen=True, eq=False)
class ClipScene:
    """What a model predicts of a clip: `clip[sk.EVENTS]`, and the scenes of its frames where these were asked for."""

    whole: Scene
    """The values of the whole clip, in the size of its first frame."""
    times: tuple[float, ...]
    """Seconds of each frame on the clock of the clip."""
    frames: tuple[Scene, ...] = ()
    """A scene for each frame; none where no task of images was asked for."""

    def __post_init__(self) -> None:
        if self.frames and len(self.frames) != len(self.times):
            raise InputError(f"each frame of a clip has a time, got {len(self.frames)} and {len(self.times)} times")

    def __len__(self) -> int:
        return len(self.times)

    def __contains__(self, key: Key[Any, Any]) -> bool:
        return key in self.whole

    def __getitem__(self, key: Key[Any, Item]) -> Item:
        return self.whole[key]

    def frame(self, number: int) -> Scene:
        """Return the scene of a frame with the values of the clip beside its own, for drawings.

        Args:
            number: Number of the frame, counted from 0.

        Returns:
            The scene; without regions where no task of images was asked for.

        Raises:
            InputError: There is no such frame.
        """
        if not 0 <= number < len(self):
            raise InputError(f"expected the number of one of {len(self)} frames, counted from 0, got {number}")
        moment = Moment(self.times[number], number)
        scene = self.frames[number] if self.frames else replace(self.whole, moment=moment)
        return replace(scene, values={**scene.values, **self.whole.values})

    def save(self, path: str | Path) -> None:
        """Write everything as JSON.

        Args:
            path: The file.

        Raises:
            InputError: It cannot be written.
        """
        data = {
            "format_version": FORMAT_VERSION,
            "times": list(self.times),
            "whole": self.whole.to_json(),
            "frames": [scene.to_json() for scene in self.frames],
        }
        write_atomically(path, json_text(data).encode())

    @classmethod
    def load(cls, path: str | Path) -> ClipScene:
        """Read what `save` wrote.

        Args:
            path: The file.

        Returns:
            The clip.

        Raises:
            InputError: The file is damaged, or of another format.
        """
        data = parse_json(read_text(path), path)
        if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION or "whole" not in data:
            raise InputError(f"{path}: expected a clip of format {FORMAT_VERSION}, as ClipScene.save writes it")
        with reading(f"{path}"):
            frames = tuple(Scene.from_json(frame) for frame in data["frames"])
            return cls(Scene.from_json(data["whole"]), tuple(map(float, data["times"])), frames)


def predict_clip(
    model: SceneModel,
    frames: Any,
    tasks: str | Collection[str] | None = None,
    threshold: float = 0.5,
    *,
    rate: float | None = None,
    batch_size: int = 8,
) -> ClipScene:
    """Predict what belongs to a whole clip, such as its events.

    ```python
    clip = sk.predict_clip(model, frames, rate=10)
    for (start, end), texts in zip(clip[sk.EVENTS].spans.tolist(), clip[sk.EVENTS].captions.texts):
        print(f"{start:.1f} s to {end:.1f} s: {texts[0]}")
    ```

    The network reads `batch_size` frames at a time, and of them no more is kept than what the tasks of clips read (and
    scenes, where tasks of images are asked for). Memory still grows with the number of frames: the events of `small`
    keep cells of about 56 kB of each, so that an hour of 30 frames in a second takes about 6 GB, and twice as much
    while they are merged at the end. `sk.video(path, every=)` leaves out frames; the events look at 4 in a second.

    Args:
        model: A model with a task of clips.
        frames: Images in order, as `SceneModel.predict` takes them, lazily; a Clip, whose frames are taken; or the path
            of a video. Frames that are no VideoFrame with a moment need `rate`.
        tasks: Tasks of clips, or of images, whose scenes are then in `frames` of the result; all tasks of clips and
            none of images, if None.
        threshold: As in `SceneModel.predict`, for scenes of frames and for what tasks of clips read of them.
        rate: Frames in a second, of frames without a moment.
        batch_size: Frames that the network reads together.

    Returns:
        The clip.

    Raises:
        InputError: The model has no such task, a frame cannot be read, or there is none, or their times do not rise.
    """
    names, score, together = task_names(tasks), least_score(threshold), positive_integer("batch_size", batch_size)
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"rate: expected a number of frames in a second above 0, got {rate}")
    if not model.clip_tasks and names is None:
        raise InputError(f"this model has no task of clips; its tasks are {', '.join(model.tasks) or 'none'}")
    run = _ClipRun(model, model.clip_tasks if names is None else names, score)
    with torch.no_grad(), evaluating(model), _opened(frames) as images:
        for chunk in _chunks(_with_moments(images, rate), together):
            run.add(chunk)
        return run.result()


class _ClipRun:
    """Runs the network on batches of frames, and then the tasks of clips on what was kept of them."""

    def __init__(self, model: SceneModel, tasks: Collection[str], threshold: float) -> None:
        order = model.plan.needed(tasks)
        self.model, self.threshold = model, threshold
        self.clip_order = [name for name in order if name in model.clip_tasks]
        self.image_tasks = [name for name in tasks if name not in model.clip_tasks]
        provided = {key for name in self.clip_order for key in model.plan.steps[name].provides}
        read = dict.fromkeys(key for name in self.clip_order for key in model.plan.reads(name))
        self.kept = [key for key in read if key not in provided and key != IMAGES]
        feeders = [name for name, step in model.plan.steps.items() if {*step.provides} & {*self.kept}]
        self.steps = [*dict.fromkeys((*self.image_tasks, *feeders))]
        self.parts: list[Part] = []
        self.scenes: list[Scene] = []
        self.times: list[float] = []

    def add(self, frames: list[tuple[VideoFrame, Moment]]) -> None:
        """Run the network on some frames, and keep what the tasks of clips read."""
        model = self.model
        pixels = [read_image(frame.image) for frame, _ in frames]
        cameras = [frame.camera for frame, _ in frames]
        sources = [frame.source or _path(frame.image) for frame, _ in frames]
        numbers = range(len(self.times), len(self.times) + len(frames))
        inputs = [self._maps(*one) for one in zip(frames, pixels, numbers, strict=True)]
        batch = make_batch(pixels, model.config.input, cameras=cameras, inputs=inputs)
        batch = batch.named(sources).to(model.device, model.dtype)
        outputs = model(batch, tasks=self.steps, threshold=self.threshold)
        if self.image_tasks:
            scenes = model.scenes(outputs, self.image_tasks, self.threshold, cameras, sources)
            self.scenes += [replace(one, moment=moment) for one, (_, moment) in zip(scenes, frames, strict=True)]
        board = Board(batch.without_pixels(), model.pooler)
        for key in sorted(self.kept, key=lambda key: key.of is not None):  # streams before their rows
            if key in outputs.board:
                board.put(key, outputs.board[key], None if key.of is None else outputs.board.rows_of(key))
        start = len(self.times)
        self.parts.append(Part(tuple(range(start, start + len(frames))), board))
        self.times += [moment.time for _, moment in frames]

    def _maps(self, frame: tuple[VideoFrame, Moment], pixels: Pixels, number: int) -> Maps:
        """Read what a frame came with."""
        image = InputImage((int(pixels.shape[1]), int(pixels.shape[2])), frame[0].camera, f"frame {number}")
        return InputValues().read_for(self.model.inputs, frame[0].inputs, image)

    def result(self) -> ClipScene:
        """Run the tasks of clips."""
        if not self.parts:
            raise InputError("a clip has at least one frame, got none")
        times = tuple(self.times)
        batch = ImageBatch.cat([part.board.images for part in self.parts])
        board = merged(self.parts, replace(batch, clips=(ClipFrames(0, times),)), {})
        self.model.run_steps(board, self.clip_order, threshold=self.threshold)
        keys = {key for name in self.clip_order for key in self.model.plan.steps[name].provides}
        return ClipScene(clip_scene(board, 0, keys, self.model.vocabulary), times, tuple(self.scenes))


def _opened(frames: Any) -> AbstractContextManager[Iterable[Any]]:
    """Return the frames of a video file, of a Clip, or as they are."""
    return video(frames) if isinstance(frames, str | os.PathLike) else nullcontext(getattr(frames, "frames", frames))


def _with_moments(frames: Iterable[Any], rate: float | None) -> Iterator[tuple[VideoFrame, Moment]]:
    """Yield frames with the moments that they have, or that follow from their number."""
    for number, image in enumerate(frames):
        frame = image if isinstance(image, VideoFrame) else VideoFrame(image)
        if frame.moment is None and rate is None:
            raise InputError(f"frame {number} has no moment; give a VideoFrame with one, or the frames' rate")
        yield frame, frame.moment or Moment(number / (rate or 1.0), number)


def _chunks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _path(image: Any) -> str | None:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else None
