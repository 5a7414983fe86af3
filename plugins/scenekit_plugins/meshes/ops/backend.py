"""Which implementation the mesh operations use: ours in torch, or that of pytorch3d where it is installed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from scenekit.errors import InputError, nearest

BACKENDS = ("torch", "pytorch3d")
VARIABLE = "SCENEKIT_MESH_BACKEND"
"""The environment variable that names the backend where no `use_backend` does."""

Function = TypeVar("Function", bound=Callable[..., Any])
_chosen: ContextVar[str | None] = ContextVar("mesh_backend", default=None)


def current_backend() -> str:
    """Return the backend in use: of the innermost `use_backend`, else of the environment variable, else torch."""
    return _chosen.get() or _usable(os.environ.get(VARIABLE) or "torch")


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run mesh operations inside the `with` on this backend, "torch" or "pytorch3d"."""
    token = _chosen.set(_usable(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def has_pytorch3d() -> bool:
    """Return whether pytorch3d can be imported."""
    found = importlib.util.find_spec("pytorch3d")
    return found is not None and found.origin is not None  # a folder of that name without a package has none


def on_backend(function: Function) -> Function:
    """Return a function that runs `function` on torch, and on pytorch3d the one of the same name in its backend.

    Args:
        function: An operation in pure torch.
    """

    @functools.wraps(function)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        if current_backend() == "torch":
            return function(*args, **kwargs)
        module = importlib.import_module("scenekit_plugins.meshes.ops.pytorch3d_backend")
        return getattr(module, function.__name__)(*args, **kwargs)

    return cast(Function, chosen)


def _usable(name: str) -> str:
    if name not in BACKENDS:
        raise InputError(f"no backend of mesh operations is named {name!r}{nearest(name, BACKENDS)}")
    if name == "pytorch3d" and not has_pytorch3d():
        raise InputError(
            "the backend pytorch3d of mesh operations needs pytorch3d installed; the backend torch does not"
        )
    return name
