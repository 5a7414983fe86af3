"""Combining the losses of several tasks: each is weighted, then a balancer computes one scalar from them.

Letters: T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scenekit.errors import InputError, nearest
from scenekit.hooks import BalancerSpec, naming_plugin, registry
from scenekit.hooks.options import check_options
from scenekit.training.log import UNLABELLED

Losses: TypeAlias = Mapping[str, Float[Tensor, ""]]
Balancer: TypeAlias = Callable[[Losses], Float[Tensor, ""]]


@dataclass(frozen=True)
class LossWeights:
    """Fixed weights of losses; a loss without one has weight 1."""

    defaults: Mapping[str, float] = field(default_factory=dict)
    """Weights by "task.loss"."""
    overrides: Mapping[str, float] = field(default_factory=dict)
    """Weights by "task.loss" replace a default; those by "task" multiply all losses of the task."""

    def weight(self, name: str) -> float:
        """Return the weight of a loss.

        Args:
            name: Name of the loss as "task.loss".

        Returns:
            The factor of the loss.
        """
        own = self.overrides.get(name, self.defaults.get(name, 1.0))
        return own * self.overrides.get(task_of(name), 1.0)

    def __call__(self, losses: Losses) -> dict[str, Tensor]:
        """Return every loss times its weight."""
        return {name: loss * self.weight(name) for name, loss in losses.items()}

    def check(self, tasks: Collection[str]) -> None:
        """Check that every override belongs to a part of the model.

        Args:
            tasks: Names of the model's tasks and stages.

        Raises:
            InputError: If an override names another task.
        """
        for name in self.overrides:
            task = task_of(name)
            if task not in tasks:
                raise InputError(f"train.loss_weights: the model has no {task!r}{nearest(task, tasks)}")

    def check_losses(self, names: Collection[str], losses: Collection[str]) -> frozenset[str]:
        """Check overrides by "task.loss" against the losses of one step.

        Args:
            names: Overrides that have not been checked yet.
            losses: Names of the losses of this step.

        Returns:
            Overrides whose task had no losses in this step, to be checked in a later one.

        Raises:
            InputError: If an override names a loss that its task does not have.
        """
        labelled = [loss for loss in losses if not loss.endswith(UNLABELLED)]
        known = {task_of(loss) for loss in labelled}
        for name in names:
            own = [loss for loss in (*labelled, *self.defaults) if task_of(loss) == task_of(name)]
            if task_of(name) in known and name not in own:
                raise InputError(f"train.loss_weights: the model has no loss {name!r}{nearest(name, own)}")
        return frozenset(name for name in names if task_of(name) not in known)


def task_of(name: str) -> str:
    """Return the task of a loss.

    Args:
        name: Name of the loss as "task.loss".

    Returns:
        The part before the dot.
    """
    return name.partition(".")[0]


def total(losses: Losses) -> Float[Tensor, ""]:
    """Return the sum of the losses, added in their order.

    Args:
        losses: Weighted losses by "task.loss"; at least one.

    Returns:
        The sum.
    """
    first, *rest = losses.values()
    for loss in rest:
        first = first + loss
    return first


class StatefulBalancer(nn.Module):
    """A balancer with a state: the run trains its parameters with those of the model, and keeps its state dictionary.

    Buffers and parameters that have an entry per task are made in `start`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = ()

    def start(self, tasks: Sequence[str]) -> None:
        """Create the state, before the first step and before a state is loaded.

        Args:
            tasks: Names of the tasks and stages that are trained: all that losses may begin with.
        """
        self.tasks = tuple(tasks)

    def after_step(self, losses: Callable[[], Losses]) -> None:
        """Update the state after a step of the optimizer; by default nothing happens.

        Args:
            losses: Computes the weighted losses of the step's last batch again, with the new weights and without
                gradients: one more forward pass.
        """

    def means(self, losses: Losses) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """Compute the loss of each task, as a number, over all processes.

        Args:
            losses: Weighted losses by "task.loss".

        Returns:
            The sum of each task's losses, and 1 where it has any; 0 and 0 where the batch has no labels of the task.
        """
        own = by_task(losses)
        device = next(iter(losses.values())).device
        sums = torch.stack(
            [own[task].detach() if task in own else torch.zeros((), device=device) for task in self.tasks]
        )
        there = torch.tensor([float(task in own) for task in self.tasks], device=device)
        sums, there = averaged(torch.stack((sums.float(), there)))
        return sums / there.clamp(min=1e-12), (there > 0).float()


def by_task(losses: Losses) -> dict[str, Float[Tensor, ""]]:
    """Return the sum of the losses of each task that has labels in a batch.

    Args:
        losses: Weighted losses by "task.loss".

    Returns:
        The sum by task; the zeros of heads without labels are left out.
    """
    sums: dict[str, Tensor] = {}
    for name, loss in losses.items():
        if not name.endswith(UNLABELLED):
            sums[task_of(name)] = sums[task_of(name)] + loss if task_of(name) in sums else loss
    return sums


def weighted_sum(losses: Losses, weights: Mapping[str, Tensor | float]) -> Float[Tensor, ""]:
    """Return the sum of the losses, each times the weight of its task.

    Args:
        losses: Weighted losses by "task.loss"; at least one.
        weights: Weights by task; a task without one has weight 1.

    Returns:
        The sum.
    """
    return total({name: loss * weights.get(task_of(name), 1.0) for name, loss in losses.items()})


def averaged(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes of a run.

    Args:
        value: The tensor of this process, of the same shape in all of them.

    Returns:
        The mean; the tensor itself where there is one process.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value := value.clone())
        value = value / torch.distributed.get_world_size()
    return value


def make_balancer(name: str, options: Mapping[str, Any]) -> Balancer:
    """Build a registered balancer.

    Args:
        name: Name of the balancer.
        options: Options of its builder.

    Returns:
        The balancer.

    Raises:
        InputError: If the name or an option is unknown.
    """
    spec: BalancerSpec = registry().get("balancer", name)
    options = check_options(spec.build, options, f"balancer {name!r}")
    with naming_plugin(spec):
        return cast(Balancer, spec.build(**options))
