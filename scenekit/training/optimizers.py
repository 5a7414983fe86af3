"""The optimizer and its parameter groups."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from scenekit.backbones.base import Backbone
from scenekit.recipe import TrainConfig
from scenekit.training.schedules import lr_factor

MOMENTUM = 0.9
"""Momentum of stochastic gradient descent."""


def build_optimizer(
    model: nn.Module, config: TrainConfig, balancer: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Build AdamW or SGD with momentum; each parameter group holds its share of the peak learning rate as `factor`.

    Args:
        model: The model.
        config: The recipe's training section.
        balancer: Parameters of the balancer, which do not decay.

    Returns:
        The optimizer.
    """
    groups = parameter_groups(model, config)
    if balancer:
        groups.append({"params": list(balancer), "factor": 1.0, "weight_decay": 0.0})
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM)


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, object]]:
    """Group trainable parameters: backbone and the rest, with and without weight decay.

    Vectors and scalars (biases, and weights of norms) do not decay: shrinking them regularizes nothing.

    Args:
        model: The model.
        config: The recipe's training section.

    Returns:
        Parameter groups of an optimizer, with `factor` and `weight_decay`.
    """
    backbone = {p for module in model.modules() if isinstance(module, Backbone) for p in module.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            factor = config.backbone_lr_factor if parameter in backbone else 1.0
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    return [{"params": params, "factor": factor, "weight_decay": decay} for (factor, decay), params in groups.items()]


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
    """Set the learning rate of a step in all parameter groups.

    Args:
        optimizer: The optimizer.
        config: The recipe's training section.
        step: The step, from 0.

    Returns:
        The learning rate of groups whose factor is 1.
    """
    rate = config.lr * lr_factor(config, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    return rate
