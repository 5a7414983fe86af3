"""Constant-velocity Kalman filters of independent coordinates.

Each coordinate has the state (value, velocity) with a covariance of its own. Letters: D coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, " D"]


@dataclass
class Motion:
    """The state of D coordinates."""

    value: Numbers
    """Estimated values."""
    velocity: Numbers
    """Estimated change a second."""
    spread: Float[np.ndarray, "D 3"]
    """Variance of the value, covariance, variance of the velocity."""

    @classmethod
    def begin(cls, value: Numbers, noise: Numbers, speed: Numbers) -> Motion:
        """Start at a measurement.

        Args:
            value: The measurement.
            noise: Its standard deviation.
            speed: Standard deviation of the unknown velocity, a second.

        Returns:
            The state.
        """
        return cls(value.copy(), np.zeros_like(value), np.stack((noise**2, 0 * noise, speed**2), axis=1))

    def predict(self, seconds: float, drift: Numbers) -> None:
        """Move on in time.

        Args:
            seconds: How far.
            drift: Standard deviation of the acceleration, a second squared, constant over the step.
        """
        first, both, second = self.spread.T
        self.value = self.value + seconds * self.velocity
        noise = drift**2
        self.spread = np.stack(
            (
                first + 2 * seconds * both + seconds**2 * second + noise * seconds**4 / 4,
                both + seconds * second + noise * seconds**3 / 2,
                second + noise * seconds**2,
            ),
            axis=1,
        )

    def correct(self, value: Numbers, noise: Numbers) -> None:
        """Add a measurement.

        Args:
            value: The measurement.
            noise: Its standard deviation.
        """
        first, both, second = self.spread.T
        total = first + noise**2
        gain, push = first / total, both / total
        error = value - self.value
        self.value = self.value + gain * error
        self.velocity = self.velocity + push * error
        self.spread = np.stack((first - gain * first, both - gain * both, second - push * both), axis=1)
