"""Frozen configurations: unknown keys are refused, and invalid values are reported in one line."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from scenekit.errors import InputError, nearest, one_line, repr_of

C = TypeVar("C", bound="Config")

ONE, SEVERAL = "(one)", "(several)"
"""Tags of the branches of an entry that is a section or a list of them; messages leave them out."""


class Config(BaseModel):
    """Base class of every configuration: frozen, unknown keys and numbers that are not finite refused.

    A field that may be infinite says so by `Field(allow_inf_nan=True)`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def validated(kind: type[C], values: Mapping[str, Any] | Config, owner: str) -> C:
    """Validate values as a configuration.

    Args:
        kind: The class of the configuration.
        values: Its options by name.
        owner: Where the values come from, with which an error begins.

    Returns:
        The configuration.

    Raises:
        InputError: If a value is invalid or an option unknown; the message names the nearest known option.
    """
    try:
        return kind.model_validate(values if isinstance(values, Config) else dict(values))
    except ValidationError as error:
        raise InputError(f"{owner}: {explained(error, kind)}") from None
    except (ValueError, TypeError, RecursionError) as error:  # numbers of thousands of digits, nesting without end
        raise InputError(f"{owner}: {one_line(error)}") from None


def converted(value: Any, annotation: Any, name: str) -> Any:
    """Validate one value by a type annotation, as the fields of a `Config` are.

    Args:
        value: The value, such as one of a recipe.
        annotation: What it should be, such as `tuple[int, int] | None`.
        name: What an error message begins with.

    Returns:
        The value in the type of the annotation; unchanged where that is none that pydantic knows.

    Raises:
        InputError: If the value is of another type or not finite.
    """
    try:
        adapter = TypeAdapter(tuple[annotation], config=_OPTIONS)  # a class of pydantic alone takes no configuration
    except (PydanticUserError, TypeError, NameError):
        return value
    try:
        return adapter.validate_python((value,))[0]
    except ValidationError as error:
        details = error.errors(include_url=False)
        reasons = dict.fromkeys(_reason(detail) for detail in details)
        raise InputError(f"{name}: {' or '.join(reasons)}, got {repr_of(value)}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{name}: {one_line(error)}") from None


_OPTIONS = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)


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
    """Format a validation error of pydantic as one line.

    Args:
        error: The validation error.
        kind: The class of configuration that was validated.

    Returns:
        The invalid values with their paths; unknown keys with the nearest known one.
    """
    details = error.errors()
    places = [detail["loc"] for detail in details]
    # A list with an invalid entry is also reported as one that is too short without it.
    inside = {place[:depth] for place in places for depth in range(len(place))}
    shown = [detail for detail in details if not (detail["type"] == "too_short" and detail["loc"] in inside)]
    return "; ".join(_explain(detail, kind) for detail in shown)


def _explain(error: Any, kind: type[Config]) -> str:
    """Explain one detail of a validation error."""
    location = tuple(part for part in error["loc"] if part not in (ONE, SEVERAL))
    path = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        return f"unknown key {repr_of(path)}{nearest(str(location[-1]), _fields_at(location[:-1], kind))}"
    if error["type"] == "missing":
        return f"{path!r} is missing"
    got = "" if isinstance(error["input"], dict | list) else f", got {repr_of(error['input'])}"
    return f"{repr(path) + ': ' if path else ''}{_reason(error)}{got}"


_EXPECTED = {
    **dict.fromkeys(("sequence_str", "tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type"), "a section of names with values"),
}
"""What is expected, in place of words of Python, by the type of an error."""


def _reason(error: Any) -> str:
    """Return what one detail of a validation error expects."""
    if error["type"] in _EXPECTED:
        return f"input should be {_EXPECTED[error['type']]}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"


def _fields_at(location: Sequence[str | int], kind: type[Config]) -> list[str]:
    """Return the field names of the section at `location` of a `kind`."""
    section: type[Config] | None = kind
    is_key = False
    for name in location:
        if isinstance(name, str) and section is not None and not is_key:
            annotation = typing.get_type_hints(section).get(name)
            section, is_key = _section(annotation), typing.get_origin(annotation) is dict
        else:
            is_key = False
    return list(section.model_fields) if section is not None else []


def _section(annotation: Any) -> type[Config] | None:
    """Return the Config inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    is_class = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    if is_class and issubclass(annotation, Config):
        return annotation  # type: ignore[no-any-return]
    sections = (_section(inner) for inner in typing.get_args(annotation))
    return next((section for section in sections if section is not None), None)
