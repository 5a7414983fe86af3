"""A JSON schema of recipes for editors, with the names and options of all installed plugins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scenekit.config import Config
from scenekit.hooks import registry
from scenekit.io.files import plain
from scenekit.recipe import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """Return the JSON schema of recipes, with what is installed.

    Editors mark unknown keys, names and options by it, and complete known ones.

    Returns:
        The schema as plain data.
    """
    schema = Recipe.model_json_schema()
    parts = schema["$defs"]
    _describe_tasks(parts)
    _describe_detectors(parts)
    _describe_built(parts["BackboneConfig"], "backbone", "name", "options", reserved=("weights",))
    _describe_built(parts["DatasetConfig"], "dataset", "name", "options", reserved=("split",))
    _describe_built(parts["LabelerConfig"], "labeler", "name", "options")
    _describe_built(parts["TrainConfig"], "balancer", "balancer", "balancer_options")
    return {"$schema": DIALECT, **schema, "title": "A recipe of scenekit"}


def _describe_tasks(parts: Schema) -> None:
    """Describe one section under `tasks` for each installed task."""
    tasks = {name: _embedded(spec.config, f"task.{name}", parts) for name, spec in registry().tasks.items()}
    for name, section in tasks.items():
        section["description"] = registry().tasks[name].summary
    entry = parts["ModelConfig"]["properties"]["tasks"]
    entry |= {"properties": tasks, "additionalProperties": False}


def _describe_detectors(parts: Schema) -> None:
    """Describe `detector_options` by the name of the detector."""
    names = registry().names("detector")
    kinds = {name: registry().get("detector", name).config for name in names}
    options = {name: _embedded(kind, f"detector.{name}", parts) for name, kind in kinds.items()}
    _choose(parts["ModelConfig"], "detector", {"enum": [*names, None]}, "detector_options", options)


def _describe_built(part: Schema, kind: str, name: str, options: str, reserved: Sequence[str] = ()) -> None:
    """Describe the options of a builder: its parameters, with their defaults."""
    names = [known for known in registry().names(kind) if not known.endswith("/")]
    libraries = [known for known in registry().names(kind) if known.endswith("/")]
    known: Schema = {"enum": names}
    if libraries:
        known = {"anyOf": [known, {"pattern": f"^({'|'.join(libraries)})"}]}
    builds = {one: registry().get(kind, one).build for one in names}
    _choose(part, name, known, options, {one: _parameters(build, reserved) for one, build in builds.items()})


def _choose(part: Schema, name: str, known: Schema, options: str, schemas: dict[str, Schema]) -> None:
    """Restrict `name` in `part` to the `known` names, and `options` to the schema of the chosen name."""
    default = part["properties"][name].get("default")
    part["properties"][name] |= known
    part["allOf"] = list(_alternatives(name, default, options, schemas.items()))


def _alternatives(name: str, default: Any, options: str, schemas: Iterable[tuple[str, Schema]]) -> Iterable[Schema]:
    for value, schema in schemas:
        condition: Schema = {"properties": {name: {"const": value}}}
        if value != default:  # where the name is left out, it is the default's options that count
            condition["required"] = [name]
        yield {"if": condition, "then": {"properties": {options: schema}}}


def _embedded(kind: type[Config], prefix: str, parts: Schema) -> Schema:
    """Return the schema of a configuration; its parts are added to `parts` under names of their own."""
    prefix = prefix.replace("/", ".")  # a slash would lead a reference further down
    schema = kind.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    for name, part in schema.pop("$defs", {}).items():
        parts[f"{prefix}.{name}"] = part
    if presets := getattr(kind, "presets", None):
        schema.setdefault("properties", {})["preset"] = {"enum": list(presets), "default": "default"}
    return schema


def _parameters(build: Callable[..., Any], reserved: Sequence[str]) -> Schema:
    """Return the schema of a builder's parameters, without types."""
    parameters = [one for one in inspect.signature(build).parameters.values() if one.name not in reserved]
    named = [one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    properties = {one.name: {} if one.default is one.empty else {"default": plain(one.default)} for one in named}
    return {
        "properties": properties,
        "required": [one.name for one in named if one.default is one.empty],
        "additionalProperties": any(one.kind is one.VAR_KEYWORD for one in parameters),
    }
