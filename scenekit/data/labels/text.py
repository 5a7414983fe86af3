"""Label files as text: in a fixed order, with comments, those of people kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from scenekit.data.labels.proposal import Place
from scenekit.recipe.label_space import LabelSpace, plain_space

WIDTH = 118
"""Columns of a line."""

HEADER = """\
# A label space, proposed by `scenekit labels merge`. Review it, edit it, and name it in a recipe: `data.labels: FILE`.
# Merging again adds what is missing and keeps the rest.
#
# things, stuff, ...   the names of the label space, in the order of the labels
# data                 the data sets with their own names. Each is the class of the same name, unless `rename` says
#                      otherwise:
#   bike: bicycle      it is a class of another name; several names may be one class
#   misc: null         it is none; its labels are dropped
#   cup: [cup, mug]    it is the first class; but its objects may also be of the others, so that images with such an
#                      object do not count as annotated with these
#   mouse: ask         a question; write the answer in its place
# A data set covers the classes that its names are, and no others: what it does not cover is no background there."""
"""The first lines of a new file."""


@dataclass(frozen=True)
class Comment:
    """The comments of an entry."""

    above: tuple[str, ...] = ()
    """Lines before it."""
    behind: str = ""
    """What follows it in its line."""


def written(space: LabelSpace, reasons: Mapping[Place, str], before: str = "") -> str:
    """Write a label file.

    Args:
        space: The label space.
        reasons: Comments for entries that have none.
        before: The file as it was, whose comments are kept.

    Returns:
        The text of the file.
    """
    header, comments = comments_of(before) if before else (HEADER, {})
    comments = {place: Comment(behind=f"# {reason}") for place, reason in reasons.items()} | comments
    content = plain_space(space)
    lines = [*([header] if header else [])]
    for name, value in content.items():
        lines += ["", *_lines((name,), value, comments, 0)]
    return "\n".join(lines).lstrip("\n") + "\n"


def comments_of(text: str) -> tuple[str, dict[Place, Comment]]:
    """Return the comments of a label file.

    Args:
        text: The file.

    Returns:
        The lines before the first entry, and the comments of each entry.
    """
    lines, root = text.splitlines(), yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return text.rstrip(), {}
    first = root.value[0][0].start_mark.line
    header = max((number + 1 for number in range(first) if not lines[number].strip()), default=first)
    comments = dict(_comments(root, lines, (), header))
    return "\n".join(lines[:header]).strip(), {place: it for place, it in comments.items() if it != Comment()}


def _comments(node: yaml.MappingNode, lines: list[str], place: Place, first: int) -> Iterator[tuple[Place, Comment]]:
    """Yield the comments of the entries of a section; those before line `first` belong to the file."""
    for key, value in node.value:
        below, start = (*place, str(key.value)), key.start_mark.line
        above = start
        while above > first and lines[above - 1].strip().startswith("#"):
            above -= 1
        before = [line.strip() for line in lines[above:start]]
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield below, Comment(tuple(before), _behind(lines, key.end_mark))
            yield from _comments(value, lines, below, first)
            continue
        inside = lines[start : value.end_mark.line]
        before += [match[1] for line in inside if (match := re.search(r"(?:^|\s)(#.*)$", line))]
        yield below, Comment(tuple(before), _behind(lines, value.end_mark))


def _behind(lines: list[str], mark: Any) -> str:
    """Return the comment behind a place in a line."""
    rest = lines[mark.line][mark.column :].lstrip(": ") if mark.line < len(lines) else ""
    return rest.strip() if rest.startswith("#") else ""


def _lines(place: Place, value: Any, comments: Mapping[Place, Comment], indent: int) -> Iterator[str]:
    """Yield the lines of an entry."""
    comment, margin, key = comments.get(place, Comment()), " " * indent, _scalar(place[-1])
    yield from (f"{margin}{line}" for line in comment.above)
    behind = f"  {comment.behind}" if comment.behind else ""
    if isinstance(value, Mapping):
        yield f"{margin}{key}:{behind if value else f' {{}}{behind}'}"
        for name, entry in value.items():
            yield from _lines((*place, name), entry, comments, indent + 2)
        return
    *most, last = _wrapped(f"{margin}{key}: ", value, indent + 2)
    yield from most
    yield f"{last}{behind}"


def _wrapped(start: str, value: Any, indent: int) -> list[str]:
    """Return the lines of a value, a list in brackets."""
    if not isinstance(value, list | tuple):
        return [f"{start}{_scalar(value)}"]
    names = [_scalar(name) for name in value]
    parts = [f"{name}," for name in names[:-1]] + [f"{name}]" for name in names[-1:]]
    return list(_filled(f"{start}[", parts or ["]"], " " * indent))


def _filled(line: str, parts: Iterable[str], margin: str) -> Iterator[str]:
    """Yield lines with as many parts as fit."""
    empty = True
    for part in parts:
        if not empty and len(line) + 1 + len(part) > WIDTH:
            yield line
            line, empty = margin, True
        line, empty = f"{line}{'' if empty else ' '}{part}", False
    yield line


def _scalar(value: Any) -> str:
    """Return a name as YAML writes it in a list; null for None."""
    return yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=float("inf"))[1:-2]
