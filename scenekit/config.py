"""Frozen configurations: unknown keys are refused, and what is wrong is said in one line."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scenekit.errors import InputError, nearest


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def validated(kind: type[Config], values: Mapping[str, Any], owner: str) -> Config:
    """`values` as a configuration; an error names the owner, the option and the nearest right one."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{owner}: {explained(error, kind)}") from None


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` merged into it, section by section.

    Args:
        base: Options, with sections as mappings.
        changes: Options that replace those of the same name; of a section in both, only the options that `changes`
            names are replaced. A `Config` counts as the options that it was given.
    """
    result = dict(base)
    for name, value in changes.items():
        below = result.get(name)
        value = value.model_dump(exclude_unset=True) if isinstance(value, Config) else value
        result[name] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def explained(error: ValidationError, kind: type[Config]) -> str:
    """What is wrong with the values for a `kind`, in one line; unknown keys with the nearest right one."""
    return "; ".join(_explain(finding, kind) for finding in error.errors())


def _explain(error: Any, kind: type[Config]) -> str:
    """One finding of pydantic."""
    location = error["loc"]
    path = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        return f"unknown key {path!r}{nearest(str(location[-1]), _fields_at(location[:-1], kind))}"
    if error["type"] == "missing":
        return f"{path!r} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    got = "" if isinstance(error["input"], dict | list) else f", got {error['input']!r}"
    return f"{repr(path) + ': ' if path else ''}{message[0].lower()}{message[1:]}{got}"


def _fields_at(location: Sequence[str | int], kind: type[Config]) -> list[str]:
    """The keys that the section at `location` of a `kind` knows."""
    section: type[Config] | None = kind
    for name in location:
        if isinstance(name, str) and section is not None:
            section = _section(typing.get_type_hints(section).get(name))
    return list(section.model_fields) if section is not None else []


def _section(annotation: Any) -> type[Config] | None:
    """The Config inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    is_class = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    if is_class and issubclass(annotation, Config):
        return annotation  # type: ignore[no-any-return]
    found = (_section(inner) for inner in typing.get_args(annotation))
    return next((section for section in found if section is not None), None)
