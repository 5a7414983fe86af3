"""Indexing a large CSV file by one of its columns, and reading the rows of one value later.

The box file of Open Images has two gigabytes. Only the byte offsets of its rows are kept, those of adjacent rows of one
image as one, and the rows of an image are read when it is loaded.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int

from scenekit.errors import InputError, listed
from scenekit.io.records import brief
from scenekit_datasets.stored_index import Arrays, stored_arrays

FORMAT = 1
"""Version of the stored index; another one is built again."""

SHOWN = 12
"""How many columns a message lists."""

Row = dict[str, str]
"""The values of one row by column."""


@dataclass(frozen=True, eq=False)
class CsvIndex:
    """The rows of a file, by the value of a column."""

    path: Path
    """The file."""
    columns: tuple[str, ...]
    """Names of its columns."""
    values: np.ndarray
    """Values of the column that it is indexed by, as bytes, sorted, each once."""
    offsets: Int[np.ndarray, " V_1"]
    """Where the spans of each value begin in `starts`, and their total."""
    starts: Int[np.ndarray, " S"]
    """Byte offset of the beginning of each span of adjacent rows of one value."""
    ends: Int[np.ndarray, " S"]
    """Byte offset of the end of each span."""
    occurring: np.ndarray
    """Values of a further column, as bytes, sorted, each once."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Values of the column that it is indexed by."""
        return tuple(value.decode() for value in self.values.tolist())

    @property
    def names(self) -> tuple[str, ...]:
        """Values of the further column."""
        return tuple(value.decode() for value in self.occurring.tolist())

    def rows(self, value: str) -> list[Row]:
        """Read the rows of a value.

        Args:
            value: A value of the column that the file is indexed by.

        Returns:
            Its rows, in the order of the file; none for a value that the file does not have.

        Raises:
            InputError: If the file cannot be read or has changed.
        """
        key = value.encode()
        place = int(np.searchsorted(self.values, key))
        if place == len(self.values) or self.values[place] != key:
            return []
        spans = range(*self.offsets[place : place + 2].tolist())
        with opened(self.path) as file:
            return [row for span in spans for row in self._read(file, int(self.starts[span]), int(self.ends[span]))]

    def _read(self, file: BinaryIO, start: int, end: int) -> Iterator[Row]:
        file.seek(start)
        try:
            for row in csv.reader(io.StringIO(file.read(end - start).decode("utf-8"), newline="")):
                yield dict(zip(self.columns, row, strict=True))
        except (ValueError, csv.Error):
            raise InputError(f"{self.path} has changed since it was opened; open the data set again") from None


def open_csv(
    path: Path, column: str, required: Sequence[str], cache: Path | None = None, names: str | None = None
) -> CsvIndex:
    """Index a file, or load its stored index.

    Args:
        path: The file, whose first row names the columns.
        column: The column to index by.
        required: Names of columns that it must have.
        cache: Folder of stored indices, None for none.
        names: A column whose values are collected.

    Returns:
        The index.

    Raises:
        InputError: If the file cannot be read, lacks a column, or has a row of another length.
    """
    with opened(path) as file:
        _, _, columns = next(read_rows(file, path), (0, 0, []))
    further = () if names is None else (names,)
    if missing := [name for name in dict.fromkeys((column, *required, *further)) if name not in columns]:
        found = listed(columns, SHOWN) if columns else "none: it is empty"
        raise InputError(f"{path} lacks the columns {', '.join(missing)}; its columns are {found}")
    indexed = {f"csv by {column}, {names}": path}
    stored = stored_arrays(indexed, cache, FORMAT, lambda: _build(path, columns, column, names))
    return CsvIndex(path, tuple(columns), **stored)


def opened(path: Path) -> BinaryIO:
    """Open a file to read its bytes.

    Args:
        path: The file.

    Returns:
        The open file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def read_rows(file: BinaryIO, path: Path) -> Iterator[tuple[int, int, list[str]]]:
    """Read the rows of a file with their places; a byte order mark is no part of the first one.

    Args:
        file: The open file.
        path: Its path, for error messages.

    Yields:
        Byte offsets of beginning and end, and the values. Empty lines are left out.

    Raises:
        InputError: If the file is no CSV in UTF-8.
    """
    lines = _Lines(file)
    start = 0
    try:
        for row in csv.reader(lines):
            if row:
                yield start, lines.at, row
            start = lines.at
    except (UnicodeDecodeError, csv.Error) as error:
        reason = "it is not encoded in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputError(f"{path} is not a valid CSV file: {reason} (byte {start})") from None


class _Lines:
    """The lines of a file, and how many bytes of it are read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.at = file, 0

    def __iter__(self) -> Iterator[str]:
        encoding = "utf-8-sig"
        for line in self.file:
            self.at += len(line)
            yield line.decode(encoding)
            encoding = "utf-8"


def _build(path: Path, columns: Sequence[str], column: str, names: str | None) -> Arrays:
    """Return the arrays of the index: spans of adjacent rows, sorted by value."""
    by, further = columns.index(column), None if names is None else columns.index(names)
    numbers: dict[bytes, int] = {}
    occurring: set[bytes] = set()
    of_span, starts, ends = array("q"), array("q"), array("q")
    with opened(path) as file:
        rows = read_rows(file, path)
        next(rows)
        for start, end, row in rows:
            if len(row) != len(columns):
                raise InputError(
                    f"{path}: the row at byte {start} has {len(row)} values, expected {len(columns)}: {brief(row)}"
                )
            number = numbers.setdefault(row[by].encode(), len(numbers))
            if further is not None:
                occurring.add(row[further].encode())
            if of_span and of_span[-1] == number and ends[-1] == start:
                ends[-1] = end
            else:
                of_span.append(number)
                starts.append(start)
                ends.append(end)
    values = np.array(list(numbers), dtype=np.bytes_)
    by_value = np.argsort(values, kind="stable")
    place = np.empty_like(by_value)
    place[by_value] = np.arange(len(by_value))
    sorted_spans = place[np.array(of_span, dtype=np.int64)]
    order = np.argsort(sorted_spans, kind="stable")
    return {
        "values": values[by_value],
        "occurring": np.array(sorted(occurring), dtype=np.bytes_),
        "offsets": np.searchsorted(sorted_spans[order], np.arange(len(values) + 1)),
        "starts": np.array(starts, dtype=np.int64)[order],
        "ends": np.array(ends, dtype=np.int64)[order],
    }
