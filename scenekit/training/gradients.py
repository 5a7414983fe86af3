"""Gradients of the tasks at parameters that they share: their norms, how they conflict, and their combination.

Letters: T tasks, P numbers in the shared parameters.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.backbones.fpn import FPN
from scenekit.errors import InputError
from scenekit.recipe import TrainConfig
from scenekit.training.balancing import Losses, averaged, task_of
from scenekit.training.gradient_balancers import GradientBalancer
from scenekit.training.log import Log
from scenekit.training.schedules import falls_on


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


def task_gradients(losses: Losses, shared: Sequence[nn.Parameter]) -> dict[str, Float[Tensor, " P"]]:
    """Compute each task's gradient at shared parameters; the graph is kept for the backward pass.

    This costs one extra backward pass per task, down to these parameters only, and changes neither gradients that are
    stored nor random numbers.

    Args:
        losses: Weighted losses by "task.loss".
        shared: Parameters that all tasks share.

    Returns:
        The gradients of all parameters in a row, by task; a task without gradient is left out.
    """
    rows = {}
    for task in dict.fromkeys(map(task_of, losses)):
        own = [loss for name, loss in losses.items() if task_of(name) == task and loss.requires_grad]
        if own and shared:
            found = torch.autograd.grad(torch.stack(own).sum(), shared, retain_graph=True, allow_unused=True)
            zeros = (torch.zeros_like(p) if g is None else g for p, g in zip(shared, found, strict=True))
            rows[task] = torch.cat([gradient.flatten() for gradient in zeros])
    return rows


def norms_of(gradients: Mapping[str, Float[Tensor, " P"]]) -> dict[str, float]:
    """Return the norm of each task's gradient."""
    return {task: float(gradient.norm()) for task, gradient in gradients.items()}


def interference(gradients: Mapping[str, Float[Tensor, " P"]]) -> dict[str, Any]:
    """Measure how the gradients of tasks agree.

    Args:
        gradients: Gradients at shared parameters by task.

    Returns:
        `tasks` with a gradient in this batch, their `norms`, and their `cosines`: a row per task.
    """
    norms = {task: norm for task, norm in norms_of(gradients).items() if norm > 0}
    if not norms:
        return {"tasks": [], "norms": [], "cosines": []}
    units = F.normalize(torch.stack([gradients[task].float() for task in norms]))
    return {"tasks": list(norms), "norms": list(norms.values()), "cosines": (units @ units.T).tolist()}


class GradientWatch:
    """Measures the gradients of the tasks at the feature pyramid when they are due, on the last batch of a step.

    Args:
        model: The model that is trained.
        config: The recipe's training section.

    Raises:
        InputError: If the interference is to be recorded, and there is nothing that it can be measured at.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.shared, self.config = shared_parameters(model), config
        self.log: Log | None = None
        if config.interference_every and not self.shared:
            raise InputError(
                "train.interference_every needs a feature pyramid that is trained, where the gradients of the tasks "
                "meet; train it, or set interference_every: 0"
            )

    def open(self, path: Path, step: int) -> None:
        """Open the file of the interference, if it is recorded.

        Args:
            path: Path of the file.
            step: Number of finished steps; later records are removed.
        """
        if self.config.interference_every:
            self.log = Log(path, step)

    def __call__(self, losses: Losses, step: int) -> dict[str, float]:
        """Record the interference where it is due.

        Args:
            losses: Weighted losses by "task.loss".
            step: Number of finished steps after this one.

        Returns:
            Gradient norms by task where the log of the run needs them, else none.
        """
        logged = falls_on(step, self.config.log_every * self.config.grad_norm_every)
        recorded = self.log is not None and falls_on(step, self.config.interference_every)
        if not (logged or recorded):
            return {}
        gradients = task_gradients(losses, self.shared)
        if self.log is not None and recorded:
            self.log.write({"step": step, **interference(gradients)})
        return norms_of(gradients) if logged else {}


class TrunkGradients:
    """Gradients of the tasks at the trunk over one step, for a balancer of gradients.

    They take T times the memory of the trunk's parameters, and one more backward pass per task.

    Args:
        trunk: The backbone with its pyramid.
        balancer: Weights the gradients.
        precision: Mixed precision of the run.

    Raises:
        InputError: If nothing of the trunk is trained, or losses are scaled for float16.
    """

    def __init__(self, trunk: nn.Module | None, balancer: GradientBalancer, precision: str) -> None:
        self.parameters = [] if trunk is None else [p for p in trunk.parameters() if p.requires_grad]
        self.balancer = balancer
        self.rows: dict[str, Tensor] = {}
        if not self.parameters:
            raise InputError(
                "train.balancer weights gradients where tasks meet, but nothing of the trunk is trained; use static"
            )
        if precision == "fp16":
            raise InputError("train.balancer weights gradients, which fp16 scales; set train.precision to bf16 or no")

    def add(self, losses: Losses, share: float) -> None:
        """Add the gradients of a part of the step.

        Args:
            losses: Weighted losses by "task.loss".
            share: The share of the part.
        """
        for task, row in task_gradients(losses, self.parameters).items():
            self.rows[task] = self.rows[task] + share * row if task in self.rows else share * row

    @torch.no_grad()
    def assign(self, losses: Losses, seed: str) -> None:
        """Replace the gradients of the trunk by the balancer's combination.

        Args:
            losses: Weighted losses of the last part of the step.
            seed: Seed of what the balancer draws at random, equal in all processes.
        """
        rows = averaged(torch.stack(list(self.rows.values())))
        values, _ = self.balancer.means(losses)
        tasks = list(self.rows)
        own = values[[self.balancer.tasks.index(task) for task in tasks]]
        reached = rows.norm(dim=1) > 0
        rows, own = rows[reached], own[reached]
        if len(rows):
            with torch.random.fork_rng():
                torch.manual_seed(random.Random(seed).getrandbits(62))
                names = [task for task, there in zip(tasks, reached.tolist(), strict=True) if there]
                weights = self.balancer.weigh(rows @ rows.T, own, names)
            self._write(weights.to(rows) @ rows)
        self.rows = {}

    def _write(self, combined: Float[Tensor, " P"]) -> None:
        sizes = [parameter.numel() for parameter in self.parameters]
        for parameter, part in zip(self.parameters, torch.split(combined, sizes), strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter))
