"""The losses against Mesh R-CNN's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scenekit.structures import Meshes
from scenekit_plugins.meshes import scenekit_tasks
from scenekit_plugins.meshes.head import own_class
from scenekit_plugins.meshes.losses import extent_loss, mesh_losses, voxel_loss
from tests.plugins.kit import regions
from tests.plugins.meshes.reference import case, meshes_of

NAME = "meshrcnn_losses"
WEIGHTS = next(iter(scenekit_tasks())).loss_weights


def cropped() -> Meshes:
    """Their true meshes in the cube."""
    theirs = case(NAME, "crop_mesh")
    return Meshes.from_lists(list(theirs["out_verts"]), [theirs["faces"]] * len(theirs["out_verts"]))


def check(loss: Tensor, inputs: Tensor, known: dict[str, Tensor]) -> None:
    (gradient,) = torch.autograd.grad(loss, inputs)
    torch.testing.assert_close(loss, known["loss"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, known["grad"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("agnostic", [True, False])
def test_voxel_loss_is_that_of_mesh_rcnn(agnostic: bool) -> None:
    known = case(NAME, f"voxel_loss|agnostic={agnostic}")
    logits = known["logits"].requires_grad_()
    own = own_class(logits, regions([[0.0, 0, 1, 1]] * 3, [0, 2, 1]))
    check(WEIGHTS["voxel"] * voxel_loss(own, case(NAME, "crop_voxel")["out"]), logits, known)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_extent_loss_is_that_of_mesh_rcnn(beta: float) -> None:
    known, boxes = case(NAME, f"z_loss|beta={beta}"), case(NAME, "crop_mesh")["boxes"]
    logs = known["z_pred"].requires_grad_()
    own = own_class(logs, regions(boxes.tolist(), known["gt_classes"].tolist()))
    truth = known["gt_dz"] / (boxes[:, 3] - boxes[:, 1])
    check(WEIGHTS["extent"] * extent_loss(own, truth, beta), logs, known)


def test_mesh_losses_are_those_of_mesh_rcnn() -> None:
    known = case(NAME, "mesh_loss")
    stages = [meshes_of(known, f"stage{number}_") for number in range(2)]
    losses = mesh_losses(stages, cropped(), samples=5000)
    ours = torch.stack([WEIGHTS[name] * losses[name] for name in ("chamfer", "normal", "edge")]).double()
    assert ((ours - known["mean_f64"]).abs() <= 4 * known["std_f64"] + 1e-4).all()


def test_without_a_mesh_losses_are_zero_and_hang_on_the_graph() -> None:
    verts = torch.zeros(0, 3, requires_grad=True)
    nothing = Meshes.from_lists([], [])
    stage = Meshes(verts, nothing.faces, nothing.verts_offset, nothing.faces_offset)
    losses = mesh_losses([stage, stage], nothing, samples=10)
    assert set(losses) == {"chamfer", "normal", "edge"}
    gradients = [torch.autograd.grad(loss, verts, retain_graph=True)[0] for loss in losses.values()]
    assert all(loss == 0 for loss in losses.values()) and all(part.shape == (0, 3) for part in gradients)
    logits = torch.zeros(0, 4, 4, 4)
    assert voxel_loss(logits, logits) == 0 and extent_loss(torch.zeros(0), torch.zeros(0), 0.0) == 0


def test_without_a_face_to_start_from_losses_are_zero() -> None:
    """As where all voxels are NaN, whose own loss then says so."""
    bare = Meshes.from_lists([torch.zeros(0, 3, requires_grad=True)] * 3, [torch.zeros(0, 3, dtype=torch.int64)] * 3)
    assert [loss.item() for loss in mesh_losses([bare, bare], cropped(), samples=10).values()] == [0, 0, 0]


def test_of_vertices_that_are_not_finite_losses_are_nan() -> None:
    """A message about one vertex would hide what happened: the step diverged."""
    known = case(NAME, "mesh_loss")
    stage = meshes_of(known, "stage0_")
    spoiled = stage.with_verts(stage.verts.clone().index_fill(0, torch.tensor([3]), torch.inf))
    losses = mesh_losses([stage, spoiled], cropped(), samples=10)
    assert all(loss.isnan() for loss in losses.values())
