"""Boxes that depth corrects: numbers by hand, nothing at first and nothing without depth, and what is learned."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.detection import RoIPooler
from scenekit.errors import InputError
from scenekit.keys import BOXES3D, FEATURES, OBJECTS
from scenekit.model.board import Board
from scenekit.ops.rotations import is_rotation, random_rotations
from scenekit.structures import Boxes3D, Camera, ImageBatch
from scenekit_plugins.boxes3d.coding import Views
from scenekit_plugins.boxes3d.config import Boxes3DConfig
from scenekit_plugins.boxes3d.head import Boxes3DHead
from scenekit_plugins.boxes3d.pooled_depth import NUMBERS, DepthCorrection, corrected, of_cells, of_the_box, placed_by
from scenekit_plugins.depth_samples import samples_of
from tests.plugins.boxes3d.test_head import CAMERA, SIZE, head, three
from tests.plugins.kit import pyramid, regions, targets
from tests.tiny import VOCABULARY, config

VALUES = ("center", "size", "rotation", "scores")


def batch(depth: Tensor | None, seeds: tuple[int, ...] | None = None, camera: Camera = CAMERA) -> ImageBatch:
    inputs = {} if depth is None else {"depth": depth}
    return ImageBatch(torch.zeros(1, 3, *SIZE), (SIZE,), (SIZE,), (camera,), inputs, seeds)


def board(depth: Tensor | None, seeds: tuple[int, ...] | None = None) -> Board:
    torch.manual_seed(1)
    whole, objects = Board(batch(depth, seeds), RoIPooler()), three()
    whole.put(FEATURES, pyramid(*SIZE))
    whole.put(OBJECTS, objects)
    return whole.view("head", (FEATURES, OBJECTS, sk.MASKS), {OBJECTS: objects})


def box(z: float, *size: float) -> Boxes3D:
    return Boxes3D(torch.tensor([[0.0, 0.0, z]]), torch.tensor([size]).float(), torch.eye(3)[None], torch.ones(1))


def half_known() -> Tensor:
    """3 m in the left half of the region 16..32 x 8..24, nothing at its right."""
    depth = torch.full((1, 1, *SIZE), torch.nan)
    depth[..., 8:24, 16:24] = 3.0
    return depth


def test_numbers_of_cells_by_hand() -> None:
    """The middle half of the region is the object; a box of 1 x 2 x 2 m (diagonal 3) has its center at 3.6 m."""
    own, images = regions([[16.0, 8, 32, 24]], [0]), batch(half_known())
    samples = samples_of(own, images, half_known(), None)
    middle, every, least, share, there, known = of_cells(box(3.6, 1, 2, 2), samples).reshape(6, 8, 8)
    inner, left = torch.zeros(8, 8), torch.zeros(8, 8)
    inner[2:6, 2:6], left[:, :4] = 1.0, 1.0
    assert torch.allclose(every, left * -0.2) and torch.equal(known, left)
    assert torch.allclose(middle, inner * left * -0.2) and torch.allclose(least, middle)
    assert torch.equal(share, inner) and torch.equal(there, inner * left)


def test_numbers_of_a_box_by_hand() -> None:
    """Focal lengths of 100 and 200 pixels, principal point (30, 20), a region that ends at the left border."""
    own = regions([[0.0, 10, 20, 30]], [0])
    numbers = of_the_box(box(2.0, 1, 2, 2), Views.of(batch(None), own), (SIZE,), own)[0]
    metres = (20 / 100 * 2, 20 / 200 * 2)
    assert numbers[:4].exp().tolist() == pytest.approx([*metres, metres[0] / 3, metres[1] / 3])
    assert numbers[4:8].exp().tolist() == pytest.approx([1, 2, 2, 2])
    assert numbers[8:14].tolist() == pytest.approx([-0.2, 0.0, 1, 0, 0, 0])
    assert torch.equal(numbers[14:], torch.eye(3).flatten()) and len(numbers) == NUMBERS - 6 * 64


def test_corrections_by_hand() -> None:
    """Half of each limit of a box with a diagonal of 3 m at 2 m, seen with focal lengths of 100 and 200 pixels."""
    half = torch.zeros(1, 12)
    half[0, [0, 1, 10]] = math.atanh(0.5)
    cubes = corrected(box(2.0, 1, 2, 2), CAMERA.matrix[None], half)
    assert cubes.depth.tolist() == pytest.approx([2 + 0.25 * 3])
    assert cubes.size[0].tolist() == pytest.approx([math.exp(0.25), 2, 2])
    assert cubes.pixels[0].tolist() == pytest.approx([30 + 0.1 * 3 / 2 * 100, 20])
    assert torch.equal(cubes.rotation, torch.eye(3)[None])
    extreme = corrected(box(2.0, 1, 2, 2), CAMERA.matrix[None], torch.full((1, 12), 1e4))
    assert extreme.depth.item() == pytest.approx(3.5) and bool(is_rotation(extreme.rotation).all())


def test_no_correction_is_none() -> None:
    boxes = replace(box(2.0, 1, 2, 3), center=torch.tensor([[0.3, -0.2, 2.5]]), rotation=random_rotations(1))
    cubes = corrected(boxes, CAMERA.matrix[None], torch.zeros(1, 12))
    for name in ("center", "size", "rotation"):
        assert torch.allclose(getattr(cubes, name), getattr(boxes, name), atol=1e-5)


def test_rows_that_are_not_corrected_stay_to_the_bit() -> None:
    boxes = Boxes3D(*(torch.cat((part, part)) for part in vars(box(2.0, 1, 2, 2)).values()))
    cubes = corrected(boxes, CAMERA.matrix.expand(2, 3, 3), torch.ones(2, 12))
    mixed = placed_by(cubes, boxes, torch.tensor([True, False]))
    for name in ("center", "size", "rotation"):
        assert torch.equal(getattr(mixed, name)[0], getattr(cubes, name)[0])
        assert torch.equal(getattr(mixed, name)[1], getattr(boxes, name)[1])
    assert mixed.scores is boxes.scores


def trained(own: Boxes3DHead) -> Boxes3DHead:
    """The head as after some training: its corrections have weights."""
    assert own.depth is not None
    torch.nn.init.normal_(own.depth.corrections.weight)
    return own.eval()


def decoded(own: Boxes3DHead, depth: Tensor | None) -> Boxes3D:
    view = board(depth)
    return own.decode(own(view), view)


def test_a_new_network_changes_nothing_and_a_trained_one_nothing_without_depth() -> None:
    plain, pooled = head().eval(), head(depth="pooled").eval()
    pooled.load_state_dict(plain.state_dict(), strict=False)
    depth, nothing = torch.full((1, 1, *SIZE), 5.0), torch.full((1, 1, *SIZE), torch.nan)
    moved = decoded(plain, depth)
    assert torch.allclose(decoded(pooled, depth).center, moved.center, rtol=1e-4)
    trained(pooled)
    for given in (None, nothing):
        mine, theirs = decoded(pooled, given), decoded(plain, None)
        assert all(torch.equal(getattr(mine, name), getattr(theirs, name)) for name in VALUES)
    found = decoded(pooled, depth)
    assert [torch.allclose(getattr(found, name), getattr(moved, name)) for name in VALUES] == [False] * 3 + [True]


def test_the_corrections_learn_and_nothing_else_learns_from_them() -> None:
    own, view = head(depth="pooled"), board(torch.rand(1, 1, *SIZE) + 2.0, seeds=(3,))
    truth = Boxes3D(torch.tensor([[0.1, 0.1, 4.0]] * 3), torch.ones(3, 3), torch.eye(3).repeat(3, 1, 1))
    losses = own.loss(own(view), view, targets({BOXES3D: truth}, three()))
    learned = torch.stack([loss for name, loss in losses.items() if name.startswith("depth_")])
    assert {name.removeprefix("depth_") for name in losses} == {"xy", "z", "dims", "pose", "joint", "uncertainty"}
    gradients = torch.autograd.grad(learned.sum(), list(own.parameters()), allow_unused=True)
    reached = {name for (name, _), grad in zip(own.named_parameters(), gradients, strict=True) if grad is not None}
    assert reached == {f"depth.{name}" for name, _ in own.depth.named_parameters()}  # type: ignore[union-attr]


def test_without_depth_there_is_no_loss_of_it() -> None:
    own, view = head(depth="pooled"), board(None)
    truth = Boxes3D(torch.tensor([[0.1, 0.1, 4.0]] * 3), torch.ones(3, 3), torch.eye(3).repeat(3, 1, 1))
    assert not any(name.startswith("depth_") for name in own.loss(own(view), view, targets({BOXES3D: truth}, three())))


@pytest.mark.parametrize("known", [False, True])
def test_trained_alone_it_has_no_other_loss(known: bool) -> None:
    own, view = head(depth="pooled", depth_alone=True), board(half_known() if known else None)
    truth = Boxes3D(torch.tensor([[0.1, 0.1, 4.0]] * 3), torch.ones(3, 3), torch.eye(3).repeat(3, 1, 1))
    losses = own.loss(own(view), view, targets({BOXES3D: truth}, three()))
    assert losses and all(name.startswith("depth_") if known else name == "unlabelled" for name in losses)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]


def test_alone_needs_the_network() -> None:
    with pytest.raises((InputError, ValueError), match="set depth: pooled"):
        Boxes3DConfig(depth_alone=True)


def test_an_offset_is_learned() -> None:
    """Surfaces at 3 m of boxes whose centers are at 3.3 m, whatever the first guess."""
    torch.manual_seed(0)
    network, depth = DepthCorrection(1, 16), torch.full((1, 1, *SIZE), 3.0)
    own, images = regions([[16.0, 8, 32, 24]] * 8, [0] * 8), batch(depth)
    samples = samples_of(own, images, depth, None)
    guesses = torch.linspace(2.8, 3.4, 8)
    boxes = Boxes3D(guesses[:, None] * torch.tensor([0.0, 0, 1]), torch.full((8, 3), 0.5), torch.eye(3).repeat(8, 1, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(150):
        loss = (network(boxes, own, images, samples).depth - 3.3).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.02 < float((guesses - 3.3).abs().mean()) / 5


@pytest.mark.parametrize(
    ("options", "inputs"), [({"refine": False}, ()), ({"depth": "pooled"}, ("depth",)), ({}, ("depth",))]
)
def test_the_record_says_what_is_read(options: dict[str, Any], inputs: tuple[str, ...]) -> None:
    own = config(()).model_dump()
    own["tasks"] = {"boxes3d": {"pooled": 3, "fcs": [16], **options}}
    model = sk.build(sk.ModelConfig.model_validate(own), VOCABULARY)
    assert model.inputs == inputs


def test_corrections_need_boxes_at_their_depth() -> None:
    with pytest.raises((InputError, ValueError), match="leave refine on"):
        Boxes3DConfig(depth="pooled", refine=False)


@pytest.mark.parametrize("alone", [False, True])
def test_the_network_of_depth_may_be_trained_alone(alone: bool) -> None:
    own = head(depth="pooled", depth_alone=alone)
    learns = {name for name, parameter in own.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, _ in own.named_parameters() if name.startswith("depth.") or not alone}
