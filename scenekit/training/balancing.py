"""How the losses of several tasks become one: first each is weighted, then a balancer makes a scalar of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.hooks import BalancerSpec, hookimpl
from scenekit.training.log import UNLABELLED

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
            task = task_of(name)
            if task not in tasks:
                raise InputError(f"train.loss_weights: the model has no {task!r}{nearest(task, tasks)}")

    def check_losses(self, names: Collection[str], losses: Collection[str]) -> frozenset[str]:
        """Raise InputError for one of the overrides `names` that is none of the `losses` of its task in this step.

        Gives back those whose task had no losses here, which a later step must tell.
        """
        told = [loss for loss in losses if not loss.endswith(UNLABELLED)]
        known = {task_of(loss) for loss in told}
        for name in names:
            own = [loss for loss in (*told, *self.defaults) if task_of(loss) == task_of(name)]
            if task_of(name) in known and name not in own:
                raise InputError(f"train.loss_weights: the model has no loss {name!r}{nearest(name, own)}")
        return frozenset(name for name in names if task_of(name) not in known)


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
