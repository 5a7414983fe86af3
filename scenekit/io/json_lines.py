"""Files of JSON, one value a line, as streams are stored: a writer that is killed cuts off the last line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.files import plain, read_bytes
from scenekit.io.records import parse_json


def json_line(value: Any) -> str:
    """Encode a value as a line of JSON.

    Args:
        value: Plain JSON.

    Returns:
        The line, with its end.
    """
    return json.dumps(plain(value), allow_nan=False, ensure_ascii=False) + "\n"


def read_json_lines(path: Path, cut_off: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
    """Read lines of JSON. Only a line feed ends a line; blank ones are skipped.

    A last line without an end that is not valid JSON was cut off where its writer was killed: it is left out, unless
    it is the only one.

    Args:
        path: The file, in UTF-8.
        cut_off: Called with the number of a line that is left out.

    Yields:
        (Number of the line from 1, its value).

    Raises:
        InputError: The file cannot be read, or another line is not valid JSON; the message names it.
    """
    lines, found = read_bytes(path).split(b"\n"), 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line, f"{path}: line {number}")
        except InputError:
            if number < len(lines) or not found:
                raise
            cut_off(number)
            return
        found += 1
        yield number, value
