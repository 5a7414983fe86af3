"""How strongly each task pulls at what all of them share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scenekit.backbones.fpn import FPN
from scenekit.training.balancing import task_of


def shared_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the feature pyramid: the last ones that every task reads through, and few (GradNorm's choice)."""
    pyramids = (module for module in model.modules() if isinstance(module, FPN))
    return [p for pyramid in pyramids for p in pyramid.parameters() if p.requires_grad]


def task_gradient_norms(losses: Mapping[str, Tensor], shared: list[nn.Parameter]) -> dict[str, float]:
    """The norm of each task's gradient on `shared`, of its weighted losses; the graph stays for the real backward pass.

    One extra backward pass per task, down to the pyramid only. In a run of several processes: of this one's images.
    """
    norms = {}
    for task in dict.fromkeys(map(task_of, losses)):
        own = [loss for name, loss in losses.items() if task_of(name) == task and loss.requires_grad]
        if own and shared:
            gradients = torch.autograd.grad(torch.stack(own).sum(), shared, retain_graph=True, allow_unused=True)
            norms[task] = _norm([gradient for gradient in gradients if gradient is not None])
    return norms


def _norm(gradients: list[Tensor]) -> float:
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
