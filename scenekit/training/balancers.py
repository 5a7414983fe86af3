"""The built-in balancers."""

from __future__ import annotations

from collections.abc import Iterable

from scenekit.hooks import BalancerSpec, hookimpl
from scenekit.training.balancing import Balancer, total
from scenekit.training.gradient_balancers import GradNorm, aligned_mtl, cagrad, imtl, mgda, pcgrad, upgrad
from scenekit.training.loss_balancers import DynamicWeightAverage, Famo, UncertaintyWeights


def static() -> Balancer:
    """Build the default balancer: the sum of the weighted losses.

    Returns:
        The balancer.
    """
    return total


@hookimpl
def scenekit_balancers() -> Iterable[BalancerSpec]:
    """Yield the built-in balancers.

    Yields:
        The balancers.
    """
    yield BalancerSpec("static", "sum of the losses, with the fixed weights of tasks and recipe", static)
    yield BalancerSpec("uncertainty", "weights of the losses, learned as variances", UncertaintyWeights)
    yield BalancerSpec("dwa", "higher weights for losses that fall slowly", DynamicWeightAverage)
    yield BalancerSpec("famo", "all losses fall at the same relative rate; one more forward pass", Famo)
    yield BalancerSpec("gradnorm", "gradient norms at the trunk by how far each task has come", GradNorm)
    yield BalancerSpec("pcgrad", "gradients at the trunk without components against each other (torchjd)", pcgrad)
    yield BalancerSpec("upgrad", "gradients at the trunk, projected so that no loss grows (torchjd)", upgrad)
    yield BalancerSpec("cagrad", "the gradient near the mean that helps the worst task (torchjd, cvxpy)", cagrad)
    yield BalancerSpec("imtl", "the gradient with equal projections on all tasks' (IMTL-G, torchjd)", imtl)
    yield BalancerSpec("mgda", "the combination of the tasks' gradients with the least norm (torchjd)", mgda)
    yield BalancerSpec("aligned_mtl", "gradients made orthogonal and of one norm (torchjd)", aligned_mtl)
