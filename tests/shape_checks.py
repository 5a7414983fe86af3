"""The type checker that the import hook of jaxtyping puts around every function of scenekit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with its arguments or its result checked by beartype.

    jaxtyping puts two stand-ins in front of each function: one is called with the arguments before it, one with its
    result after it, and the shapes that the first one met are kept for the second, which checks the result alone. The
    check is built at the first call: building all of them takes seconds in each process, and most functions are never
    called in it.
    """
    built: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal built
        if built is None:
            result = function.__annotations__.get("return", Any)  # Any in the stand-in for the arguments
            if result is not Any:
                function.__annotations__ = {"return": result}
            built = beartype(function)
        return built(*args, **kwargs)

    return call
