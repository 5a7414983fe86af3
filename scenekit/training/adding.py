"""The recipe of a run that adds a task to a model."""

from __future__ import annotations

from collections.abc import Sequence

from scenekit.errors import InputError
from scenekit.hooks import TaskSpec, registry
from scenekit.recipe import ModelConfig, Recipe
from scenekit.weights import load


def with_added_task(recipe: Recipe, task: str, model: str, freeze: Sequence[str] | None = None) -> Recipe:
    """Return the recipe of a run that adds a task to a trained model.

    The run starts from the model, keeps its names and its tasks, and trains what is new: the head of the task, and the
    stages of a stream that the task brings. All else stays as it is, to the bit, unless `freeze` names less.

    Args:
        recipe: The data and the training. Of its section `model` only the options of the task count.
        task: Name of the task.
        model: The model, as `scenekit.load` knows it.
        freeze: Tasks and stages that stay as they are, as in `train.freeze`; None for all of the model.

    Returns:
        The recipe.

    Raises:
        InputError: If there is no such task or model, the task learns nothing, the model has it already, or the recipe
            says otherwise what is trained.
    """
    spec: TaskSpec = registry().get("task", task)
    if not spec.learns_from:
        raise InputError(
            f"--add-task: {task!r} has no weights to train; name it below model.tasks of a recipe with init: {model}, "
            "beside a task that is trained (train.only)"
        )
    initial = load(model, networks=False)
    if task in initial.config.tasks:
        raise InputError(f"--add-task: {model} has the task {task!r} already; train it with init: {model} in a recipe")
    if recipe.train.only is not None or recipe.train.freeze is not None:
        raise InputError("--add-task decides what is trained; leave train.only and train.freeze out of the recipe")
    options: dict[str, dict[str, object]] = {name: {} for name in initial.config.tasks}
    tasks = {**options, task: recipe.model.tasks.get(task, {})}
    frozen = (*initial.stages, *initial.heads) if freeze is None else tuple(freeze)
    changes = {
        "init": model,
        "vocabulary": "init",
        "model": ModelConfig.model_validate({"tasks": tasks}),
        "train": recipe.train.model_copy(update={"freeze": frozen}),
    }
    return recipe.model_copy(update=changes)
