"""The learning rate as a function of the step alone, so that resuming needs no state."""

from __future__ import annotations

import math

from scenekit.recipe import TrainConfig

WARMUP_START = 0.04
"""Share of the peak at which the warm-up begins (1 / 25, as in Smith and Topin, Super-Convergence, 2018)."""

ONE_CYCLE_END = 1e-4
"""Share of the peak at the end of one_cycle."""

MILESTONES = (2 / 3, 8 / 9)
"""Shares of the run at which `step` divides the rate by ten: Detectron's 60k and 80k of 90k iterations."""


def lr_factor(config: TrainConfig, step: int) -> float:
    """Compute the share of the peak learning rate in a step.

    Args:
        config: The recipe's training section.
        step: The step, from 0 to `config.steps` - 1.

    Returns:
        A factor from 0 to 1.
    """
    warmup = min(config.warmup, config.steps)
    if step < warmup:
        # Along a cosine in one_cycle, else in a straight line.
        risen = 1 - _cosine(step / warmup) if config.schedule == "one_cycle" else step / warmup
        return WARMUP_START + (1 - WARMUP_START) * risen
    progress = (step - warmup) / max(1, config.steps - warmup)
    match config.schedule:
        case "one_cycle":
            return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * _cosine(progress)
        case "cosine":
            return _cosine(progress)
        case "step":
            return float(0.1 ** sum(step >= milestone * config.steps for milestone in MILESTONES))
        case "constant":
            return 1.0


def _cosine(progress: float) -> float:
    """Return a half cosine wave from 1 at progress 0 to 0 at 1."""
    return (1 + math.cos(math.pi * progress)) / 2


def falls_on(step: int, every: int) -> bool:
    """Return whether something that is due every so many steps is due after a step.

    Args:
        step: Number of finished steps.
        every: Steps between two times; 0 for never.

    Returns:
        Whether it is due.
    """
    return every > 0 and step % every == 0
