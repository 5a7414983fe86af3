"""Fusion of many sightings of one object: where it is, how large it is, how it is turned.

Letters: K sightings.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from scenekit.ops.rotations.symmetry import aligned

FLOOR = 0.02
"""Metres that are added to the expected error of every sighting."""

ROUNDS = 4
"""Repetitions of the robust mean."""

HUBER = 1.5
"""Residuals above so many times their median count less (Huber, "Robust Statistics", 1981)."""


def covariances(
    rays: Float[np.ndarray, "K 3"], distances: Float[np.ndarray, " K"], lateral: float, along: float
) -> Float[np.ndarray, "K 3 3"]:
    """Return the expected covariance of each position in square metres: an ellipsoid along its ray of sight.

    Args:
        rays: Directions from the camera to the object, of length 1.
        distances: Metres from the camera.
        lateral: Expected error across the ray, as a share of the distance.
        along: Expected error along the ray, as a share of the distance.

    Returns:
        Covariances.
    """
    across, ahead = FLOOR + lateral * distances, FLOOR + along * distances
    outer = rays[:, :, None] * rays[:, None]
    spread: Float[np.ndarray, "K 3 3"] = (across**2)[:, None, None] * (np.eye(3) - outer)
    return np.asarray(spread + (ahead**2)[:, None, None] * outer)


def robust_mean(
    points: Float[np.ndarray, "K 3"], weights: Float[np.ndarray, " K"], spread: Float[np.ndarray, "K 3 3"]
) -> Float[np.ndarray, "3"]:
    """Compute the mean of positions, weighted by score and inverse covariance; those far from the others count less.

    Args:
        points: Positions in metres.
        weights: Scores.
        spread: Covariances in square metres.

    Returns:
        The mean, in metres.
    """
    information = np.linalg.inv(spread)
    trust = weights.astype(np.float64)
    mean = points[0]
    for _ in range(ROUNDS if len(points) > 2 else 1):
        total = trust[:, None, None] * information
        mean = np.linalg.solve(total.sum(axis=0), np.einsum("kij,kj->i", total, points))
        off = points - mean
        residuals = np.sqrt(np.einsum("ki,kij,kj->k", off, information, off))
        limit = HUBER * max(float(np.median(residuals)), 1e-9)
        trust = weights * np.minimum(1.0, limit / np.maximum(residuals, 1e-12))
    return np.asarray(mean)


def weighted_median(values: Float[np.ndarray, "K 3"], weights: Float[np.ndarray, " K"]) -> Float[np.ndarray, "3"]:
    """Compute the weighted median of each column; the mean of both middle values where the weights are even.

    Args:
        values: A row per sighting.
        weights: Weights of the rows, above 0.

    Returns:
        The median of each column.
    """
    order = np.argsort(values, axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    total = np.cumsum(weights[order], axis=0)
    half = total[-1] / 2
    low = (total >= half * (1 - 1e-12)).argmax(axis=0)
    high = np.minimum((total > half * (1 + 1e-12)).argmax(axis=0), len(values) - 1)
    columns = np.arange(values.shape[1])
    median: Float[np.ndarray, "3"] = (ranked[low, columns] + ranked[high, columns]) / 2
    return median


def mean_rotation(rotations: Float[np.ndarray, "K 3 3"], weights: Float[np.ndarray, " K"]) -> Float[np.ndarray, "3 3"]:
    """Compute the rotation with the least sum of squared chordal distances; of turns about one axis the circular mean.

    (Moakher, "Means and averaging in the group of rotations", 2002.)

    Args:
        rotations: Rotations, K from 1 on.
        weights: Their weights.

    Returns:
        The mean.
    """
    u, _, v = np.linalg.svd(np.einsum("k,kij->ij", weights, rotations))
    mean: Float[np.ndarray, "3 3"] = u @ np.diag((1.0, 1.0, np.sign(np.linalg.det(u @ v)))) @ v
    return mean


def fused_rotation(
    rotations: Float[np.ndarray, "K 3 3"], sizes: Float[np.ndarray, "K 3"], weights: Float[np.ndarray, " K"], n: int
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "K 3"]]:
    """Compute the mean rotation modulo the symmetry of the object, and the sizes in the axes of that rotation.

    An object with a front is often taken for its back: its axis is averaged modulo half a turn, then the sightings vote
    on the front.

    Args:
        rotations: World from object.
        sizes: Width, height and length in metres.
        weights: Weights of the sightings.
        n: The symmetry, as for `equivalents`.

    Returns:
        (The mean, the sizes).
    """
    mean = rotations[int(weights.argmax())]
    half = np.diag((-1.0, 1.0, -1.0))
    for _ in range(2):
        if n == 1:
            back = np.einsum("kij,ij->k", rotations @ half, mean) > np.einsum("kij,ij->k", rotations, mean)
            mean = mean_rotation(np.where(back[:, None, None], rotations @ half, rotations), weights)
            mean = mean @ half if weights[back].sum() > weights[~back].sum() else mean
        else:
            turned, swapped = aligned(rotations, sizes, mean[None], n)
            mean = mean_rotation(turned, weights)
    return mean, sizes if n == 1 else swapped
