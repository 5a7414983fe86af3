"""Indexing a large JSON file entry by entry, and reading single entries later.

An annotation file of COCO or Visual Genome has half a gigabyte; as Python objects it would take several. Only the byte
offsets of its entries are kept, and the entries of an image are read when it is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, parse_json, parse_whole

CHUNK = 1 << 22
"""Bytes that are read at a time."""

_BYTE_ORDER_MARK = "\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode
_decode_long = json.JSONDecoder(parse_int=parse_whole).raw_decode


class Entry(NamedTuple):
    """One value of the file."""

    field: str
    """Field of the document that holds it."""
    number: int | None
    """Position in the list there; None for a value that is not a list, and for the empty list that precedes its
    entries."""
    start: int
    """Byte offset of its beginning."""
    end: int
    """Byte offset of its end."""
    value: Any
    """The value."""


@dataclass(frozen=True)
class Spans:
    """Byte offsets of entries in a file."""

    path: Path
    """The file."""
    noun: str
    """Kind of the entries for error messages."""
    starts: Int[np.ndarray, " n"]
    """Byte offset of the beginning of each entry."""
    ends: Int[np.ndarray, " n"]
    """Byte offset of the end of each entry."""

    def __len__(self) -> int:
        return len(self.starts)

    def read(self, rows: Sequence[int]) -> list[Record]:
        """Read entries.

        Args:
            rows: Indices of the entries.

        Returns:
            The entries, in that order.

        Raises:
            InputError: If the file cannot be read or has changed.
        """
        try:
            with open(self.path, "rb") as file:
                return [Record(self._value(file, row), self.path, self.noun, row) for row in rows]
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from None

    def _value(self, file: BinaryIO, row: int) -> dict[str, Any]:
        start, end = int(self.starts[row]), int(self.ends[row])
        file.seek(start)
        value = json_of(file.read(end - start), self.path)
        if not isinstance(value, dict):
            raise InputError(f"{self.path} has changed since it was opened; open the data set again")
        return value


def record_of(entry: Entry, path: Path, noun: str) -> Record:
    """Convert an entry to a record.

    Args:
        entry: The entry.
        path: The file.
        noun: Kind of the entry for error messages.

    Returns:
        The record.

    Raises:
        InputError: If the entry is not an object.
    """
    record = Record(entry.value if isinstance(entry.value, dict) else {}, path, noun, entry.number or 0)
    if not isinstance(entry.value, dict):
        raise InputError(f"{record}: expected an object, got {brief(entry.value)}")
    return record


def json_of(content: bytes, path: Path) -> Any:
    """Parse a part of a JSON file.

    Args:
        content: Bytes of one value.
        path: The file, for error messages.

    Returns:
        The value.

    Raises:
        InputError: If it is not valid, as the file has changed.
    """
    try:
        return parse_json(content.decode("utf-8"), path)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not encoded in UTF-8") from None
    except InputError:
        raise InputError(f"{path} has changed since it was opened; open the data set again") from None


def entries(path: Path) -> Iterator[Entry]:
    """Iterate over the entries of every list of a JSON object, and its other values, in the order of the file.

    Args:
        path: The file.

    Returns:
        An iterator of entries.

    Raises:
        InputError: If the file cannot be read, is not valid JSON or holds no object.
    """
    return _walk(path, _document)


def list_entries(path: Path) -> Iterator[Entry]:
    """Iterate over the entries of a JSON list, in the order of the file; their field is empty.

    Args:
        path: The file.

    Returns:
        An iterator of entries.

    Raises:
        InputError: If the file cannot be read, is not valid JSON or holds no list.
    """
    return _walk(path, _top_list)


def _walk(path: Path, through: Callable[[_Window], Iterator[Entry]]) -> Iterator[Entry]:
    try:
        with open(path, "rb") as file:
            yield from through(_Window(file, path))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


class _Window:
    """A moving part of the file as text with one character per byte, so that positions in the text are byte offsets."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.text, self.first, self.at = "", 0, 0

    @property
    def place(self) -> int:
        """Byte offset of the next character."""
        return self.first + self.at

    def peek(self) -> str:
        """Return the next character that is not a space; empty at the end of the file."""
        while True:
            space = _SPACE.match(self.text, self.at)
            assert space is not None
            self.at = space.end()
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> str:
        """Read the next character, which must be one of `expected`."""
        char = self.peek()
        if not char or char not in expected:
            raise self.issue(f"expected {' or '.join(expected)}, got {char or 'the end of the file'}")
        self.at += 1
        return char

    def value(self) -> Any:
        """Read a value of JSON, which may continue behind the window."""
        self.peek()
        while True:
            try:
                value, end = self._decoded()
            except (json.JSONDecodeError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise self.issue(str(error).split(":")[0]) from None
                continue
            if end < len(self.text) or not self._more():
                piece = self.text[self.at : end]
                self.at = end
                return value if piece.isascii() else json_of(piece.encode("latin-1"), self.path)

    def _decoded(self) -> tuple[Any, int]:
        """Decode the next value; whole numbers of more digits than Python converts become floating point."""
        try:
            return _decode(self.text, self.at)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return _decode_long(self.text, self.at)

    def issue(self, what: str) -> InputError:
        """Return an error at this position."""
        return InputError(f"{self.path} is not valid JSON: {what} (byte {self.place})")

    def _more(self) -> bool:
        piece = self.file.read(max(CHUNK, len(self.text)))
        self.text, self.first, self.at = self.text[self.at :] + piece.decode("latin-1"), self.place, 0
        return bool(piece)


def _document(window: _Window) -> Iterator[Entry]:
    _expect(window, "{", "a JSON object")
    window.take("{")
    while window.peek() != "}":
        name = window.value()
        if not isinstance(name, str):
            raise window.issue(f"expected the name of a field, got {brief(name)}")
        window.take(":")
        yield from _list(window, name) if window.peek() == "[" else [_entry(window, name)]
        if window.peek() != "}":
            window.take(",")


def _top_list(window: _Window) -> Iterator[Entry]:
    _expect(window, "[", "a JSON list")
    return (entry for entry in _list(window, "") if entry.number is not None)


def _expect(window: _Window, first: str, what: str) -> None:
    """Check the first character of the file, behind a byte order mark."""
    if window.peek() == _BYTE_ORDER_MARK[0]:
        window.at += len(_BYTE_ORDER_MARK)
    if window.peek() != first:
        got = brief(window.value()) if window.peek() else "an empty file"
        raise InputError(f"{window.path}: expected {what}, got {got}")


def _list(window: _Window, name: str) -> Iterator[Entry]:
    yield Entry(name, None, window.place, window.place, [])
    window.take("[")
    number = 0
    while window.peek() != "]":
        if number:
            window.take(",")
        yield _entry(window, name, number)
        number += 1
    window.take("]")


def _entry(window: _Window, name: str, number: int | None = None) -> Entry:
    window.peek()
    start = window.place  # of the file: the window may move on while it reads
    value = window.value()
    return Entry(name, number, start, window.place, value)
