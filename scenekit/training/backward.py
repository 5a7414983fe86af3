"""From the losses of a batch to gradients: fixed weights, the balancer, the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.evaluation.loop import DETECTION
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.recipe import TrainConfig
from scenekit.structures.images import ImageBatch
from scenekit.training.balancing import Losses, LossWeights, StatefulBalancer, averaged, make_balancer, task_of
from scenekit.training.gradient_balancers import GradientBalancer
from scenekit.training.gradients import TrunkGradients


class Backward:
    """Weights the losses, balances them, and computes the gradients of a step.

    Args:
        model: The model that is trained.
        config: The recipe's training section.
        accelerator: Of the run.
        learning: Tasks and stages that are trained; None for all.

    Raises:
        InputError: If a weight or the balancer does not fit the model.
    """

    def __init__(
        self, model: SceneModel, config: TrainConfig, accelerator: Accelerator, learning: Sequence[str] | None
    ) -> None:
        self.accelerator, self.parts = accelerator, config.accumulate
        self.weights = LossWeights(model.loss_weights, config.loss_weights)
        self.weights.check([*model.stages, *model.heads])
        self.tasks = {**dict.fromkeys(model.core_stages, DETECTION), **model.task_stages}
        self.unchecked = frozenset(name for name in config.loss_weights if "." in name)
        self.balancer = make_balancer(config.balancer, config.balancer_options)
        if isinstance(self.balancer, StatefulBalancer):
            trained = model.parts if learning is None else learning
            self.balancer.start(list(dict.fromkeys(self.tasks.get(part, part) for part in trained)))
            self.balancer.to(accelerator.device)
        self.trunk: TrunkGradients | None = None
        if isinstance(self.balancer, GradientBalancer):
            self.trunk = TrunkGradients(model.parts.get("backbone"), self.balancer, config.precision)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Parameters of the balancer that the run trains."""
        own = self.balancer.parameters() if isinstance(self.balancer, StatefulBalancer) else ()
        return [parameter for parameter in own if parameter.requires_grad]

    def weighted(self, losses: Losses) -> dict[str, Tensor]:
        """Return the losses of a batch times their fixed weights, those of stages under the task that they serve.

        Args:
            losses: Losses by "task.loss" or "stage.loss".

        Returns:
            The weighted losses by "task.loss" or "task.stage.loss"; those of the detector are of the task "detection".

        Raises:
            InputError: If there is none, or a weight belongs to none of them.
        """
        self.unchecked = self.weights.check_losses(self.unchecked, losses)
        if not losses:
            raise InputError("the model has no losses; give model.tasks a task that learns")
        return self._grouped(losses)

    def __call__(self, weighted: Losses) -> float:
        """Add the gradients of one part of a step.

        Args:
            weighted: Weighted losses by "task.loss".

        Returns:
            The loss that the balancer made of them.
        """
        if self.trunk is not None:
            self.trunk.add(weighted, 1 / self.parts)
        loss = self.balancer(weighted)
        self.accelerator.backward(loss / self.parts)
        return float(loss.detach())

    def finish(self, weighted: Losses, seed: str) -> None:
        """Complete the gradients of a step, before they are clipped.

        Args:
            weighted: Weighted losses of its last part.
            seed: Seed of the step, equal in all processes.
        """
        if self.trunk is not None:
            self.trunk.assign(weighted, seed)
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad = averaged(parameter.grad)

    @torch.no_grad()
    def after_step(self, learner: nn.Module, batch: ImageBatch, targets: Targets, seed: Callable[[], None]) -> None:
        """Let the balancer see what the step changed.

        Args:
            learner: The model as a function from a batch to its losses.
            batch: The step's last batch.
            targets: Its targets.
            seed: Sets the random numbers of the step again.
        """

        def again() -> Losses:
            seed()
            return self._grouped(self.accelerator.unwrap_model(learner)(batch, targets))

        if isinstance(self.balancer, StatefulBalancer):
            self.balancer.after_step(again)

    def _grouped(self, losses: Losses) -> dict[str, Tensor]:
        tasks = {name: self.tasks.get(task_of(name), task_of(name)) for name in losses}
        weighted = self.weights(losses)
        return {name if tasks[name] == task_of(name) else f"{tasks[name]}.{name}": weighted[name] for name in losses}

    def state(self) -> dict[str, Any] | None:
        """Return the state of the balancer; None where it has none."""
        return self.balancer.state_dict() if isinstance(self.balancer, StatefulBalancer) else None

    def restore(self, state: dict[str, Any] | None) -> None:
        """Load the state of the balancer.

        Args:
            state: The state, as `state` returned it.
        """
        if isinstance(self.balancer, StatefulBalancer) and state is not None:
            self.balancer.load_state_dict(state)
