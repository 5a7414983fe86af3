"""A model with a further task that has no weights, such as one that only merges or pools what others compute."""

from __future__ import annotations

from typing import Any

from scenekit.errors import InputError
from scenekit.hooks import TaskSpec, registry
from scenekit.keys import Key
from scenekit.model.build import task_parts
from scenekit.model.scene_model import SceneModel


def with_task(model: SceneModel, task: str, **options: Any) -> SceneModel:
    """Return a model with a further task that has no weights; it shares the weights of the given one.

    The outputs of the other tasks stay the same to the bit. A task with weights is added by training: `scenekit train
    --add-task`.

    Args:
        model: The model, which stays as it is.
        task: The name of the task; a model that has it already is returned as it is.
        **options: Options of the task.

    Returns:
        The model with the task.

    Raises:
        InputError: There is no such task or option, the task has weights, the model lacks what it requires, or has the
            task already and options are given.
    """
    if task in model.tasks:
        if options:
            raise InputError(f"the model has the task {task!r} already, with options of its own")
        return model
    spec, stages, head = task_parts(task, options, model.core)
    brought = [stage for stage in stages if stage.name not in model.stages]
    if any(True for module in (head, *brought) for _ in module.parameters()):
        raise InputError(f"task {task!r} has weights to train; add it by `scenekit train --add-task {task}`")
    config = model.config.model_copy(update={"tasks": {**model.config.tasks, task: options}})
    tasks = {name: (model.specs[name], model.heads[name]) for name in model.tasks}
    owners = {**model.owners, **{stage.name: spec for stage in brought}}
    known = [model.stages[name] for name in model.stages]
    more = SceneModel(config, model.core, [*known, *brought], {**tasks, task: (spec, head)}, model.pooler, owners)  # type: ignore[list-item, dict-item]
    head.to(model.device).train(model.training)
    for container in (more, more.stages, more.heads):
        container.training = model.training
    return more


def with_keys(model: SceneModel, keys: tuple[Key[Any, Any], ...]) -> SceneModel:
    """Return a model with the tasks without weights that provide some keys, where it can have them.

    Args:
        model: The model, which stays as it is.
        keys: Keys that are wanted, such as those that a tracker uses; for those that only tasks with weights provide,
            or that the model cannot have, nothing is added.

    Returns:
        The model, with further tasks where there are any.
    """
    for key in keys:
        provided = {known for spec in model.specs.values() for known in spec.provides}
        for spec in registry().tasks.values():
            if key not in provided and key in spec.provides and not spec.learns_from:
                model = _if_possible(model, spec)
    return model


def _if_possible(model: SceneModel, spec: TaskSpec) -> SceneModel:
    """Return a model with a task, or the model where that is not possible."""
    try:
        return with_task(model, spec.name)
    except InputError:
        return model
