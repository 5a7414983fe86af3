"""Options that a recipe or a caller passes to the function of a record."""

from __future__ import annotations

import functools
import inspect
import os
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from scenekit.config import converted
from scenekit.errors import InputError, nearest


def check_options(
    build: Callable[..., Any], options: Mapping[str, Any], owner: str, reserved: Collection[str] = ()
) -> dict[str, Any]:
    """Validate options by the parameters of the function that they are for, and by their annotations.

    Args:
        build: The function of a record.
        options: Its options by name.
        owner: What error messages begin with, such as "data set 'coco'".
        reserved: Parameters that are set in another way.

    Returns:
        The options in the types that the annotations name: a list of YAML becomes a tuple where one is expected.

    Raises:
        InputError: For an option that `build` lacks (with the nearest valid one) or requires, and for an invalid value.
    """
    parameters = inspect.signature(build).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [name for name in parameters if name not in reserved]
    for name in options:
        if name in reserved or not (takes_all or name in known):
            raise InputError(f"{owner} has no option {name!r}{nearest(name, known)}")
    for name in known:
        parameter = parameters[name]
        variadic = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if name not in options and parameter.default is parameter.empty and not variadic:
            raise InputError(f"{owner} needs the option {name!r}")
    return {
        name: _converted(value, _annotation(build, parameters[name]), f"{owner}: option {name!r}")
        if name in parameters
        else value
        for name, value in options.items()
    }


def _converted(value: Any, annotation: Any, name: str) -> Any:
    """Return a valid value; a path may stand for text."""
    try:
        return converted(value, annotation, name)
    except InputError:
        if (text := _without_paths(value)) is value:
            raise
        return converted(text, annotation, name)


def _without_paths(value: Any) -> Any:
    """Return a path, or a list with paths, as text; any other value itself."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple) and any(isinstance(item, os.PathLike) for item in value):
        return [_without_paths(item) for item in value]
    return value


def _annotation(build: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the annotation of a parameter; Any where it has none, or one that cannot be evaluated."""
    while isinstance(build, functools.partial):
        build = build.func
    function = inspect.unwrap(build.__init__ if isinstance(build, type) else build)  # type: ignore[misc]

    def holder() -> None: ...

    holder.__annotations__ = {} if parameter.annotation is parameter.empty else {"value": parameter.annotation}
    try:
        names = getattr(function, "__globals__", {})
        return typing.get_type_hints(holder, globalns=names, include_extras=True).get("value", Any)
    except Exception:  # a name that is imported for type checkers only
        return Any
