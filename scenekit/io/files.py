"""Reading text, writing files atomically, and conversion of values to the types of JSON."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import shutil
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from scenekit.errors import InputError, one_line, repr_of

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk, a quota or a file that has reached its limit."""


def path_named(name: str | os.PathLike[str]) -> Path:
    """Return the path that a user names, with the home folder for `~`; there may be no file.

    Args:
        name: The name, such as an option of a data set.

    Returns:
        The path.

    Raises:
        InputError: If no file can have the name, as it is too long, or this user may not look for it.
    """
    try:
        path = Path(os.path.expanduser(name))
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # ValueError of characters that no name may have
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise InputError(f"{repr_of(os.fspath(name))} cannot be the path of a file: {reason}") from None
    return path


def user_cache() -> Path:
    """Return the folder in which scenekit stores what can be computed again; it need not exist.

    Returns:
        SCENEKIT_CACHE, or `scenekit` in the user's folder for caches.
    """
    named = os.environ.get("SCENEKIT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "scenekit"
    return Path(named).expanduser()


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
        return read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}, which is not encoded in UTF-8: {error}") from None


def read_bytes(path: str | Path) -> bytes:
    """Read a file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return path_named(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


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
    draft = draft_beside(target)
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with suppress(OSError):  # it was never written where the folder cannot be
            draft.unlink(missing_ok=True)


def draft_beside(path: str | Path) -> Path:
    """Return the path of a draft of a file: hidden, in the same folder, the same for this thread.

    Args:
        path: The file.

    Returns:
        The path.
    """
    return Path(path).parent / _draft_name(Path(path))


@contextmanager
def drafted_folder(path: str | Path, last: str) -> Iterator[Path]:
    """Provide a folder to write to, which becomes the target on success and is removed otherwise.

    It is beside the target, or in it where the target is there and empty: a mounted folder cannot be replaced.

    Args:
        path: The target, a new or empty folder; a draft in it that an ended process has left does not count.
        last: Name of the file without which a folder is of no use; it is the last one to be there.

    Returns:
        A context manager that gives the folder to write to.

    Raises:
        InputError: If the target has files, or cannot be written; the message names the target, also of errors that
            are raised within the context.
        OSError: If another file cannot be read within the context.
    """
    target = new_folder(path)
    exists = target.is_dir()
    with created(target if exists else target.parent) as place:
        draft = place / _draft_name(target)
        try:
            draft.mkdir()
            yield draft
            if exists:
                _move_entries(draft, last)
            else:
                draft.replace(target)
        except InputError as error:
            error.args = (str(error).replace(str(draft), str(target)),)
            raise
        except OSError as error:
            name, own = error.filename, target if exists else draft
            if isinstance(name, str) and not Path(os.path.abspath(name)).is_relative_to(os.path.abspath(own)):
                raise  # of another file, which is read within the context
            raise unwritable(target, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _move_entries(draft: Path, last: str) -> None:
    """Move all entries of a draft into the folder around it, or none; then remove drafts that are left there."""
    entries = sorted(draft.iterdir(), key=lambda entry: (entry.name == last, entry.name))
    try:
        for entry in entries:
            entry.replace(draft.parent / entry.name)
    except BaseException:
        for entry in entries:
            if not entry.exists():
                (draft.parent / entry.name).replace(entry)
        raise
    for left in filter(_is_draft, draft.parent.iterdir()):
        shutil.rmtree(left, ignore_errors=True)


def new_folder(name: str | os.PathLike[str]) -> Path:
    """Return the path of a folder that is to be written.

    Args:
        name: The name that a user gives.

    Returns:
        The path, at which there is no folder, or one without files but those of drafts.

    Raises:
        InputError: If there are files, or no folder can have the name.
    """
    path = path_named(name)
    try:
        taken = os.path.lexists(path) and (not path.is_dir() or not all(map(_is_draft, path.iterdir())))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if taken:
        raise InputError(f"{path} exists and is not an empty folder; name another one, or delete it")
    return path


def _draft_name(target: Path) -> str:
    """Return a hidden name of fixed length: with a suffix that of the target could be too long."""
    return f".{zlib.crc32(os.fsencode(target.name)):08x}.{os.getpid()}.{threading.get_ident()}"


def _is_draft(path: Path) -> bool:
    return re.fullmatch(r"\.[0-9a-f]{8}\.\d+\.\d+", path.name) is not None


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


@contextmanager
def created(folder: str | Path) -> Iterator[Path]:
    """Create a folder where it is missing; if the work within the context fails, it is removed where it is empty.

    Args:
        folder: The folder.

    Returns:
        A context manager that gives the folder.

    Raises:
        InputError: If it cannot be created or written.
    """
    path = path_named(folder)
    try:
        missing = [place for place in (path, *path.parents) if not place.exists()]
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):  # a folder that exists need not be writable
            pass
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield path
    except BaseException:
        with suppress(OSError):  # others may have written into it
            for place in missing:
                place.rmdir()
        raise


def short_name(name: str, most: int) -> str:
    """Return a name that fits a file system: a long one is cut off, and ends in a hash of all of it.

    Args:
        name: The name.
        most: The most bytes that it may have; file systems take 255, with the suffix.

    Returns:
        The name, or its beginning with 8 hexadecimal digits.
    """
    encoded = os.fsencode(name)
    if len(encoded) <= most:
        return name
    return f"{encoded[: most - 9].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def portable(path: str | None, beside: str | Path) -> str | None:
    """Return the path of an image as a file beside it or elsewhere stores it: relative to that file, with slashes.

    Where the two share no folder but the root, only the name of the image is stored: the folders of this machine are
    not to be read in a file that is passed on.

    Args:
        path: The path, absolute or from the working directory; None and URLs, such as of a stream, stay as they are.
        beside: Path of the file that stores it.

    Returns:
        The path to store.
    """
    if path is None or "://" in path:
        return path
    image, folder = os.path.abspath(path), os.path.dirname(os.path.abspath(beside))
    try:
        common = os.path.commonpath((image, folder))
    except ValueError:  # different drives
        return Path(path).name
    return Path(path).name if common == os.path.dirname(common) else Path(os.path.relpath(image, folder)).as_posix()


def located(path: str | None, beside: str | Path) -> str | None:
    """Return the path that `portable` stored, for use from the working directory.

    Args:
        path: The stored path; None and URLs stay as they are.
        beside: Path of the file that stores it.

    Returns:
        The path; one that is absolute, or from the working directory where only there is a file, stays as it is.
    """
    if path is None or "://" in path or os.path.isabs(path):
        return path
    place = os.path.normpath(os.path.join(os.path.dirname(beside), path))
    return path if not os.path.isfile(place) and os.path.isfile(path) else place


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
