"""The passes of a model on one image that its tasks need to be measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scenekit.data.sample import Sample
from scenekit.io.images import ImageSource
from scenekit.keys import Key
from scenekit.model.board import Board
from scenekit.model.clips import predict_clip
from scenekit.model.external_regions import Given, given_regions
from scenekit.model.head import Head
from scenekit.model.modalities import NO_MAPS, Maps, ReadMap
from scenekit.model.prediction import evaluating
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from scenekit.structures.cameras import Camera
from scenekit.structures.moments import Moment, VideoFrame


@dataclass(frozen=True, eq=False)
class Pass:
    """The outputs of one pass.

    Attributes:
        board: In network pixels.
        scene: In original pixels, without a score threshold.
    """

    board: Board
    scene: Scene


class ClipPass:
    """The pass of the tasks of clips on a clip. The caller puts the model into evaluation mode.

    Args:
        model: The model that is measured.
        sample: The clip.
        tasks: Names of tasks of clips.
    """

    def __init__(self, model: SceneModel, sample: Sample, tasks: Collection[str]) -> None:
        frames = [
            VideoFrame(frame.image, Moment(time, number), frame.scene.camera, _as_read(frame.inputs))
            for number, (frame, time) in enumerate(zip(sample.frames, sample.times, strict=True))
        ]
        self.scene = predict_clip(model, frames, tasks, threshold=0.0).whole


class Passes:
    """The passes of a model on one image; a later one reuses what does not change from the one before.

    `free` is the pass of all tasks without external regions. The caller puts the model into evaluation mode and turns
    gradients off.

    Args:
        model: The model that is measured.
        image: The image.
        tasks: Names of tasks and stages.
        camera: That of the image, where it is known.
        path: The file of the image, where it has one.
        id: Its id within its data set.
        inputs: Maps that it comes with, by modality, in pixels of the image.
    """

    def __init__(
        self,
        model: SceneModel,
        image: ImageSource,
        tasks: Collection[str],
        camera: Camera | None = None,
        path: str | None = None,
        id: int | None = None,
        inputs: Maps = NO_MAPS,
    ) -> None:
        self._model = model
        self._batch, self._camera = model.preprocess([image], [camera], [inputs]).named([path], [id]), camera
        self.free = self._run({}, tasks)

    def given(self, task: str, given: Given) -> Pass:
        """Run a task with external regions.

        Args:
            task: Its name.
            given: The regions, in pixels of the image.

        Returns:
            The outputs of the pass.
        """
        regions = given_regions(given, self._batch, self._model.vocabulary)
        return self._run({**self._carried(self.free.board, task, regions), **regions}, [task])

    def stand_in(self, before: Pass, task: str, head: Head[Any, Any]) -> Pass:
        """Run a pass again with another head in place of the task's own.

        Args:
            before: The pass.
            task: Its name.
            head: The head that replaces the task's own; both may share modules.

        Returns:
            The outputs of the pass.
        """
        with _replaced(self._model, task, head), evaluating(head):
            return self._run(self._carried(before.board, task, self._model.specs[task].provides), [task])

    def _run(self, given: Mapping[Key[Any, Any], Any], tasks: Collection[str]) -> Pass:
        outputs = self._model(self._batch, given=given, tasks=tasks)
        (scene,) = self._model.scenes(outputs, tasks, cameras=[self._camera])
        return Pass(outputs.board, scene)

    def _carried(self, board: Board, task: str, changed: Collection[Key[Any, Any]]) -> dict[Key[Any, Any], Any]:
        """Return values that do not depend on the `changed` keys: of the stages, and those that the task reads."""
        plan, values, outdated = self._model.plan, {}, set(changed)
        for name in plan.order:
            provides = [key for key in plan.steps[name].provides if key not in outdated]
            if outdated.intersection(plan.reads(name)):
                outdated.update(provides)
            elif name in self._model.stages or not set(provides).isdisjoint(plan.reads(task)):
                values.update({key: board[key] for key in provides} if _are_whole(board, provides) else {})
        return values


def _as_read(inputs: Maps) -> dict[str, ReadMap]:
    return {name: ReadMap(value) for name, value in inputs.items()}


def _are_whole(board: Board, keys: Collection[Key[Any, Any]]) -> bool:
    """Return whether the values are there, and of all rows of their stream."""
    return all(key in board and (key.of is None or len(board.rows_of(key)) == len(board[key.of])) for key in keys)


@contextmanager
def _replaced(model: SceneModel, task: str, head: Head[Any, Any]) -> Iterator[None]:
    own = model.heads[task]
    head.provides = model.specs[task].provides
    model.heads[task] = head
    try:
        yield
    finally:
        model.heads[task] = own
