"""Combining the losses of several tasks: each is weighted, then a balancer computes one scalar from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.hooks import BalancerSpec, hookimpl, naming_plugin, registry
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


def static() -> Balancer:
    """Build the default balancer: the sum of the weighted losses.

    Returns:
        The balancer.
    """
    return total


@hookimpl
def scenekit_balancers() -> Iterable[BalancerSpec]:
    """Yield the built-in balancer.

    Yields:
        The balancer.
    """
    yield BalancerSpec("static", "sum of the losses, with the fixed weights of tasks and recipe", static)


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
