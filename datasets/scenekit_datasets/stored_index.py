"""Indices of large annotation files, built once and kept in a cache folder."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from scenekit.io.files import write_atomically

_log = logging.getLogger(__name__)

LARGE = 100_000_000
"""Total bytes of the files above which a message says that indexing takes a while."""

Arrays = dict[str, np.ndarray]
"""The arrays of an index by name; texts are one of them, as bytes of JSON."""


def stored_arrays(files: Mapping[str, Path], cache: Path | None, version: int, build: Callable[[], Arrays]) -> Arrays:
    """Load the stored index of files in their present state, or build and store it.

    Args:
        files: The files by what they hold.
        cache: Folder of stored indices, None for none.
        version: Version of the format; an index of another one is built again.
        build: Function that builds the index.

    Returns:
        The index.
    """
    path = None if cache is None else cache / f"{_fingerprint(files, version)}.npz"
    stored = None if path is None else _load(path)
    if stored is not None:
        return stored
    total = sum(path.stat().st_size for path in files.values())
    if total > LARGE:
        _log.warning("indexing %.1f GB of annotations once; this takes a while", total / 1e9)
    built = build()
    if path is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **built)  # type: ignore[arg-type]  # of names that are not known here
        write_atomically(path, buffer.getvalue())
    return built


def _fingerprint(files: Mapping[str, Path], version: int) -> str:
    """Return a digest of the files' paths, sizes and times."""
    stats = [(name, str(path.resolve()), path.stat()) for name, path in sorted(files.items())]
    facts = [version, *([name, path, stat.st_size, stat.st_mtime_ns] for name, path, stat in stats)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _load(path: Path) -> Arrays | None:
    """Return the stored index; None without one that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        _log.warning("the stored index %s cannot be read (%s); building it again", path, error)
        return None
