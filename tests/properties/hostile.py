"""Strategies that turn a valid file into one that is not, and the one property that every reader must have."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st

from scenekit.errors import InputError

Result = TypeVar("Result")
Place = tuple[Any, Any]
"""A list or an object, and an index or a field of it."""

MARK = "hostile token "
TOKENS = {
    "400 digits": "9" * 400,
    "5000 digits": "7" * 5000,
    "1e999": "1e999",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "deep": "[" * 3000 + "]" * 3000,
}
"""JSON that Python cannot write: text which `dumped` puts in the place of the mark."""

NUMBERS = st.sampled_from(
    [0, -1, 1, 3.0, 0.5, -1e-9, 1e-320, 1e38, 3.5e38, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, 10**30]
)
TEXTS = st.sampled_from(
    ["", " ", "1", "1.0", "nan", "person", "../../x", "a\\b.png", "\ufeffid", "\x00", "é" * 300, "left"]
)
HOSTILE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    TEXTS,
    st.sampled_from([MARK + name for name in TOKENS]),
    st.sampled_from([[], {}, [[]], [None], {"": None}, [1, 2], [[1, 2], [3, 4]], [[10, 10, 30, 30]], {"size": [2, 2]}]),
    st.lists(st.one_of(NUMBERS, st.none(), TEXTS), max_size=5),
)


def refused_or(call: Callable[[], Result]) -> Result | None:
    """Return what `call` returns, or None where it refuses its input by an InputError of one line; all else fails."""
    try:
        return call()
    except InputError as error:
        text = str(error)
        assert text.strip() and len(text) < 4000 and "Traceback" not in text, text[:4000]
        return None


@st.composite
def mutated(draw: st.DrawFn, document: Any, most: int = 3) -> Any:
    """Draw a copy of a JSON document with up to `most` values replaced, removed, doubled, moved or renamed."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(document))
        if places:
            _mutate(draw, *draw(st.sampled_from(places)))
    return document


def _places(value: Any) -> Iterator[Place]:
    """Yield every place of a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield value, key
        yield from _places(entry)


def _mutate(draw: st.DrawFn, parent: Any, key: Any) -> None:
    """Change one place of a document."""
    match draw(st.sampled_from(["replace", "replace", "replace", "remove", "double", "wrap", "scale", "rename"])):
        case "replace":
            parent[key] = copy.deepcopy(draw(HOSTILE))  # else a list that is drawn twice may hold itself
        case "remove":
            del parent[key]
        case "double":
            parent[key] = [parent[key], copy.deepcopy(parent[key])]
        case "wrap":
            parent[key] = {"value": parent[key]}
        case "scale" if isinstance(parent[key], int | float):
            parent[key] = parent[key] * draw(NUMBERS)
        case "rename" if isinstance(parent, dict):
            parent[draw(TEXTS)] = parent.pop(key)


def dumped(document: Any) -> bytes:
    """Return the bytes of a JSON file, with each marked token in its place."""
    text = json.dumps(document)
    for name, token in TOKENS.items():
        text = text.replace(json.dumps(MARK + name), token)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def files(draw: st.DrawFn, document: Any) -> bytes:
    """Draw the bytes of a JSON file: a mutated document, seldom damaged as bytes."""
    content = dumped(draw(mutated(document)))
    return draw(damaged(content)) if draw(st.integers(0, 9)) == 0 else content


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the bytes of a file cut off, with bytes changed or put in, a byte order mark, or in another encoding."""
    place = draw(st.integers(0, len(content)))
    match draw(st.sampled_from(["cut", "change", "insert", "mark", "utf-16", "empty", "doubled"])):
        case "cut":
            return content[:place]
        case "change":
            return content[:place] + draw(st.binary(min_size=1, max_size=4)) + content[place + 1 :]
        case "insert":
            return content[:place] + draw(st.binary(min_size=1, max_size=40)) + content[place:]
        case "mark":
            return b"\xef\xbb\xbf" + content
        case "utf-16":
            return content.decode("utf-8", "replace").encode("utf-16")
        case "empty":
            return b""
    return content + content


@st.composite
def lines(draw: st.DrawFn, text: str) -> bytes:
    """Draw the bytes of a text file of words, such as KITTI's labels: words and lines replaced, removed or doubled."""
    rows = [line.split() for line in text.splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(0, len(rows) - 1))
        words = rows[row] or ["0"]
        word = draw(st.integers(0, len(words) - 1))
        match draw(st.sampled_from(["replace", "replace", "remove", "double"])):
            case "replace":
                words[word] = draw(st.sampled_from(WORDS))
            case "remove":
                del words[word]
            case _:
                rows.append(list(words))
        rows[row] = words
    content = "".join(" ".join(row) + "\n" for row in rows).encode()
    return draw(damaged(content)) if draw(st.integers(0, 9)) == 0 else content


WORDS = [
    "",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "810e73",
    "-1e39",
    "9" * 400,
    "0",
    "-1",
    "1e-320",
    "Car",
    "car",
    "x",
    "\ufeff",
    "0x10",
    "1_0",
    "\u0661",
]


def replace(path: Path, content: bytes) -> Path:
    """Write a file with a modification time of its own, so that nothing stored for its last content is taken."""
    path.write_bytes(content)
    replace.count += 1  # type: ignore[attr-defined]
    os.utime(path, (replace.count, replace.count))  # type: ignore[attr-defined]
    return path


replace.count = 10**9  # type: ignore[attr-defined]
