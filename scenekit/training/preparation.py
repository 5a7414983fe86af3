"""What tasks must know before the network is built, found out once, when a run starts (`TaskSpec.prepare`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from scenekit.config import laid_over, validated
from scenekit.data.loader import Source
from scenekit.data.scenes import spread_scenes
from scenekit.errors import PluginError
from scenekit.hooks import TaskSpec, naming_plugin, registry
from scenekit.recipe import Recipe
from scenekit.recipe.initial import with_initial
from scenekit.scene import Scene

SCENES = 2000
"""At most so many scenes of all data sets together are shown to a task, as many of each data set."""

Options: TypeAlias = Mapping[str, Any]
Watch: TypeAlias = Callable[[Iterator[Scene], int], Iterable[Scene]]


def prepares(recipe: Recipe) -> bool:
    """Whether any of the tasks has something to find out."""
    return any(registry().get("task", name).prepare is not None for name in recipe.model.tasks)


def prepared(recipe: Recipe, sources: Sequence[Source], watch: Watch) -> Recipe:
    """Complete the options of every task by what it computes from the ground truth.

    Args:
        recipe: A recipe, with what the model that it starts from says.
        sources: The training data, in the data sets' own class names.
        watch: Goes round the scenes as they are read.

    Returns:
        The recipe with the options of every task.
    """
    tasks = dict(recipe.model.tasks)
    for name, values in tasks.items():
        spec: TaskSpec = registry().get("task", name)
        if spec.prepare is not None:
            tasks[name] = _completed(spec, values, watch(_scenes(sources), _count(sources)))
    return with_tasks(recipe, tasks)


def adopted(recipe: Recipe, before: Recipe) -> Recipe:
    """Return the recipe of a resumed run, with the initial model and what tasks computed when the run started."""
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
    """The same run with other options of its tasks."""
    model = recipe.model.model_copy(update={"tasks": dict(tasks)})
    return recipe.model_copy(update={"model": model})


def _filled(values: Options, known: Options) -> dict[str, Any]:
    """`values`, and what is `known` of entries that are missing there or None."""
    filled = {**known, **{name: value for name, value in values.items() if value is not None or name not in known}}
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(known.get(name), Mapping):
            filled[name] = _filled(value, known[name])
    return filled


def _completed(spec: TaskSpec, values: Options, scenes: Iterable[Scene]) -> dict[str, Any]:
    """The values as they are written, and what `prepare` changed about them."""
    assert spec.prepare is not None
    given = validated(spec.config, values, f"task {spec.name!r}")
    with naming_plugin(spec):
        made: object = spec.prepare(given, scenes)
        if not isinstance(made, spec.config):
            raise PluginError(
                f"`prepare` of task {spec.name!r} must give a {spec.config.__name__}, got {type(made).__name__}"
            )
    return laid_over(values, _changes(given.model_dump(mode="json"), made.model_dump(mode="json")))


def _changes(before: Options, after: Options) -> dict[str, Any]:
    """Entries of `after` that differ, section by section."""
    changed = {name: value for name, value in after.items() if name not in before or value != before[name]}
    for name, value in changed.items():
        if isinstance(value, Mapping) and isinstance(before.get(name), Mapping):
            changed[name] = _changes(before[name], value)
    return changed


def _scenes(sources: Sequence[Source]) -> Iterator[Scene]:
    for source in sources:
        yield from spread_scenes(source.data, _share(sources))


def _count(sources: Sequence[Source]) -> int:
    return sum(min(_share(sources), len(source.data)) for source in sources)


def _share(sources: Sequence[Source]) -> int:
    return max(SCENES // len(sources), 1)
