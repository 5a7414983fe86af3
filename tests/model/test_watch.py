"""A step that changes in place what others read is an error that names both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.errors import BoardError
from scenekit.hooks import TaskSpec
from scenekit.keys import FEATURES, MASKS, OBJECTS, SEMANTIC, Key
from scenekit.model.board import Board
from scenekit.model.scene_model import SceneModel
from scenekit.model.watch import Watch
from tests.tiny import VOCABULARY, batch, config, extended, sample

LEVEL: Key[Any, Any] = Key("test.watch.level", of=OBJECTS, doc="a number for each object")


class Head(sk.Head[Tensor, Tensor]):
    """Changes what it reads as `spoil` says, in one of its methods."""

    def __init__(self, where: str, spoil: Callable[[Any], Any]) -> None:
        super().__init__()
        self.where, self.spoil = where, spoil

    def forward(self, board: Board) -> Tensor:
        if self.where == "forward":
            self.spoil(board)
        return torch.zeros(len(board[OBJECTS]))

    def loss(self, raw: Tensor, board: Board, targets: Any) -> dict[str, Tensor]:
        if self.where == "loss":
            self.spoil(targets)
        return {}

    def decode(self, raw: Tensor, board: Board) -> Tensor:
        return raw

    def finish(self, value: Tensor, scene: Any, geometry: Any) -> Tensor:
        if self.where == "finish":
            self.spoil(scene)
        return value


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


def spoiled(model: SceneModel, where: str, spoil: Callable[[Any], Any]) -> SceneModel:
    def build(core: object, options: object) -> Head:
        return Head(where, spoil)

    requires = (FEATURES, OBJECTS, SEMANTIC)
    return extended(model, TaskSpec("spoiler", "", (LEVEL,), build, requires=requires, learns_from=(MASKS,)))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda board: board[FEATURES].maps[1].relu_(), "'features'"),
        (lambda board: board[FEATURES].maps[0].flatten(2)[:, :, 0].zero_(), "'features'"),
        (lambda board: board.pool(OBJECTS, 7).relu_(), "RoI features of side 7 pooled from 'features'"),
        (lambda board: board.pool(OBJECTS, 5).mul_(2), "RoI features of side 5 pooled from 'features'"),
        (lambda board: board[OBJECTS].boxes.add_(1), "'objects'"),
        (lambda board: board[SEMANTIC].softmax(1).add_(board[SEMANTIC].zero_()), "'semantic'"),
        (lambda board: board.images.pixels.clamp_(min=0), "the images"),
    ],
)
def test_what_is_shared_stays_as_it_is(model: SceneModel, spoil: Callable[[Board], Any], what: str) -> None:
    with pytest.raises(BoardError, match=rf"^'spoiler' changes {what} in place, which other steps read; change a copy"):
        spoiled(model, "forward", spoil).predict(sample().image, threshold=0.0)


def test_targets_and_values_of_a_scene_stay_as_they_are(model: SceneModel) -> None:
    learner = spoiled(model, "loss", lambda targets: targets.streams[OBJECTS].regions.boxes.add_(1))
    with pytest.raises(BoardError, match="'spoiler' changes the targets in place"):
        learner(*batch(learner, [sample()]))
    with pytest.raises(BoardError, match="`finish` of 'spoiler' changes the regions of the scene in place"):
        spoiled(model, "finish", lambda scene: scene.objects.boxes.zero_()).predict(sample().image, threshold=0.0)


def test_copies_may_be_changed(model: SceneModel) -> None:
    def copied(board: Board) -> None:
        board[FEATURES].maps[0].clone().relu_()
        board.pool(OBJECTS, 7).clone().relu_()

    assert LEVEL in spoiled(model, "forward", copied).predict(sample().image, threshold=0.0)


def test_tensors_without_a_count_are_not_watched(model: SceneModel) -> None:
    with torch.inference_mode():
        made = torch.zeros(2)
        watch = Watch()
        watch.add("it", {"a": [made]})
        made.add_(1)
        watch.check("a step")
        scene = model.predict(sample().image, threshold=0.0)
    assert torch.equal(scene.objects.boxes, model.predict(sample().image, threshold=0.0).objects.boxes)
