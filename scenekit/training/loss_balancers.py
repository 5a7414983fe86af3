"""Balancers that weight the losses of tasks from the losses alone.

Letters: T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.training.balancing import Losses, StatefulBalancer, by_task, weighted_sum

Positive = Annotated[float, Field(gt=0)]


class UncertaintyWeights(StatefulBalancer):
    """Learned weights: the sum of exp(-s) L + s over the tasks with labels, with a parameter s per task.

    s is the logarithm of a task's variance (Kendall, Gal and Cipolla, CVPR 2018); it is learned by the optimizer of the
    run, without weight decay. At s = 0, where it starts, the sum is the static one. Where a loss is not above 0, no s
    is the best: it stays as it is, and only the loss is learned from.
    """

    def start(self, tasks: Sequence[str]) -> None:
        """Create the parameters, all 0."""
        super().start(tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(tasks)))

    def forward(self, losses: Losses) -> Float[Tensor, ""]:
        """Return the weighted sum of the losses with its regularization."""
        labelled, zero = by_task(losses), torch.zeros_like(self.log_variance[0])
        values = torch.stack([labelled.get(task, zero).detach() for task in self.tasks])
        there = torch.tensor([task in labelled for task in self.tasks], device=values.device)
        own = torch.where(values > 0, self.log_variance, self.log_variance.detach())
        weights = dict(zip(self.tasks, torch.exp(-own), strict=True))
        return weighted_sum(losses, weights) + (own * there).sum()


class DynamicWeightAverage(StatefulBalancer):
    """Weights by how slowly each loss fell: T softmax(r / temperature), r the ratio of a task's last two mean losses.

    The means are over windows of steps (over epochs in Liu, Johns and Davison, CVPR 2019); all weights are 1 until two
    windows are complete. A task without labels in a window, or with a mean that is not above 0, has r = 1.

    Args:
        temperature: The higher, the more equal the weights.
        window: Steps of a window.
    """

    sums: Float[Tensor, "2 T"]
    before: Float[Tensor, "2 T"]
    batches: Int[Tensor, ""]

    def __init__(self, temperature: Positive = 2.0, window: Annotated[int, Field(ge=1)] = 50) -> None:
        super().__init__()
        self.temperature, self.window = temperature, window

    def start(self, tasks: Sequence[str]) -> None:
        """Create the state: sums and counts of this window, and means of the last two."""
        super().start(tasks)
        self.register_buffer("sums", torch.zeros(2, len(tasks)))
        self.register_buffer("before", torch.full((2, len(tasks)), torch.nan))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Losses) -> Float[Tensor, ""]:
        """Return the sum of the losses, each times the weight of its task."""
        weights = self.weights(list(by_task(losses)))
        self._count(*self.means(losses))
        return weighted_sum(losses, weights)

    def weights(self, labelled: Sequence[str]) -> dict[str, float]:
        """Return the weights of tasks.

        Args:
            labelled: Tasks with labels in this batch, over which the weights have the mean 1.

        Returns:
            Weights by task.
        """
        ratios = torch.where((self.before > 0).all(dim=0), self.before[1] / self.before[0], 1.0)
        own = torch.stack([ratios[self.tasks.index(task)] for task in labelled] or [ratios.new_ones(())])
        shares = torch.softmax(own / self.temperature, dim=0) * len(own)
        return dict(zip(labelled, shares.tolist(), strict=False))

    def _count(self, values: Float[Tensor, " T"], there: Float[Tensor, " T"]) -> None:
        self.sums += torch.stack((values, there)).to(self.sums.device)
        self.batches += 1
        if self.batches == self.window:
            self.before[0], self.before[1] = self.before[1].clone(), self.sums[0] / self.sums[1]
            self.sums.zero_()
            self.batches.zero_()


class Famo(StatefulBalancer):
    """Weights under which all losses fall at the same relative rate, learned from what each step changed.

    With z = softmax(w) the weight of a loss is z / L, scaled to the mean 1; after the step, Adam moves w against the
    decrease of log L (Liu, Feng, Stone and Liu, NeurIPS 2023). That takes one more forward pass per step on its last
    batch. A loss of 0 counts as one without labels; losses below 0 are an error.

    Args:
        lr: Learning rate of w.
        decay: Weight decay of w.
    """

    def __init__(self, lr: Positive = 0.025, decay: Annotated[float, Field(ge=0)] = 1e-3) -> None:
        super().__init__()
        self.lr, self.decay = lr, decay

    def start(self, tasks: Sequence[str]) -> None:
        """Create the logits, all 0, and their optimizer, which has a state of its own."""
        super().start(tasks)
        self.logits = nn.Parameter(torch.zeros(len(tasks)), requires_grad=False)  # not for the run's optimizer
        self.optimizer = torch.optim.Adam([self.logits], lr=self.lr, weight_decay=self.decay)
        self.before: tuple[Tensor, Tensor] = (self.logits, self.logits)

    def forward(self, losses: Losses) -> Float[Tensor, ""]:
        """Return the sum of the losses, each times the weight of its task."""
        values, there = self.before = self._positive(losses)
        shares = torch.softmax(self.logits, dim=0) * there / values.clamp(min=1e-12)
        weights = shares / shares.sum().clamp(min=1e-12) * there.sum()
        return weighted_sum(losses, dict(zip(self.tasks, weights, strict=True)))

    def after_step(self, losses: Callable[[], Losses]) -> None:
        """Move the logits towards tasks whose loss fell less than those of the others."""
        (old, there), (new, still) = self.before, self._positive(losses())
        both = there * still
        fall = torch.where(both > 0, old.clamp(min=1e-12).log() - new.clamp(min=1e-12).log(), 0.0)
        shares = torch.softmax(self.logits, dim=0)
        self.logits.grad = shares * (fall - (shares * fall).sum())  # the gradient of the sum of shares * fall
        self.optimizer.step()
        self.logits.grad = None

    def get_extra_state(self) -> dict[str, object]:
        """Return the state of the optimizer."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Load the state of the optimizer."""
        self.optimizer.load_state_dict(state)

    def _positive(self, losses: Losses) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        values, there = (each.to(self.logits.device) for each in self.means(losses))
        for task, value in zip(self.tasks, values.tolist(), strict=True):
            if value < 0:
                raise InputError(
                    f"balancer 'famo' needs losses above 0, but that of {task} is {value:.3g}; name another balancer"
                )
        return values, there * (values > 0)
