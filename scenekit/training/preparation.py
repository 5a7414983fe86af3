"""The data sets of a run, and the options that tasks determine from their ground truth (`TaskSpec.prepare`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

from scenekit.config import merged, validated
from scenekit.data.datasets import dataset
from scenekit.data.labelers import Labeler, labelled
from scenekit.data.loader import Source
from scenekit.data.scenes import spread_scenes
from scenekit.errors import PluginError
from scenekit.hooks import TaskSpec, naming_plugin, registry
from scenekit.recipe import DatasetConfig, Recipe
from scenekit.recipe.initial import with_initial
from scenekit.scene import Scene

SCENES = 2000
"""Upper limit of the number of scenes, of all data sets together, that a task sees; the same number of each data set.
"""

Options: TypeAlias = Mapping[str, Any]
Track: TypeAlias = Callable[[Iterator[Scene], int], Iterable[Scene]]
"""Shows the progress of reading a number of scenes."""


def open_source(config: DatasetConfig, labelers: Sequence[Labeler] = ()) -> Source:
    """Open a data set of a recipe.

    Args:
        config: The data set's entry in the recipe.
        labelers: Labelers that derive further ground truth.

    Returns:
        The data set with its name and weight.

    Raises:
        InputError: If the data set or one of its options is unknown, or its files cannot be used.
    """
    data = labelled(dataset(config.name, config.split, **config.options), labelers)
    return Source(data, f"{config.name}/{config.split}", config.weight)


def prepares(recipe: Recipe) -> bool:
    """Return whether any task of a recipe determines options from the ground truth.

    Args:
        recipe: The recipe.

    Returns:
        Whether a task has `prepare`.
    """
    return any(registry().get("task", name).prepare is not None for name in recipe.model.tasks)


def prepared(
    recipe: Recipe,
    sources: Sequence[Source],
    track: Track,
    attempt: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Recipe:
    """Complete the options of every task from the ground truth, with the class names of the data sets.

    Args:
        recipe: The recipe, completed by the configuration of the model that it starts from.
        sources: Data sets of the run.
        track: Shows the progress of reading the scenes.
        attempt: A context manager for what is done for a task, see `errors.collecting`.

    Returns:
        The recipe with complete options; without the tasks whose attempt failed.

    Raises:
        PluginError: If `prepare` of a task returns something else than its configuration.
    """
    tasks, share = {}, max(SCENES // len(sources), 1)
    for name, values in recipe.model.tasks.items():
        with attempt():
            spec: TaskSpec = registry().get("task", name)
            if spec.prepare is None:
                tasks[name] = values
            else:
                scenes = (scene for source in sources for scene in spread_scenes(source.data, share))
                count = sum(min(share, len(source.data)) for source in sources)
                tasks[name] = _completed(spec, values, track(scenes, count))
    return with_tasks(recipe, tasks)


def adopted(recipe: Recipe, before: Recipe) -> Recipe:
    """Return the recipe of a resumed run with what `init` and its tasks added when it started.

    Args:
        recipe: The recipe as it is now.
        before: The stored recipe of the run.

    Returns:
        The recipe with complete options.
    """
    if recipe.init is not None:
        recipe = with_initial(recipe, before.model)
    tasks = {
        name: _filled(values, before.model.tasks.get(name, {}))
        if registry().get("task", name).prepare is not None
        else values
        for name, values in recipe.model.tasks.items()
    }
    return with_tasks(recipe, tasks)


def with_tasks(recipe: Recipe, tasks: Mapping[str, dict[str, Any]]) -> Recipe:
    """Return a recipe with other options of its tasks.

    Args:
        recipe: The recipe.
        tasks: Options by name of the task.

    Returns:
        The changed recipe.
    """
    model = recipe.model.model_copy(update={"tasks": dict(tasks)})
    return recipe.model_copy(update={"model": model})


def _filled(values: Options, known: Options) -> dict[str, Any]:
    """Return `values`, with the `known` entries in place of those that are missing or None."""
    filled = {**known, **{name: value for name, value in values.items() if value is not None or name not in known}}
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(known.get(name), Mapping):
            filled[name] = _filled(value, known[name])
    return filled


def _completed(spec: TaskSpec, values: Options, scenes: Iterable[Scene]) -> dict[str, Any]:
    """Return the written values, with the changes that `prepare` made."""
    assert spec.prepare is not None
    config = validated(spec.config, values, f"task {spec.name!r}")
    with naming_plugin(spec):
        made: object = spec.prepare(config, scenes)
        if not isinstance(made, spec.config):
            raise PluginError(
                f"`prepare` of task {spec.name!r} must return a {spec.config.__name__}, got {type(made).__name__}"
            )
    return merged(values, _changes(config.model_dump(mode="json"), made.model_dump(mode="json")))


def _changes(before: Options, after: Options) -> dict[str, Any]:
    """Return the entries of `after` that differ, section by section."""
    changed = {name: value for name, value in after.items() if name not in before or value != before[name]}
    for name, value in changed.items():
        if isinstance(value, Mapping) and isinstance(before.get(name), Mapping):
            changed[name] = _changes(before[name], value)
    return changed
