"""Reading text, writing files atomically, and conversion of values to the types of JSON."""

from __future__ import annotations

import errno
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scenekit.errors import InputError, one_line

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk, a quota or a file that has reached its limit."""


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8; a byte order mark at its beginning is no part of the text.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: If it cannot be read or is not encoded in UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}, which is not encoded in UTF-8: {error}") from None


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file beside its target, then rename it, so that the target is never incomplete.

    Args:
        path: The target.
        content: Its content.

    Raises:
        InputError: If the folder cannot be written.
    """
    with drafted(path) as draft:
        draft.write_bytes(content)


@contextmanager
def drafted(path: str | Path) -> Iterator[Path]:
    """Provide a path beside the target to write to; on success the file is renamed to the target, else removed.

    Args:
        path: The target.

    Returns:
        A context manager that gives the path to write to.

    Raises:
        InputError: If the folder cannot be written.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with suppress(OSError):  # it was never written where the folder cannot be
            draft.unlink(missing_ok=True)


def unwritable(path: Path, error: BaseException) -> InputError:
    """Return the error that says why a file or folder cannot be written.

    Args:
        path: The file or folder.
        error: Whatever was raised while it was written; the reason of the operating system may lie below it.

    Returns:
        An error whose message names both, and what to do on a full disk.
    """
    below: BaseException | None = error
    while below is not None and not isinstance(below, OSError):
        below = below.__cause__ or below.__context__
    reason = below.strerror or one_line(below) if isinstance(below, OSError) else one_line(error)
    full = isinstance(below, OSError) and below.errno in FULL
    return InputError(f"cannot write {path}: {reason}{'; free some space, or name another folder' if full else ''}")


def plain(value: Any) -> Any:
    """Convert a value to the types of JSON: NaN and infinities become None, NumPy and torch values lists or numbers.

    Args:
        value: Nested mappings, lists, tuples, arrays, tensors and numbers.

    Returns:
        Nested dictionaries, lists and numbers.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value
