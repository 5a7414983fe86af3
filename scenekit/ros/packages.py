"""The packages of the extra `ros`, imported where they are needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from scenekit.errors import InputError


def imported(name: str) -> ModuleType:
    """Import a module of a package that the extra `ros` brings.

    Args:
        name: Name of the module, such as "rosbags.typesys".

    Returns:
        The module.

    Raises:
        InputError: The package is absent.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as cause:
        package = name.split(".")[0]
        raise InputError(f"bags need the package {package}: pip install 'scenekit[ros]'") from cause
