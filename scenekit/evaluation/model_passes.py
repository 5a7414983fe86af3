"""One image, in as many passes of a model as its tasks need to be measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scenekit.io.images import ImageSource
from scenekit.keys import Key
from scenekit.model.board import Board
from scenekit.model.external_regions import Given, given_regions
from scenekit.model.head import Head
from scenekit.model.scene_model import SceneModel, evaluating
from scenekit.scene import Scene
from scenekit.structures.cameras import Camera


@dataclass(frozen=True, eq=False)
class Pass:
    """What a pass found: on its board, and as a scene of which nothing is below any threshold."""

    board: Board
    scene: Scene


class Passes:
    """The passes over one image; what a later one would only find again, it takes from the one before.

    `free` is that of all `tasks`, with nothing given; `camera` is that of the image, where it is known. The caller
    sees to it that the model is in evaluation mode and that no gradient is recorded.
    """

    def __init__(
        self, model: SceneModel, image: ImageSource, tasks: Collection[str], camera: Camera | None = None
    ) -> None:
        self._model = model
        self._batch = model.preprocess([image], [camera])
        self.free = self._run({}, tasks)

    def given(self, task: str, given: Given) -> Pass:
        """What the task finds with regions from outside."""
        regions = given_regions(given, self._batch, self._model.vocabulary)
        return self._run({**self._carried(self.free.board, task, regions), **regions}, [task])

    def stand_in(self, before: Pass, task: str, head: Head[Any, Any]) -> Pass:
        """The same pass with another head, whatever its mode, in place of the task's own; parts may be of both."""
        with _replaced(self._model, task, head), evaluating(head):
            return self._run(self._carried(before.board, task, self._model.specs[task].provides), [task])

    def _run(self, given: Mapping[Key[Any, Any], Any], tasks: Collection[str]) -> Pass:
        outputs = self._model(self._batch, given=given, tasks=tasks)
        (scene,) = self._model.scenes(outputs, tasks)
        return Pass(outputs.board, scene)

    def _carried(self, board: Board, task: str, changed: Collection[Key[Any, Any]]) -> dict[Key[Any, Any], Any]:
        """What steps gave that does not depend on the `changed` keys: of the stages, and whatever the task reads."""
        plan, found, outdated = self._model.plan, {}, set(changed)
        for name in plan.order:
            provides = [key for key in plan.steps[name].provides if key not in outdated]
            if outdated.intersection(plan.reads(name)):
                outdated.update(provides)
            elif name in self._model.stages or not set(provides).isdisjoint(plan.reads(task)):
                found.update({key: board[key] for key in provides} if _are_whole(board, provides) else {})
        return found


def _are_whole(board: Board, keys: Collection[Key[Any, Any]]) -> bool:
    """Whether the values are there, and of all rows of their stream."""
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
