"""The model section of a recipe that starts from another model: what the recipe leaves open is that model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenekit.config import merged
from scenekit.recipe.model import ModelConfig, detector_of_today
from scenekit.recipe.recipe import Recipe


def with_initial(recipe: Recipe, initial: ModelConfig) -> Recipe:
    """Complete a recipe's `model` by the configuration of the model that it starts from.

    Args:
        recipe: A recipe; what it sets is kept.
        initial: The configuration of the model that `init` names.

    Returns:
        The recipe with the whole model in it.
    """
    changes = recipe.model.model_dump(mode="json", exclude_unset=True)
    model = ModelConfig.model_validate(merged(inherited(initial, changes), changes))
    return recipe.model_copy(update={"model": model})


def inherited(initial: ModelConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe may take over from the model that it starts from.

    Args:
        initial: The configuration of that model.
        changes: The recipe's `model` as far as it is set.

    Returns:
        Plain data. Options of another backbone or detector are left out; of the tasks, where the recipe names any,
        only those that it names are there.
    """
    base = initial.model_dump(mode="json")
    backbone = changes.get("backbone", {})
    if backbone.get("name", initial.backbone.name) != initial.backbone.name:
        base["backbone"] = {}
    detector = detector_of_today(changes.get("detector", initial.detector), changes.get("detector_options", {}))
    if detector != initial.detector:
        base["detector_options"] = {}
    if "tasks" in changes:
        base["tasks"] = {name: options for name, options in base["tasks"].items() if name in changes["tasks"]}
    return base
