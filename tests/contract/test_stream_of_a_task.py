"""A task that brings regions of its own, and a value for each of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.errors import InputError
from scenekit.hooks import Policy, TaskSpec
from scenekit.keys import FEATURES, Key, Stream
from scenekit.structures import Regions
from scenekit.testing import check_task
from tests.tiny import VOCABULARY, batch, config, extended, sample

SPOTS = Stream("tests.contract.spots", doc="one region in the middle of each image")
GLOW: Key[Any, Any] = Key("tests.contract.glow", of=SPOTS, doc="a number per spot", shape=("N",))
MEAN: Key[Any, Any] = Key("tests.contract.mean", of=SPOTS, doc="a number per spot", shape=("N",))


class SpotHead(sk.Head[Tensor, Any]):
    """How bright an image is in the middle."""

    def __init__(self, core: sk.Core, config: Any) -> None:
        super().__init__()
        self.net = nn.Linear(core.channels, 1)

    def forward(self, board: sk.Board) -> Tensor:
        return self.net(board[FEATURES].maps[-1].mean((2, 3)))[:, 0]

    def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        truth = targets.streams[SPOTS].regions
        return {"glow": sk.safe_mean((raw[truth.image_index] - targets.values[GLOW])[targets.valid[GLOW]].abs())}

    def decode(self, raw: Tensor, board: sk.Board) -> dict[Key[Any, Any], Any]:
        sizes = raw.new_tensor(board.images.sizes).flip(1)
        index = torch.arange(len(raw))
        return {GLOW: raw, SPOTS: Regions(torch.cat((sizes / 4, sizes * 3 / 4), dim=1), index, scores=raw.sigmoid())}


class MeanHead(sk.Head[Tensor, Tensor]):
    """Follows the stream that another task brings."""

    def forward(self, board: sk.Board) -> Tensor:
        return board.pool(SPOTS, size=2).mean((1, 2, 3))

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return raw


SPOT_TASK = TaskSpec("spots", "for tests", (GLOW, SPOTS), SpotHead, learns_from=(SPOTS, GLOW))
MEAN_TASK = TaskSpec("means", "for tests", (MEAN,), lambda core, config: MeanHead())


def test_a_task_does_not_require_what_it_brings() -> None:
    assert SPOT_TASK.needs == () and MEAN_TASK.needs == (SPOTS,)


def test_it_keeps_every_rule() -> None:
    report = check_task(SPOT_TASK)
    assert report.ok, str(report)


def test_another_task_follows_its_regions() -> None:
    torch.manual_seed(0)
    model = extended(sk.build(config(()), VOCABULARY), MEAN_TASK, SPOT_TASK)
    scene = model.predict(sample().image, tasks=["means", "spots"], threshold=0.0)
    assert torch.equal(scene.regions(SPOTS).boxes, torch.tensor([[16.0, 12.0, 48.0, 36.0]]))
    assert scene[GLOW].shape == scene[MEAN].shape == (1,)
    again = sk.Scene.from_json(scene.to_json())
    torch.testing.assert_close(again[MEAN], scene[MEAN])
    assert len(again.regions(SPOTS)) == 1 and len(again.objects) == len(scene.objects)


def test_it_has_no_detections_to_learn_on() -> None:
    learner = TaskSpec("means", "for tests", (MEAN,), SpotHead, streams={SPOTS: Policy.DETECTIONS}, learns_from=(MEAN,))
    model = extended(sk.build(config(()), VOCABULARY), learner, SPOT_TASK)
    with pytest.raises(InputError, match=r"'tests.contract.spots' is brought by a task, which has no detections"):
        model(*batch(model, [sample()]))
