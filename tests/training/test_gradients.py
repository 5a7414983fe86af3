"""Gradient norms by task at the shared pyramid, against plain backward passes."""

import pytest
import torch
from torch import nn

from scenekit.backbones.base import Level
from scenekit.backbones.fpn import FPN
from scenekit.training.gradients import interference, norms_of, shared_parameters, task_gradients


def test_norms_are_those_of_separate_backward_passes():
    net = nn.ModuleDict({"fpn": FPN([Level(4, 4, 1.5), Level(4, 8, 3.5)], 4), "head": nn.Linear(4, 1)})
    maps = [torch.randn(1, 4, 8, 8), torch.randn(1, 4, 4, 4)]
    shared = shared_parameters(net)
    assert {id(p) for p in shared} == {id(p) for p in net["fpn"].parameters()}

    def losses():
        fine = net["fpn"](maps).maps[0].mean((2, 3))
        return {
            "a.x": fine.square().sum(),
            "a.y": net["head"](fine).sum(),
            "b.x": 3 * fine.sum(),
            "c.unlabelled": 0 * net["head"].bias.sum(),
        }

    norms = norms_of(task_gradients(losses(), shared))
    for task in ("a", "b"):
        net.zero_grad()
        sum(loss for name, loss in losses().items() if name.startswith(task)).backward()
        expected = torch.cat([p.grad.flatten() for p in shared if p.grad is not None]).norm().item()
        assert norms[task] == pytest.approx(expected, rel=1e-5)
    assert norms["c"] == 0.0


def test_the_real_backward_pass_still_works_and_gradients_stay_clean():
    net = FPN([Level(4, 4, 1.5)], 4)
    loss = net([torch.randn(1, 4, 8, 8)]).maps[0].sum()
    task_gradients({"a.x": loss}, list(net.parameters()))
    assert all(parameter.grad is None for parameter in net.parameters())
    loss.backward()


def test_nothing_shared():
    assert task_gradients({"a.x": torch.ones((), requires_grad=True)}, []) == {}


def test_interference_of_three_tasks():
    gradients = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([0.0, -2.0]), "c": torch.zeros(2)}
    found = interference(gradients)
    assert (found["tasks"], found["norms"]) == (["a", "b"], [5.0, 2.0])  # c has nothing to learn from in this batch
    assert found["cosines"] == [pytest.approx([1.0, -0.8]), pytest.approx([-0.8, 1.0])]
    assert interference({"c": torch.zeros(2)}) == {"tasks": [], "norms": [], "cosines": []}
