"""The network that reads depth: numbers by hand, nothing without depth, and what training leaves out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.detection import RoIPooler
from scenekit.keys import BOXES3D, FEATURES, OBJECTS
from scenekit.model.board import Board
from scenekit.structures import ImageBatch, Regions
from scenekit_plugins.boxes3d.head import Boxes3DHead
from scenekit_plugins.boxes3d.pooled_depth import PooledDepth, dropped, statistics
from tests.plugins.boxes3d.test_head import CAMERA, SIZE, head, three
from tests.plugins.kit import pyramid, regions, targets
from tests.tiny import VOCABULARY, config


def batch(depth: Tensor | None, seeds: tuple[int, ...] | None = None) -> ImageBatch:
    inputs = {} if depth is None else {"depth": depth}
    return ImageBatch(torch.zeros(1, 3, *SIZE), (SIZE,), (SIZE,), (CAMERA,), inputs, seeds)


def board(objects: Regions, depth: Tensor | None, seeds: tuple[int, ...] | None = None) -> Board:
    torch.manual_seed(1)
    whole = Board(batch(depth, seeds), RoIPooler())
    whole.put(FEATURES, pyramid(*SIZE))
    whole.put(OBJECTS, objects)
    return whole.view("head", (FEATURES, OBJECTS), {OBJECTS: objects})


def test_statistics_by_hand() -> None:
    """A region of 8 x 8 pixels in 2 x 2 cells of 4 x 4: 2 m and 4 m at the left, nothing at the upper right."""
    depth = torch.full((1, 1, *SIZE), torch.nan)
    depth[0, 0, :4, :4] = 2.0
    depth[0, 0, 4:8, :4] = 4.0
    depth[0, 0, 4:8, 4:8] = torch.arange(1.0, 17.0).reshape(4, 4)
    numbers, there = statistics(regions([[0.0, 0, 8, 8], [20, 20, 30, 30]], [0, 0]), depth, 2)
    medians, ranges, shares = numbers[0, :-1].reshape(3, 2, 2)
    middle = 4.0  # of 16 x 2, 16 x 4 and 1 to 16, by the lower of two middle values
    assert medians.tolist() == [[2 - middle, 0], [4 - middle, 8 - middle]]
    assert ranges.tolist() == [[0, 0], [0, 7.5]]
    assert shares.tolist() == [[1, 0], [1, 1]]
    assert numbers[0, -1] == pytest.approx(math.log(middle))
    assert there.tolist() == [True, False] and numbers[1].eq(0).all()


def trained(own: Boxes3DHead) -> Boxes3DHead:
    """The head as after some training: its layer of depth has weights."""
    assert own.depth is not None
    torch.nn.init.normal_(own.depth.layer.weight)
    return own.eval()


def test_a_new_layer_changes_nothing_and_a_trained_one_nothing_without_depth() -> None:
    plain, pooled = head(), head(depth="pooled")
    pooled.load_state_dict(plain.state_dict(), strict=False)
    depth, nothing = torch.full((1, 1, *SIZE), 5.0), torch.full((1, 1, *SIZE), torch.nan)
    expected = plain.eval()(board(three(), None))
    assert torch.equal(pooled.eval()(board(three(), depth)).deltas, expected.deltas)
    trained(pooled)
    for given in (None, nothing):
        assert torch.equal(pooled(board(three(), given)).deltas, expected.deltas)
    assert not torch.equal(pooled(board(three(), depth)).deltas, expected.deltas)


def test_the_layer_learns() -> None:
    own = head(depth="pooled", depth_dropout=0.0)
    objects = three()
    view = board(objects, torch.rand(1, 1, *SIZE) + 2.0, seeds=(1,))
    truth = sk.Boxes3D(torch.tensor([[0.1, 0.1, 4.0]] * 3), torch.ones(3, 3), torch.eye(3).repeat(3, 1, 1))
    losses = own.loss(own(view), view, targets({BOXES3D: truth}, objects))
    assert own.depth is not None
    (gradient,) = torch.autograd.grad(sum(losses.values(), torch.zeros(())), [own.depth.layer.weight])
    assert gradient.abs().sum() > 0


def test_training_leaves_depth_out_by_the_seeds_of_images() -> None:
    seeds = tuple(range(2000))
    shares = [float(dropped(seeds, share).float().mean()) for share in (0.0, 0.4, 1.0)]
    assert shares == [0.0, pytest.approx(0.4, abs=0.04), 1.0]
    assert torch.equal(dropped(seeds, 0.4)[5:], dropped(seeds[5:], 0.4))
    layer = PooledDepth(3, 8, dropout=1.0)
    torch.nn.init.ones_(layer.layer.weight)
    features, depth = torch.rand(3, 8), torch.full((1, 1, *SIZE), 5.0)
    for images, same in ((batch(depth, (1,)), True), (batch(depth), False)):
        assert torch.equal(layer(features, three(), images, depth), features) is same


@pytest.mark.parametrize(
    ("options", "inputs"),
    [({"refine": False}, ()), ({"depth": "pooled"}, ("depth",)), ({"depth": "pooled", "refine": False}, ("depth",))],
)
def test_the_record_says_what_is_read(options: dict[str, object], inputs: tuple[str, ...]) -> None:
    own = config(()).model_dump()
    own["tasks"] = {"boxes3d": {"pooled": 3, "fcs": [16], **options}}
    model = sk.build(sk.ModelConfig.model_validate(own), VOCABULARY)
    assert model.inputs == inputs
