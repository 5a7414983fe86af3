"""How the losses of several tasks become one: first each is weighted, then a balancer makes a scalar of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.hooks import BalancerSpec, hookimpl

Losses: TypeAlias = Mapping[str, Float[Tensor, ""]]
Balancer: TypeAlias = Callable[[Losses], Float[Tensor, ""]]


@dataclass(frozen=True)
class LossWeights:
    """Fixed weights: `defaults` by "task.loss", 1 for a loss that has none.

    `overrides` by "task.loss" replace a default, those by "task" multiply all losses of the task.
    """

    defaults: Mapping[str, float] = field(default_factory=dict)
    overrides: Mapping[str, float] = field(default_factory=dict)

    def weight(self, name: str) -> float:
        """What the loss `name` is multiplied with."""
        own = self.overrides.get(name, self.defaults.get(name, 1.0))
        return own * self.overrides.get(task_of(name), 1.0)

    def __call__(self, losses: Losses) -> dict[str, Tensor]:
        """Every loss times its weight."""
        return {name: loss * self.weight(name) for name, loss in losses.items()}

    def check(self, tasks: Collection[str]) -> None:
        """Raise InputError for an override of something that the model does not do."""
        for name in self.overrides:
            if task_of(name) not in tasks:
                raise InputError(f"train.loss_weights: the model has no {task_of(name)!r}{nearest(name, tasks)}")


def task_of(name: str) -> str:
    """The "task" of "task.loss"."""
    return name.partition(".")[0]


def total(losses: Losses) -> Float[Tensor, ""]:
    """The plain sum, in the order of the losses."""
    first, *rest = losses.values()
    for loss in rest:
        first = first + loss
    return first


def static() -> Balancer:
    """The default: the sum of the weighted losses."""
    return total


@hookimpl
def scenekit_balancers() -> Iterable[BalancerSpec]:
    """The built-in way."""
    yield BalancerSpec("static", "sum of the losses, with the fixed weights of tasks and recipe", static)
