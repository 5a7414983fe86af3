"""Gradient norms of the tasks at the parameters that they share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scenekit.backbones.fpn import FPN
from scenekit.training.balancing import task_of


def shared_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the trainable parameters of the feature pyramid.

    They are the last ones that every task shares, and few (the choice of GradNorm).

    Args:
        model: The model.

    Returns:
        The parameters.
    """
    pyramids = (module for module in model.modules() if isinstance(module, FPN))
    return [p for pyramid in pyramids for p in pyramid.parameters() if p.requires_grad]


def task_gradient_norms(losses: Mapping[str, Tensor], shared: list[nn.Parameter]) -> dict[str, float]:
    """Compute the norm of each task's gradient at shared parameters; the graph is kept for the backward pass.

    This costs one extra backward pass per task, down to the pyramid only. In a run of several processes each computes
    the norms of its own images.

    Args:
        losses: Weighted losses by "task.loss".
        shared: Parameters that all tasks share.

    Returns:
        The norm by task; a task without gradient is left out.
    """
    norms = {}
    for task in dict.fromkeys(map(task_of, losses)):
        own = [loss for name, loss in losses.items() if task_of(name) == task and loss.requires_grad]
        if own and shared:
            gradients = torch.autograd.grad(torch.stack(own).sum(), shared, retain_graph=True, allow_unused=True)
            reached = [gradient for gradient in gradients if gradient is not None]
            norms[task] = float(torch.nn.utils.get_total_norm(reached)) if reached else 0.0
    return norms
