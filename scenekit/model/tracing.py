"""What torch.compile traces: networks with fixed shapes, and none of the bookkeeping around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])


def untraced(function: F) -> F:
    """Let torch.compile run a function, and what it calls, as it is.

    Args:
        function: The function.

    Returns:
        The same function to callers.
    """
    return cast(F, torch.compiler.disable(function))  # type: ignore[no-untyped-call]


def untraced_itself(function: F) -> F:
    """Let torch.compile run a function as it is, but trace what it calls.

    Args:
        function: The function.

    Returns:
        The same function to callers.
    """
    return cast(F, torch.compiler.disable(function, recursive=False))  # type: ignore[no-untyped-call]


@untraced
def eagerly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that torch.compile shall not trace.

    Args:
        function: The function.
        arguments: Its arguments.

    Returns:
        Its result.
    """
    return function(*arguments)
