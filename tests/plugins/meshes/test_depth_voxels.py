"""Voxels that depth corrects: clues by hand, nothing without depth, and a surface that is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy.spatial.transform import Rotation
from torch import Tensor

from scenekit.detection import RoIPooler
from scenekit.keys import BOXES3D, FEATURES, MASKS, OBJECTS
from scenekit.model.board import Board
from scenekit.structures import Boxes3D, ImageBatch, Meshes, Regions
from scenekit_plugins.depth_samples import samples_of
from scenekit_plugins.meshes.config import MeshConfig
from scenekit_plugins.meshes.depth_voxels import WIDER, DepthVoxels, clues_of, wider
from scenekit_plugins.meshes.frustum import Frustums, depths_at, z_in_cube
from scenekit_plugins.meshes.head import MeshHead
from tests.plugins.kit import CUP, pyramid, regions
from tests.plugins.meshes.test_head import CAMERA, balls, head, seen, spec_for

SIZE = (64, 64)
BOX = [16.0, 16.0, 48.0, 48.0]


def batch(depth: Tensor | None, seeds: tuple[int, ...] | None = None) -> ImageBatch:
    inputs = {} if depth is None else {"depth": depth}
    return ImageBatch(torch.zeros(1, 3, *SIZE), (SIZE,), (SIZE,), (CAMERA,), inputs, seeds)


def view(objects: Regions, boxes: Boxes3D, depth: Tensor | None, seeds: tuple[int, ...] | None = None) -> Board:
    torch.manual_seed(1)
    board = Board(batch(depth, seeds), RoIPooler())
    board.put(FEATURES, pyramid(*SIZE))
    board.put(OBJECTS, objects)
    board.put(BOXES3D, boxes, objects)
    return board.view("head", (FEATURES, OBJECTS, BOXES3D, MASKS), {OBJECTS: objects})


def flat(metres: float) -> Tensor:
    return torch.full((1, 1, *SIZE), metres)


def test_z_of_the_cube_is_the_inverse_of_depth() -> None:
    depths = torch.tensor([[2.0, 3.0], [1.0, 4.0]])
    z = torch.tensor([[-1.0, -0.3, 0.5, 1.0]] * 2)
    assert torch.allclose(z_in_cube(depths_at(z, depths[:, None]), depths[:, None]), z, atol=1e-5)


def test_clues_by_hand() -> None:
    """A wall in the middle of a frustum of 8 cells a side, seen in the upper half of the image alone."""
    own, frustums = regions([BOX], [0]), Frustums(torch.tensor([BOX]), torch.tensor([[2.0, 6.0]]), CAMERA.matrix[None])
    depth = flat(3.0)  # 1 / 3 is the middle of 1 / 2 and 1 / 6
    depth[..., 32:, :] = torch.nan
    boxes = Boxes3D(torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[100.0, 100.0, 100.0]]), torch.eye(3)[None])
    samples = samples_of(own, batch(depth), depth, torch.ones(1, 28, 28))
    clues = clues_of(samples, torch.ones(1, 28, 28), boxes, frustums, 8, "corner")[0]
    behind, inside, (mask, known, any_known, place) = clues[:8], clues[8:16], clues[16:]
    assert torch.allclose(
        behind[:, :4], torch.tensor([-1.0, -1, -1, -0.5, 0.5, 1, 1, 1])[:, None, None].expand(8, 4, 8)
    )
    assert behind[:, 4:].eq(0).all() and inside.gt(1.8).all() and mask.eq(1).all()
    assert torch.equal(known, torch.ones(8, 8).tril(-9) + (torch.arange(8) < 4)[:, None].float().expand(8, 8))
    assert torch.equal(any_known, known) and place.abs().max() < 1e-5
    alone = clues_of(samples, None, boxes, frustums, 8, "corner")[0]
    assert alone[16].eq(0).all() and torch.equal(alone[17:], clues[17:])


def test_grids_that_divide_no_samples() -> None:
    own, frustums = regions([BOX], [0]), Frustums(torch.tensor([BOX]), torch.tensor([[2.0, 6.0]]), CAMERA.matrix[None])
    boxes = Boxes3D(torch.tensor([[0.0, 0.0, 4.0]]), torch.ones(1, 3), torch.eye(3)[None])
    samples = samples_of(own, batch(flat(3.0)), flat(3.0), None)
    assert clues_of(samples, None, boxes, frustums, 10, "corner").shape == (1, 24, 10, 10)


def test_frustums_are_longer_where_there_is_depth() -> None:
    logs = torch.tensor([0.5, 0.5])
    longer = wider(logs, torch.tensor([True, False])).exp() / logs.exp()
    assert longer.tolist() == pytest.approx([WIDER, 1.0])


def trained(own: MeshHead) -> MeshHead:
    assert own.depth is not None
    torch.nn.init.normal_(own.depth.predictor.weight)
    return own.eval()


def test_nothing_changes_without_depth_to_the_bit() -> None:
    meshes, boxes = balls((0.0, 0.0, 2.0), (0.3, 0.1, 2.5))
    objects, _ = seen(meshes, boxes)
    objects = Regions(objects.boxes, objects.image_index, objects.labels)
    torch.manual_seed(0)
    plain = head().eval()
    own = head(depth="voxels")
    own.load_state_dict(plain.state_dict(), strict=False)
    trained(own)

    def decoded(one: MeshHead, depth: Tensor | None) -> Meshes:
        board = view(objects, boxes, depth)
        return one.decode(one(board), board)

    expected = decoded(plain, None)
    for depth in (None, flat(float("nan"))):
        found = decoded(own, depth)
        assert torch.equal(found.verts, expected.verts) and torch.equal(found.faces, expected.faces)
    partly = flat(2.0)
    partly[..., int(objects.boxes[0, 2]) :] = torch.nan
    mixed = decoded(own, partly)
    moved = [len(mixed[row].verts) != len(expected[row].verts) for row in (0, 1)]
    assert moved[0] and len(mixed) == 2
    assert not torch.equal(decoded(own, flat(2.0)).verts, expected.verts)


def test_a_row_without_depth_keeps_its_mesh_beside_one_with_depth() -> None:
    meshes, boxes = balls((-0.5, 0.0, 2.0), (0.5, 0.0, 2.0))
    objects, _ = seen(meshes, boxes)
    objects = Regions(objects.boxes, objects.image_index, objects.labels)
    own, depth = trained(head(depth="voxels")), flat(2.0)
    depth[..., 32:] = torch.nan  # that of the ball at the right
    without, beside = view(objects, boxes, None), view(objects, boxes, depth)
    alone, mixed = own.decode(own(without), without), own.decode(own(beside), beside)
    assert torch.allclose(mixed[1].verts, alone[1].verts, atol=1e-5)
    assert mixed[0].verts.shape != alone[0].verts.shape or not torch.allclose(mixed[0].verts, alone[0].verts)


def test_only_the_network_of_depth_learns_from_its_loss() -> None:
    meshes, boxes = balls((0.0, 0.0, 2.0))
    objects, truth = seen(meshes, boxes)
    own, board = head(depth="voxels"), view(objects, boxes, flat(1.9), seeds=(3,))
    losses = own.loss(own(board), board, truth)
    gradients = torch.autograd.grad(losses["depth_voxel"], list(own.parameters()), allow_unused=True)
    reached = {name for (name, _), grad in zip(own.named_parameters(), gradients, strict=True) if grad is not None}
    assert reached == {f"depth.{name}" for name, _ in own.depth.named_parameters()}  # type: ignore[union-attr]


@pytest.mark.parametrize(("depth", "name"), [(1.9, "depth_voxel"), (None, "unlabelled")])
def test_trained_alone_it_has_no_other_loss(depth: float | None, name: str) -> None:
    meshes, boxes = balls((0.0, 0.0, 2.0))
    objects, truth = seen(meshes, boxes)
    own = head(depth="voxels", depth_alone=True)
    board = view(objects, boxes, None if depth is None else flat(depth), seeds=(3,))
    losses = own.loss(own(board), board, truth)
    assert list(losses) == [name]
    losses[name].backward()  # type: ignore[no-untyped-call]


def test_meshes_of_targets_lie_in_their_own_frustum() -> None:
    """Those begin from voxels that depth has not corrected."""
    objects, _ = seen(*(both := balls((0.0, 0.0, 2.0))))
    own, known = trained(head(depth="voxels")), Regions(objects.boxes, objects.image_index, objects.labels)
    learning, plain = view(objects, both[1], flat(1.9)), view(known, both[1], None)
    with_targets, without = own.decode(own(learning), learning), own.decode(own(plain), plain)
    assert torch.equal(with_targets.verts, without.verts)


def test_half_precision_leaves_geometry_alone() -> None:
    meshes, boxes = balls((-0.5, 0.0, 2.0), (0.5, 0.0, 2.0))
    boxes = replace(boxes, rotation=torch.tensor(Rotation.random(2, random_state=0).as_matrix()).float())
    objects, _ = seen(meshes, boxes)
    own, board = head(depth="voxels"), view(objects, boxes, flat(1.9))
    with torch.autocast("cpu", torch.bfloat16):
        corrected = own(board).corrected
    assert corrected is not None and corrected.usable.all()


def test_a_surface_is_learned() -> None:
    """Solid behind what depth shows, empty before it, wherever that is: the logits of the voxels do not say."""
    torch.manual_seed(0)
    network, own = DepthVoxels(8, 1, 8), regions([BOX] * 4, [0] * 4)
    frustums = Frustums(own.boxes, torch.tensor([[2.0, 6.0]] * 4), CAMERA.matrix.expand(4, 3, 3))
    boxes = Boxes3D(torch.tensor([[0.0, 0.0, 4.0]] * 4), torch.full((4, 3), 4.0), torch.eye(3).expand(4, 3, 3))
    places = torch.tensor([0.4, -0.4, 0.1, -0.6])
    depth = depths_at(places, frustums.depths)
    samples = samples_of(own, batch(flat(1.0)), flat(1.0), torch.ones(4, 28, 28))
    samples = type(samples)(**{**vars(samples), "depth": depth[:, None].expand_as(samples.depth)})
    clues = clues_of(samples, None, boxes, frustums, 8, "corner")
    steps = (2 * torch.arange(8) + 1) / 8 - 1
    target = (steps > places[:, None]).float()[:, :, None, None].expand(4, 8, 8, 8)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for _ in range(60):
        logits = network(torch.zeros(4, 8, 8, 8), clues, own.labels)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(((logits > 0) == target.bool()).float().mean()) > 0.98


@pytest.mark.parametrize(("options", "inputs"), [({}, {}), ({"depth": "voxels"}, {"depth": (MASKS,)})])
def test_the_record_says_what_is_read(options: dict[str, Any], inputs: dict[str, Any]) -> None:
    assert spec_for(**options).inputs == inputs


def test_spheres_have_no_voxels_to_correct() -> None:
    with pytest.raises(ValidationError, match=r"meshes\.sphere has none"):
        MeshConfig(depth="voxels", sphere=2)


def test_classes_move_with_their_names() -> None:
    own = head(depth="voxels")
    assert own.axis_names["depth.label.weight"][0].names[CUP] == "cup"


def test_alone_needs_the_network() -> None:
    with pytest.raises(ValidationError, match="set depth: voxels"):
        MeshConfig(depth_alone=True)


@pytest.mark.parametrize("alone", [False, True])
def test_the_network_of_depth_may_be_trained_alone(alone: bool) -> None:
    own = head(depth="voxels", depth_alone=alone)
    learns = {name for name, parameter in own.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, _ in own.named_parameters() if name.startswith("depth.") or not alone}
