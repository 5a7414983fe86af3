"""Training a part of a model while the rest stays as it is."""

from __future__ import annotations

from collections.abc import Collection

from scenekit.errors import InputError, nearest
from scenekit.model.scene_model import SceneModel


def freeze_except(model: SceneModel, learning: Collection[str]) -> None:
    """Freeze all heads and stages except those named: no gradient, and evaluation mode.

    In evaluation mode no running mean and no count changes, so that frozen parts stay the same to the bit. Call it
    after `model.train()`.

    Args:
        model: The model.
        learning: Names of the tasks and stages that are trained.

    Raises:
        InputError: If the model has no task or stage of a name, or none of those named has weights.
    """
    parts = {**dict(model.stages.items()), **dict(model.heads.items())}
    for name in learning:
        if name not in parts:
            raise InputError(f"train.only: this model has no task or stage {name!r}{nearest(name, list(parts))}")
    with_weights = [name for name, part in parts.items() if any(True for _ in part.parameters())]
    if not set(learning) & set(with_weights):
        raise InputError(
            f"train.only: {', '.join(learning)} has no weights to train;"
            f" parts with weights are {', '.join(with_weights)}"
        )
    for name, part in parts.items():
        if name not in learning:
            part.requires_grad_(False).eval()
