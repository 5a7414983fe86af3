"""Everything runs in reduced precision too, as on a GPU: the network in bfloat16, boxes and losses in full."""

from __future__ import annotations

import copy

import pytest
import torch

import scenekit as sk
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, SEMANTIC
from scenekit.model.scene_model import SceneModel
from tests.tiny import VOCABULARY, batch, config, sample


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


def test_losses_in_bfloat16_are_near_and_reach_every_parameter(model: SceneModel) -> None:
    data = batch(model, [sample(0), sample(1)])
    exact = model(*data).losses
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(*data).losses
    assert losses.keys() == exact.keys()
    for name, loss in losses.items():
        assert loss.dtype == torch.float32, name
        torch.testing.assert_close(loss, exact[name], rtol=0.1, atol=0.05)
    gradients = torch.autograd.grad(torch.stack(list(losses.values())).sum(), list(model.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_predictions_in_bfloat16_are_ordinary_values(model: SceneModel) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        scene = model.predict(sample().image, threshold=0.0)
    exact = model.predict(sample().image, threshold=0.0)
    assert len(scene.objects) > 0 and scene.objects.boxes.dtype == torch.float32
    assert scene[KEYPOINTS].xy.dtype == torch.float32 and len(scene[MASKS]) == len(scene.objects)
    assert (scene[SEMANTIC] == exact[SEMANTIC]).float().mean() > 0.9


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_all_in_another_type_predicts(model: SceneModel, kind: torch.dtype) -> None:
    """From images, and from a batch in single precision."""
    other = copy.deepcopy(model).to(kind)
    scene, exact = other.predict(sample().image, threshold=0.0), model.predict(sample().image, threshold=0.0)
    assert len(scene.objects) > 0 and scene.objects.boxes.dtype == scene.objects.scores.dtype == torch.float32
    assert (scene[SEMANTIC] == exact[SEMANTIC]).float().mean() > 0.9
    with torch.no_grad():
        outputs = other(model.preprocess([sample().image]))
    assert outputs.board[OBJECTS].boxes.dtype == torch.float32
    assert torch.equal(other.scenes(outputs)[0].objects.boxes, scene.objects.boxes)
