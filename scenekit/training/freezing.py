"""Learning by a part of the model while the rest stays as it is."""

from __future__ import annotations

from collections.abc import Collection

from scenekit.errors import InputError, nearest
from scenekit.model.scene_model import SceneModel


def freeze_except(model: SceneModel, learning: Collection[str]) -> None:
    """Everything but the heads and stages of these names stays: no gradient, and the mode of inference.

    In that mode no running mean and no count moves, so that what stays is the same to the bit. Call it after
    `model.train()`. Raises InputError for a name that the model does not have.
    """
    parts = {**dict(model.stages.items()), **dict(model.heads.items())}
    for name in learning:
        if name not in parts:
            raise InputError(f"train.only: no task or stage {name!r} in this model{nearest(name, list(parts))}")
    for name, part in parts.items():
        if name not in learning:
            part.requires_grad_(False).eval()
