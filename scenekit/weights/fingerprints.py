"""Which file a manifest lists: its size and checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenekit.errors import InputError


def fingerprint(path: Path) -> dict[str, Any]:
    """Return size and checksum of a file.

    Args:
        path: The file.

    Returns:
        Its bytes and its SHA-256.
    """
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def check_fingerprint(path: Path, expected: Mapping[str, Any]) -> None:
    """Check that a file is the one that a manifest lists.

    Args:
        path: The file.
        expected: Its `fingerprint`.

    Raises:
        InputError: It is missing, cut off or another one.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; the model needs it")
    actual = fingerprint(path)
    if actual["bytes"] != expected.get("bytes"):
        raise InputError(f"{path}: expected {expected.get('bytes')} bytes, got {actual['bytes']}; the file is cut off")
    if actual["sha256"] != expected.get("sha256"):
        raise InputError(f"{path}: the checksum is not that of manifest.json; the two files do not belong together")
