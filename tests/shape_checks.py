"""The type checker that the import hook of jaxtyping puts around every function of scenekit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with its arguments and result checked by beartype.

    The check is built at the first call: building all of them takes seconds in each process, and most functions are
    never called in it.
    """
    built: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal built
        if built is None:
            built = beartype(function)
        return built(*args, **kwargs)

    return call
