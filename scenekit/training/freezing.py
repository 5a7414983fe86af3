"""Training a part of a model while the rest stays as it is."""

from __future__ import annotations

from collections.abc import Collection

from scenekit.errors import InputError, nearest
from scenekit.keys import OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import TrainConfig

TRUNK, DETECTION = "trunk", "detection"
"""Names that `train.freeze` has for the backbone with its pyramid, and for all stages that objects depend on."""


def learning_parts(model: SceneModel, config: TrainConfig) -> tuple[str, ...] | None:
    """Return which tasks and stages are trained.

    Args:
        model: The model.
        config: The recipe's training section.

    Returns:
        Their names; None for all of them.

    Raises:
        InputError: If `train.freeze` names something that the model does not have.
    """
    if config.freeze is None:
        return config.only
    frozen = {part for name in config.freeze for part in _named(model, name)}
    return tuple(part for part in model.parts if part not in frozen)


def frozen_parts(initial: SceneModel, config: TrainConfig) -> frozenset[str]:
    """Return which parts of the initial model a run does not train.

    Args:
        initial: The model that the run starts from.
        config: The recipe's training section.

    Returns:
        Their names; `DETECTION` where any stage that objects depend on is among them.
    """
    known = {TRUNK, DETECTION, *initial.parts}
    named = (name for name in config.freeze or () if name in known)  # the others are of the new model
    frozen = frozenset(part for name in named for part in _named(initial, name))
    if config.only is not None:
        frozen = frozenset(initial.parts) - frozenset(config.only)
    return frozen | {DETECTION} if frozen.intersection(_named(initial, DETECTION)) else frozen


def _named(model: SceneModel, name: str) -> list[str]:
    """Return the parts that a name of `train.freeze` stands for."""
    if name == TRUNK:
        return ["backbone"]
    if name == DETECTION:
        providers = [step.name for step in model.plan.steps.values() if OBJECTS in step.provides]
        return [part for part in model.plan.needed(providers) if part in model.stages and part != "backbone"]
    if name not in model.parts:
        known = [TRUNK, DETECTION, *model.parts]
        raise InputError(f"train.freeze: this model has no task or stage {name!r}{nearest(name, known)}")
    return [name]


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
    parts = model.parts
    for name in learning:
        if name not in parts:
            raise InputError(f"train.only: this model has no task or stage {name!r}{nearest(name, list(parts))}")
    with_weights = [name for name, part in parts.items() if any(True for _ in part.parameters())]
    if not set(learning) & set(with_weights):
        what = f"{', '.join(learning)} has no weights to train" if learning else "train.freeze leaves nothing to train"
        raise InputError(f"{what}; parts with weights are {', '.join(with_weights)}")
    for name, part in parts.items():
        if name not in learning:
            part.requires_grad_(False).eval()
