"""Options that a recipe or a caller passes to the function of a record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from scenekit.errors import InputError, nearest


def check_options(
    build: Callable[..., Any], options: Collection[str], owner: str, reserved: Collection[str] = ()
) -> None:
    """Raise InputError, naming `owner`, for an option that `build` lacks (with the nearest valid one) or requires.

    `reserved` are parameters of `build` that are set in another way.
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
