"""Which parameters decay and at which rate they learn."""

import torch
from torch import nn

from scenekit.backbones.base import Backbone
from scenekit.recipe import TrainConfig
from scenekit.training.optimizers import build_optimizer, set_learning_rate


class Trunk(Backbone):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.norm = nn.GroupNorm(1, 1)
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)

    def forward(self, pixels):
        return (pixels,)


def model():
    return nn.ModuleDict({"trunk": Trunk(), "head": nn.Linear(2, 2)})


def test_groups():
    net = model()
    config = TrainConfig(lr=0.1, backbone_lr_factor=0.5, weight_decay=0.3, warmup=0, schedule="constant")
    optimizer = build_optimizer(net, config)
    found = {
        id(parameter): (group["factor"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    trunk, head = net["trunk"], net["head"]
    assert found == {
        id(trunk.conv.weight): (0.5, 0.3),
        id(trunk.conv.bias): (0.5, 0.0),
        id(trunk.norm.weight): (0.5, 0.0),
        id(trunk.norm.bias): (0.5, 0.0),
        id(head.weight): (1.0, 0.3),
        id(head.bias): (1.0, 0.0),
    }
    assert set_learning_rate(optimizer, config, 3) == 0.1
    assert {(group["factor"], group["lr"]) for group in optimizer.param_groups} == {(0.5, 0.05), (1.0, 0.1)}


def test_kinds():
    assert isinstance(build_optimizer(model(), TrainConfig()), torch.optim.AdamW)
    sgd = build_optimizer(model(), TrainConfig(optimizer="sgd"))
    assert isinstance(sgd, torch.optim.SGD) and sgd.param_groups[0]["momentum"] == 0.9
