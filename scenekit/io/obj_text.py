"""Text of OBJ files in the form that every reader reads alike: absolute indices, one blank between words.

Lines of `v` are vertices, those of `f` faces, whose corners are v, v/vt, v//vn or v/vt/vn: counted from 1, or back from
the latest vertex by negative numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from scenekit.errors import InputError

_VERTEX = r"v(?: +[^\s#]+){3,} *\r?$"
_FACE = r"f(?: +[1-9]\d*(?:/\d*){0,2}){3,} *\r?$"
_UNUSUAL = re.compile(rf"^[ \t]*(?=[vf]\s)(?!{_VERTEX}|{_FACE})|^[ \t]+(?=[vfog]\s)|\\\r?$", re.MULTILINE)
"""Lines of vertices and faces that not every reader reads alike."""


def plain_obj(path: Path) -> str | None:
    """Return the text of an OBJ file with faces of absolute indices, if it is written in another way.

    Args:
        path: The file.

    Returns:
        The text with vertices, faces, objects and groups alone; None for a file that is plain already.

    Raises:
        InputError: If a vertex lacks coordinates, or a face corners or vertices; the message names the line.
    """
    text = path.read_bytes().decode("utf-8", "replace")
    return "\n".join(_plain_lines(text, path)) + "\n" if _UNUSUAL.search(text) else None


def _plain_lines(text: str, path: Path) -> Iterator[str]:
    vertices = 0
    for number, line in enumerate(_joined(text), start=1):
        kind, *words = line.partition("#")[0].split() or [""]
        where = f"{path}: line {number}"
        if kind == "v":
            vertices += 1
            _require(words, f"{where}: a vertex of {len(words)} coordinates; expected x y z")
        if kind == "f":
            _require(words, f"{where}: a face of {len(words)} corners; expected 3 or more")
            words = [str(_absolute(word, vertices, where)) for word in words]
        if kind in ("v", "f", "o", "g"):
            yield " ".join((kind, *words))


def _require(words: list[str], message: str) -> None:
    if len(words) < 3:
        raise InputError(message)


def _joined(text: str) -> Iterator[str]:
    """Yield lines; one that ends in a backslash goes on in the next one, which is blank then, so that numbers stay."""
    lines = iter(text.splitlines())
    for line in lines:
        more = 0
        while line.endswith("\\"):
            line, more = f"{line[:-1]} {next(lines, '')}", more + 1
        yield line
        yield from [""] * more


def _absolute(corner: str, vertices: int, where: str) -> int:
    """Return the number of a corner's vertex; textures and normals do not matter."""
    word = corner.partition("/")[0]
    try:
        index = int(word)
    except ValueError:
        raise InputError(f"{where}: a face names vertex {word!r}; expected a whole number") from None
    if index == 0 or index < -vertices:
        raise InputError(f"{where}: a face names vertex {index}; expected 1, 2, ... or -1, ... of {vertices} before it")
    return index if index > 0 else vertices + 1 + index
