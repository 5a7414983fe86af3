"""Parameters in groups, and the optimizer over them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from scenekit.backbones.base import Backbone
from scenekit.recipe import TrainConfig
from scenekit.training.schedules import lr_factor

MOMENTUM = 0.9
"""Of stochastic gradient descent."""


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum; each group knows its share of the peak learning rate as `factor`."""
    groups = parameter_groups(model, config)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, object]]:
    """Backbone and the rest, with and without weight decay; frozen parameters are left out.

    Vectors and scalars (biases, and weights of norms) do not decay: shrinking them regularizes nothing.
    """
    backbone = set(_backbone_parameters(model))
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            factor = config.backbone_lr_factor if parameter in backbone else 1.0
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    return [{"params": params, "factor": factor, "weight_decay": decay} for (factor, decay), params in groups.items()]


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
    """Put the rate of `step` into all groups; returns the one of groups without a factor."""
    rate = config.lr * lr_factor(config, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def _backbone_parameters(model: nn.Module) -> Iterable[nn.Parameter]:
    return (p for module in model.modules() if isinstance(module, Backbone) for p in module.parameters())
