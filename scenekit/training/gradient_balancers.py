"""Balancers that weight the gradients of tasks where they meet: at the parameters of the trunk.

Letters: T tasks with labels in a batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from scenekit.errors import InputError
from scenekit.training.balancing import Losses, StatefulBalancer, total
from scenekit.training.loss_balancers import Positive


class GradientBalancer(StatefulBalancer):
    """A balancer of gradients: heads learn from the sum of the losses, the trunk from a weighted sum of gradients."""

    def forward(self, losses: Losses) -> Float[Tensor, ""]:
        """Return the sum of the losses, whose gradient heads and stages learn from.

        Args:
            losses: Weighted losses by "task.loss"; at least one.

        Returns:
            The sum.
        """
        return total(losses)

    @abstractmethod
    def weigh(
        self, gramian: Float[Tensor, "T T"], losses: Float[Tensor, " T"], tasks: Sequence[str]
    ) -> Float[Tensor, " T"]:
        """Compute how much each task's gradient counts; 1 each is the sum.

        Args:
            gramian: Inner products of the tasks' gradients at the parameters of the trunk.
            losses: The tasks' losses.
            tasks: Names of the tasks.

        Returns:
            The weights.
        """


class FromGramian(GradientBalancer):
    """A balancer without a state, by a function of the Gramian.

    Args:
        weighting: From the Gramian to the weights.
        mean: Whether its weights are those of a mean, so that they are multiplied by the number of tasks.
    """

    def __init__(self, weighting: Callable[[Tensor], Tensor], mean: bool = True) -> None:
        super().__init__()
        self.weighting, self.mean = weighting, mean

    def weigh(
        self, gramian: Float[Tensor, "T T"], losses: Float[Tensor, " T"], tasks: Sequence[str]
    ) -> Float[Tensor, " T"]:
        return self.weighting(gramian) * (len(tasks) if self.mean else 1)


class GradNorm(GradientBalancer):
    """Weights under which the norms of the gradients follow how far each task is from its first loss.

    A task's target is the mean norm times (its loss / its first loss, relative to the mean of that ratio) ** alpha
    (Chen et al., ICML 2018). Each step moves the weights by lr times the gradient of the distance to the targets, in
    units of the mean norm; then those of the tasks in the batch are scaled to the sum that they had, which keeps the
    mean of all at 1. The first loss is the first above 0; a task without one is as far as the mean.

    Args:
        alpha: 0 makes all norms equal; the higher, the more a task counts that learns slowly.
        lr: Learning rate of the weights.
    """

    weights: Float[Tensor, " T"]
    first: Float[Tensor, " T"]

    def __init__(self, alpha: Annotated[float, Field(ge=0)] = 1.5, lr: Positive = 0.025) -> None:
        super().__init__()
        self.alpha, self.lr = alpha, lr

    def start(self, tasks: Sequence[str]) -> None:
        """Create the weights, all 1, and the place of the first losses."""
        super().start(tasks)
        self.register_buffer("weights", torch.ones(len(tasks)))
        self.register_buffer("first", torch.full((len(tasks),), torch.nan))

    def weigh(
        self, gramian: Float[Tensor, "T T"], losses: Float[Tensor, " T"], tasks: Sequence[str]
    ) -> Float[Tensor, " T"]:
        rows = torch.tensor([self.tasks.index(task) for task in tasks])
        self.first[rows] = torch.where(self.first[rows].isnan() & (losses > 0), losses, self.first[rows])
        weights, norms = self.weights[rows], gramian.diagonal().clamp(min=0).sqrt()
        own = weights * norms
        mean = own.mean().clamp(min=1e-12)
        rate = (losses / self.first[rows]).nan_to_num(1.0).clamp(min=0)
        target = mean * (rate / rate.mean().clamp(min=1e-12)) ** self.alpha
        moved = (weights - self.lr * (own - target).sign() * norms / mean).clamp(min=1e-3)
        self.weights[rows] = moved * weights.sum() / moved.sum()
        return self.weights[rows].clone()


def pcgrad() -> GradientBalancer:
    """Build PCGrad: each gradient without its components against the others, in random order (Yu et al., 2020)."""
    return FromGramian(_weighting("pcgrad", "PCGradWeighting"), mean=False)


def upgrad() -> GradientBalancer:
    """Build UPGrad: each gradient projected to where no loss grows to first order (Quinton and Rey, 2024)."""
    return FromGramian(_weighting("upgrad", "UPGradWeighting", projector=_projector))


def cagrad(c: Annotated[float, Field(ge=0)] = 0.5) -> GradientBalancer:
    """Build CAGrad: the direction near the mean that helps the worst task most (Liu et al., NeurIPS 2021).

    Args:
        c: How far from the mean, relative to its norm; 0 is the mean.

    Returns:
        The balancer.
    """
    return FromGramian(_weighting("cagrad", "CAGradWeighting", c=c))


def imtl() -> GradientBalancer:
    """Build IMTL-G: the sum whose projections on all gradients' directions are equal (Liu et al., ICLR 2021)."""
    return FromGramian(_weighting("imtl", "IMTLGWeighting"))


def mgda() -> GradientBalancer:
    """Build MGDA: the convex combination of the gradients with the least norm (Sener and Koltun, NeurIPS 2018)."""
    return FromGramian(_weighting("mgda", "MGDAWeighting"))


def aligned_mtl(scale: Literal["min", "median", "rmse"] = "min") -> GradientBalancer:
    """Build Aligned-MTL: gradients made orthogonal and of one norm (Senushkin et al., CVPR 2023).

    Args:
        scale: Which of the principal norms all of them get.

    Returns:
        The balancer.
    """
    return FromGramian(_weighting("aligned_mtl", "AlignedMTLWeighting", scale_mode=scale))


def _weighting(balancer: str, name: str, **options: Any) -> Callable[[Tensor], Tensor]:
    """Return a weighting of torchjd.

    Raises:
        InputError: If torchjd, or what this weighting needs besides, is not installed.
    """
    try:
        from torchjd import aggregation

        if callable(projector := options.get("projector")):
            options["projector"] = projector()
        weighting: Callable[[Tensor], Tensor] = getattr(aggregation, name)(**options)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"balancer {balancer!r} needs packages that are missing or too old ({error}): pip install 'scenekit[train]'"
        ) from error
    return weighting


def _projector() -> Any:
    """Return a projector on the dual cone that needs scipy alone.

    The weights v that minimize v G v with v >= u are u + z, where z >= 0 minimizes |A (u + z)| and A'A = G: a
    non-negative least-squares problem.
    """
    from scipy.optimize import nnls
    from torchjd.linalg import DualConeProjector

    def project(u: Any, root: Any) -> Any:
        return u + nnls(root, -root @ u)[0]

    class Projector(DualConeProjector):
        def __call__(self, U: Tensor, G: Tensor) -> Tensor:
            values, vectors = torch.linalg.eigh(G.double().cpu())
            root = (values.clamp(min=0).sqrt()[:, None] * vectors.T).numpy()
            rows = map(partial(project, root=root), U.double().cpu().numpy())
            return torch.stack([torch.as_tensor(row) for row in rows]).to(G)

    return Projector()
