"""Writing files whole, and values as JSON knows them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenekit.errors import InputError


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write beside the target, then rename over it. Raises InputError where the folder cannot be written."""
    with drafted(path) as draft:
        draft.write_bytes(content)


@contextmanager
def drafted(path: str | Path) -> Iterator[Path]:
    """A name beside the target to write to: the file there is renamed over it, or removed if something fails.

    Raises InputError where the folder cannot be written.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """`value` in the types of JSON: tuples to lists, NaN and infinities to None, NumPy and torch values by `tolist`."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value
