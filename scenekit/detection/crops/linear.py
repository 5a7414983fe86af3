"""Linear SVMs and ridge regression, fitted in closed form or by scikit-learn.

Letters: N examples, M negatives, D features, T targets.
"""

from __future__ import annotations

import logging
import warnings

import torch
from jaxtyping import Float
from torch import Tensor

_log = logging.getLogger(__name__)

ITERATIONS = 10_000
"""Upper limit of the solver's iterations."""
BIAS_SCALE = 10.0
"""The constant feature that stands for the bias; the larger, the less the bias is regularized."""


def fit_svm(
    positives: Float[Tensor, "N D"],
    negatives: Float[Tensor, "M D"],
    *,
    c: float,
    positive_weight: float = 1.0,
    seed: int = 0,
) -> tuple[Float[Tensor, " D"], Float[Tensor, ""]]:
    """Fit a linear SVM with hinge loss: minimize |w|^2 / 2 + C sum of max(0, 1 - y (w x + b)).

    Args:
        positives: Features of the examples of the class.
        negatives: Features of the others.
        c: The weight C of the errors.
        positive_weight: Factor on C of the positives.
        seed: Seed of the order in which the solver visits examples.

    Returns:
        Weights and bias; the margin is w x + b.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    svm = LinearSVC(
        loss="hinge",
        C=c,
        class_weight={1: positive_weight},
        intercept_scaling=BIAS_SCALE,
        random_state=seed,
        max_iter=ITERATIONS,
    )
    labels = torch.cat((torch.ones(len(positives)), torch.zeros(len(negatives))))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        svm.fit(torch.cat((positives, negatives)).double().numpy(), labels.numpy())
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        _log.warning("an SVM did not converge in %d iterations; lower the option svm.c", ITERATIONS)
    weight, bias = torch.from_numpy(svm.coef_[0]), torch.tensor(float(svm.intercept_[0]))
    return weight.float(), bias


def fit_ridge(
    features: Float[Tensor, "N D"], targets: Float[Tensor, "N T"], strength: float
) -> tuple[Float[Tensor, "T D"], Float[Tensor, " T"]]:
    """Fit a ridge regression: minimize sum of |t - W x - b|^2 + lambda |W|^2, with a free bias.

    Args:
        features: Features of the examples, at least one.
        targets: What they are mapped to.
        strength: The weight lambda.

    Returns:
        Weights and biases.
    """
    x, t = features.double(), targets.double()
    mean, bias = x.mean(dim=0), t.mean(dim=0)
    x, t = x - mean, t - bias
    # With fewer examples than features the smaller system has the same solution: (X'X + l)^-1 X' = X' (XX' + l)^-1.
    dual = len(x) < x.shape[1]
    gram = x @ x.T if dual else x.T @ x
    gram = gram + max(strength, 1e-9) * torch.eye(len(gram), dtype=gram.dtype)
    weight = x.T @ torch.linalg.solve(gram, t) if dual else torch.linalg.solve(gram, x.T @ t)
    return weight.T.float(), (bias - mean @ weight).float()
