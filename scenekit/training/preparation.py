"""The data sets of a run, and the options that detector and tasks determine from their ground truth (`prepare`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial, reduce
from typing import Any, TypeAlias

from scenekit.config import Config, merged, validated
from scenekit.data.claims import spread_claims
from scenekit.data.inputs import with_modalities
from scenekit.data.labelers import Labeler, labelled
from scenekit.data.labels.opening import opened
from scenekit.data.loader import Source
from scenekit.data.mixing import mixture_weights, steps_of
from scenekit.data.scenes import spread_scenes
from scenekit.errors import PluginError
from scenekit.hooks import DetectorSpec, TaskSpec, naming_plugin, registry
from scenekit.keys import OBJECTS
from scenekit.model.preprocess import resized
from scenekit.recipe import DatasetConfig, InputConfig, LabelSpace, Recipe
from scenekit.recipe.data import entry_names
from scenekit.recipe.initial import with_initial
from scenekit.scene import Scene
from scenekit.structures.geometry import Geometry
from scenekit.structures.label_map import joined
from scenekit.structures.vocabulary import Vocabulary
from scenekit.training.freezing import DETECTION
from scenekit.training.teaching import with_teacher
from scenekit.weights import described

SCENES = 2000
"""Upper limit of the number of scenes, of all data sets together, that a task sees; the same number of each data set.
"""

Options: TypeAlias = Mapping[str, Any]
Track: TypeAlias = Callable[[Iterator[Scene], int], Iterable[Scene]]
"""Shows the progress of reading a number of scenes."""


def open_source(
    config: DatasetConfig,
    labelers: Sequence[Labeler] = (),
    space: LabelSpace | None = None,
    inputs: Sequence[str] = (),
) -> Source:
    """Open a data set of a recipe.

    Args:
        config: The data set's entry in the recipe.
        labelers: Labelers that derive further ground truth, from that in the names of the label space.
        space: The label space of the recipe.
        inputs: Modalities that its images come with.

    Returns:
        The data set with its name and weight.

    Raises:
        InputError: If the data set or one of its options is unknown, or its files cannot be used.
    """
    data = with_teacher(labelled(opened(config, space), labelers), config.teacher, space)
    return Source(with_modalities(data, inputs), f"{config.name}/{config.split}", config.weight)


def open_mixture(recipe: Recipe, labelers: Sequence[Labeler] = ()) -> list[Source]:
    """Open the data sets that a recipe trains on, with their weights in the mixture.

    Args:
        recipe: The recipe.
        labelers: Labelers that derive further ground truth.

    Returns:
        The data sets, each with a name of its own.

    Raises:
        InputError: If a data set cannot be opened.
    """
    space, names = recipe.data.label_space, entry_names(recipe.data.train)
    sources = [open_source(config, labelers, space, recipe.data.inputs) for config in recipe.data.train]
    lengths = [len(source.data) for source in sources]
    weights = mixture_weights(lengths, [source.weight for source in sources], recipe.data.temperature)
    own = zip(sources, names, weights, strict=True)
    return [replace(source, name=name, weight=weight) for source, name, weight in own]


def with_steps(recipe: Recipe, sources: Sequence[Source], processes: int = 1) -> Recipe:
    """Return a recipe whose `steps` are those of its `epochs`.

    Args:
        recipe: The recipe.
        sources: The data sets that it trains on.
        processes: The number of processes that share the work.

    Returns:
        The changed recipe; the recipe itself where it counts in steps.
    """
    train = recipe.train
    if train.epochs is None:
        return recipe
    images = train.batch_size * train.accumulate * processes
    steps = steps_of(train.epochs, sum(len(source.data) for source in sources), images)
    return recipe.model_copy(update={"train": train.model_copy(update={"steps": steps})})


def with_label_space(recipe: Recipe) -> Recipe:
    """Return a recipe that holds its label space, so that it means the same wherever and whenever it is read.

    Args:
        recipe: The recipe.

    Returns:
        The recipe with the content of its label file; the recipe itself without one.
    """
    if not isinstance(recipe.data.labels, str):
        return recipe
    data = recipe.data.model_copy(update={"labels": recipe.data.label_space})
    return recipe.model_copy(update={"data": data})


def vocabulary_of(recipe: Recipe, sources: Sequence[Source]) -> Vocabulary:
    """Return the names of the model of a run.

    Args:
        recipe: The recipe of the run.
        sources: Its data sets.

    Returns:
        The names of all data sets; where the recipe keeps those of `init`, these with the lists that they lack.

    Raises:
        InputError: If the data sets contradict each other, or there is no model `init`.
    """
    join = Vocabulary.merged if recipe.data.labels is None else joined
    vocabulary = reduce(join, (source.data.vocabulary for source in sources))
    if recipe.vocabulary == "init" and recipe.init is not None:
        return described(recipe.init)[1].completed(vocabulary)
    return vocabulary


def prepares(recipe: Recipe) -> bool:
    """Return whether the detector or any task of a recipe determines options from the ground truth.

    Args:
        recipe: The recipe.

    Returns:
        Whether one of them has `prepare` or `adapt`.
    """
    return any(_determines(spec) for _, spec in _records(recipe))


def _determines(spec: TaskSpec | DetectorSpec) -> bool:
    return spec.prepare is not None or (isinstance(spec, DetectorSpec) and spec.adapt is not None)


def _records(recipe: Recipe) -> Iterator[tuple[str, TaskSpec | DetectorSpec]]:
    """Yield the name and the record of the detector and of each task."""
    if recipe.model.detector is not None:
        yield recipe.model.detector, registry().get("detector", recipe.model.detector)
    for name in recipe.model.tasks:
        yield name, registry().get("task", name)


def prepared(
    recipe: Recipe,
    sources: Sequence[Source],
    track: Track,
    attempt: Callable[[], AbstractContextManager[None]] = nullcontext,
    own: Options | None = None,
    frozen: Collection[str] = (),
) -> Recipe:
    """Complete the options of detector and tasks from the ground truth, with the class names of the data sets.

    Args:
        recipe: The recipe, completed by the configuration of the model that it starts from.
        sources: Data sets of the run.
        track: Shows the progress of reading the scenes.
        attempt: A context manager for what is done for a task, see `errors.collecting`.
        own: Options of the detector that the recipe itself sets, instead of the model that it starts from; None for
            all.
        frozen: Tasks, and `DETECTION` for the detector, that stay as they are, options included.

    Returns:
        The recipe with complete options; without the tasks whose attempt failed.

    Raises:
        PluginError: If `prepare` or `adapt` of one of them returns something else than its configuration.
    """
    tasks, share = {}, max(SCENES // len(sources), 1)

    def scenes() -> Iterable[Scene]:
        every = (scene for source in sources for scene in spread_scenes(source.data, share))
        return track(every, sum(min(share, len(source.data)) for source in sources))

    with attempt():
        recipe = _with_detector(recipe, scenes)
        if DETECTION not in frozen:
            recipe = _adapted(recipe, sources, recipe.model.detector_options if own is None else own)
    for name, values in recipe.model.tasks.items():
        with attempt():
            spec: TaskSpec = registry().get("task", name)
            if spec.prepare is None or name in frozen:
                tasks[name] = values
            else:
                tasks[name] = _completed(spec, values, partial(_prepared, spec, scenes()), f"task {name!r}")
    return with_tasks(recipe, tasks)


def _with_detector(recipe: Recipe, scenes: Callable[[], Iterable[Scene]]) -> Recipe:
    """Return the recipe with the options of the detector completed."""
    name, values = recipe.model.detector, recipe.model.detector_options
    if name is None or (spec := registry().get("detector", name)).prepare is None:
        return recipe
    resized_objects = (_as_input(scene, recipe.model.input) for scene in scenes())
    return _with_options(recipe, _completed(spec, values, partial(_prepared, spec, resized_objects), _owner(name)))


def _adapted(recipe: Recipe, sources: Sequence[Source], own: Options) -> Recipe:
    """Return the recipe with a detector for what its data covers, and with what it sets itself."""
    name = recipe.model.detector
    if name is None or (adapt := registry().get("detector", name).adapt) is None:
        return recipe
    spec, names = registry().get("detector", name), vocabulary_of(recipe, sources)
    claims = [claims for source in sources for claims in spread_claims(source.data, names)]
    options = _completed(spec, recipe.model.detector_options, lambda config: adapt(config, claims), _owner(name))
    return _with_options(recipe, merged(options, own))


def _prepared(spec: TaskSpec | DetectorSpec, scenes: Iterable[Scene], config: Config) -> object:
    assert spec.prepare is not None
    return spec.prepare(config, scenes)


def _owner(detector: str) -> str:
    return f"detector {detector!r}"


def _with_options(recipe: Recipe, options: Options) -> Recipe:
    model = recipe.model.model_copy(update={"detector_options": dict(options)})
    return recipe.model_copy(update={"model": model})


def _as_input(scene: Scene, config: InputConfig) -> Scene:
    """Return the objects of a scene in pixels of the network's input."""
    geometry = Geometry.resize(scene.size, resized(scene.size, config))
    objects = replace(scene.objects, boxes=geometry.boxes(scene.objects.boxes))
    return Scene(geometry.size, scene.vocabulary, {OBJECTS: objects})


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
    detector = recipe.model.detector
    if detector is not None and _determines(registry().get("detector", detector)):
        recipe = _with_options(recipe, _filled(recipe.model.detector_options, before.model.detector_options))
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


def _completed(
    spec: TaskSpec | DetectorSpec, values: Options, complete: Callable[[Config], object], owner: str
) -> dict[str, Any]:
    """Return the written values, with the changes that a function of the record makes."""
    config = validated(spec.config, values, owner)
    with naming_plugin(spec):
        made = complete(config)
        if not isinstance(made, spec.config):
            raise PluginError(f"`prepare` of {owner} must return a {spec.config.__name__}, got {type(made).__name__}")
    return merged(values, _changes(config.model_dump(mode="json"), made.model_dump(mode="json")))


def _changes(before: Options, after: Options) -> dict[str, Any]:
    """Return the entries of `after` that differ, section by section."""
    changed = {name: value for name, value in after.items() if name not in before or value != before[name]}
    for name, value in changed.items():
        if isinstance(value, Mapping) and isinstance(before.get(name), Mapping):
            changed[name] = _changes(before[name], value)
    return changed
