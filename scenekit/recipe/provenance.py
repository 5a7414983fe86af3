"""A recipe with every value that a run would use, and the origin of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scenekit.config import Config, validated
from scenekit.hooks import registry
from scenekit.hooks.options import check_options
from scenekit.io.files import plain
from scenekit.recipe import ModelConfig, Recipe, read_content
from scenekit.recipe.initial import inherited, with_initial

FILE, OVERRIDE, INIT, PRESET, DEFAULT = "file", "override", "init", "preset", "default"
"""Origins of a value; the name of the initial model or the preset follows "init" or "preset"."""

COMMENT_COLUMN = 48

Place = tuple[str, ...]
"""Names that lead to a value; entries of a list by number."""


@dataclass(frozen=True)
class Resolved:
    """A recipe with all options filled in, and the origin of each value."""

    values: dict[str, Any]
    """The whole recipe as plain data, a valid recipe itself."""
    origins: dict[Place, str]
    """Origin of each value that is not a section, by its path."""

    def to_yaml(self) -> str:
        """Return YAML in which a comment names the origin of each value."""
        return "".join(f"{line}\n" for line in _lines(self.values, self.origins))

    def to_json(self) -> dict[str, Any]:
        """Return plain data: `recipe`, and `origins` by dotted path."""
        return {"recipe": self.values, "origins": {".".join(path): origin for path, origin in self.origins.items()}}


def resolve(
    path: str | Path, overrides: Sequence[str] = (), config_of: Callable[[str], ModelConfig] | None = None
) -> Resolved:
    """Load a recipe and fill in the options of its backbone, detector, tasks, data sets and balancer.

    Args:
        path: Path of the recipe.
        overrides: Entries to replace or add, each as `a.b=value`.
        config_of: Returns the configuration of the model that `init` names; if None, `init` adds nothing.

    Returns:
        All values with their origins.

    Raises:
        InputError: If `Recipe.load` refuses the file, or a name or an option is unknown.
    """
    content = read_content(path, overrides)
    recipe = Recipe.parse(content, str(path))
    initial: dict[str, Any] = {}
    if recipe.init is not None and config_of is not None:
        config = config_of(recipe.init)
        initial = inherited(config, recipe.model.model_dump(mode="json", exclude_unset=True))
        recipe = with_initial(recipe, config)
    values = recipe.model_dump(mode="json")
    presets = dict(_fill_configured(recipe, values["model"]))
    _fill_built(recipe, values)
    replaced = [tuple(override.partition("=")[0].strip().split(".")) for override in overrides]

    def origin(leaf: Place) -> str:
        if not _contains(content, leaf):
            if leaf[0] == "model" and _contains(initial, leaf[1:]):
                return f"{INIT} {recipe.init}"
            return presets.get(leaf, DEFAULT)
        return OVERRIDE if any(leaf[: len(place)] == place for place in replaced) else FILE

    return Resolved(values, {leaf: origin(leaf) for leaf in _leaves(values)})


def _fill_configured(recipe: Recipe, model: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    """Write the options of detector and tasks in full; yield the values that presets set."""
    config = recipe.model
    kind = registry().get("detector", config.detector).config
    detector = validated(kind, config.detector_options, f"detector {config.detector!r}")
    model["detector_options"] = detector.model_dump(mode="json")
    yield from _preset_leaves(kind, config.detector_options, ("model", "detector_options"))
    for name, options in config.tasks.items():
        kind = registry().get("task", name).config
        model["tasks"][name] = validated(kind, options, f"task {name!r}").model_dump(mode="json")
        yield from _preset_leaves(kind, options, ("model", "tasks", name))


def _preset_leaves(kind: type[Config], options: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    """Yield the values that the chosen preset sets, for options with `presets` by name."""
    name = options.get("preset", "default")
    for leaf in _leaves(getattr(kind, "presets", {}).get(name, {})):
        yield place + leaf, f"{PRESET} {name}"


def _fill_built(recipe: Recipe, values: dict[str, Any]) -> None:
    """Write the options of builder functions in full: backbone, data sets, balancer."""
    backbone, train = recipe.model.backbone, recipe.train
    build = registry().get("backbone", backbone.name).build
    options = with_defaults(build, backbone.options, f"backbone {backbone.name!r}", ("weights",))
    values["model"]["backbone"]["options"] = options
    owner = f"balancer {train.balancer!r}"
    build = registry().get("balancer", train.balancer).build
    values["train"]["balancer_options"] = with_defaults(build, train.balancer_options, owner)
    data = values["data"]
    val = data["val"] if isinstance(data["val"], list) else [] if data["val"] is None else [data["val"]]
    for entry in (*data["train"], *val):
        build = registry().get("dataset", entry["name"]).build
        entry["options"] = with_defaults(build, entry["options"], f"data set {entry['name']!r}", ("split",))
    for labeler in data["labelers"]:
        name, options = (labeler, {}) if isinstance(labeler, str) else (labeler["name"], labeler["options"])
        options = with_defaults(registry().get("labeler", name).build, options, f"labeler {name!r}")
        if not isinstance(labeler, str):
            labeler["options"] = options


def with_defaults(
    build: Callable[..., Any], options: Mapping[str, Any], owner: str, reserved: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the options of a builder with the defaults of its other parameters.

    Args:
        build: Builder function.
        options: Options that are set.
        owner: What error messages begin with, such as "balancer 'static'".
        reserved: Parameters of the builder that are not options.

    Returns:
        All options as plain data.

    Raises:
        InputError: If the builder does not have one of the options.
    """
    options = check_options(build, options, owner, reserved)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.default is not parameter.empty and name not in reserved
    }
    return {name: plain(value) for name, value in {**defaults, **options}.items()}


def _leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the paths of values that are not sections; entries of a list of sections go by number."""
    inner = _inner(value)
    if inner is None:
        yield place
        return
    for name, item in inner.items():
        yield from _leaves(item, (*place, name))


def _inner(value: Any) -> dict[str, Any] | None:
    """Return what a section or a list of sections holds; None for a value."""
    if isinstance(value, Mapping):
        return dict(value) or None
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        return {str(index): entry for index, entry in enumerate(value)}
    return None


def _contains(content: Any, leaf: Place) -> bool:
    for name in leaf:
        inner = _inner(content)
        if inner is None or name not in inner:
            return False
        content = inner[name]
    return True


def _lines(
    values: Mapping[str, Any], origins: Mapping[Place, str], place: Place = (), indent: int = 0
) -> Iterator[str]:
    """Yield the lines of a section in YAML; `indent` is its final indentation."""
    for name, value in values.items():
        inner, key, below = _inner(value), _flow(name), (*place, name)
        if inner is None:
            line = f"{key}: {_flow(value)}"
            yield f"{line:{max(COMMENT_COLUMN - indent, 0)}}  # {origins[below]}"
            continue
        yield f"{key}:"
        if isinstance(value, Mapping):
            yield from (f"  {line}" for line in _lines(inner, origins, below, indent + 2))
            continue
        for index, entry in inner.items():
            first, *rest = _lines(entry, origins, (*below, index), indent + 2)
            yield from (f"- {first}", *(f"  {line}" for line in rest))


def _flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).removesuffix("\n...\n").rstrip("\n")
