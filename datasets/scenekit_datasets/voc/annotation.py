"""Objects of one image of Pascal VOC, from its XML file. Letters: N objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch

from scenekit.errors import InputError, nearest
from scenekit.io.files import read_text
from scenekit.io.records import brief
from scenekit.keys import ATTRIBUTES
from scenekit.scene import Objects
from scenekit.structures.geometry import Size
from scenekit_datasets.image_labels import Labels, clipped

FLAGS = ("occluded", "truncated")
"""Attributes of objects."""


@dataclass(frozen=True)
class Rules:
    """How objects are created."""

    classes: tuple[str, ...]
    """Names of the classes."""
    first_pixel: int = 1
    """Coordinate of the first pixel in boxes."""


@dataclass(frozen=True)
class _Object:
    """One object of a file."""

    label: int
    box: tuple[float, float, float, float]
    difficult: bool
    flags: tuple[float, ...]


def read_annotation(path: Path) -> ElementTree.Element:
    """Parse an XML file; one with a document type, which may define entities, is refused.

    Args:
        path: The file.

    Returns:
        Its `annotation`.

    Raises:
        InputError: If it cannot be read, or is no XML of that kind.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text:
        raise InputError(f"{path} has a document type, which VOC's files have not; remove it")
    try:
        element = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid XML: {error}") from None
    if element.tag != "annotation":
        raise InputError(f"{path}: expected an element 'annotation', got {brief(element.tag)}")
    return element


def size_of(element: ElementTree.Element, path: Path) -> Size:
    """Read the size of the image.

    Args:
        element: The annotation.
        path: Its file, for error messages.

    Returns:
        (height, width) in pixels.

    Raises:
        InputError: If it is missing or invalid.
    """
    height, width = (_number(element, f"size/{side}") for side in ("height", "width"))
    if not all(math.isfinite(side) and side >= 1 and side == int(side) for side in (height, width)):
        raise InputError(f"{path}: 'size' must have 'height' and 'width' of 1 or more, not {height:g} and {width:g}")
    return int(height), int(width)


def labels_of(element: ElementTree.Element, path: Path, rules: Rules, size: Size) -> Labels:
    """Create objects and their attributes.

    Args:
        element: The annotation.
        path: Its file, for messages.
        rules: How objects are created.
        size: (height, width) of the image in pixels.

    Returns:
        The labels; of objects that cannot be used, issues.
    """
    objects, issues = [], []
    for number, entry in enumerate(element.iterfind("object")):
        try:
            objects.append(_object(entry, rules, size))
        except InputError as error:
            issues.append(f"{path}: object {number}: {error}")
    flags = torch.tensor([one.flags for one in objects], dtype=torch.float32).reshape(-1, len(FLAGS))
    found = Objects(
        torch.tensor([one.box for one in objects], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([one.label for one in objects], dtype=torch.int64),
        ignore=torch.tensor([one.difficult for one in objects], dtype=torch.bool),
    )
    return Labels(found, {ATTRIBUTES: flags}, {}, issues)


def _object(entry: ElementTree.Element, rules: Rules, size: Size) -> _Object:
    name = (entry.findtext("name") or "").strip()
    if name not in rules.classes:
        hint = nearest(name, rules.classes)
        raise InputError(
            f"its 'name' is {name!r}, which is none of the classes{hint}; name all with the option classes"
        )
    x0, y0, x1, y1 = (_number(entry, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise InputError("its 'bndbox' must have the numbers 'xmin', 'ymin', 'xmax' and 'ymax'")
    last = rules.first_pixel  # pixels are counted from 1 and the last one belongs to the box
    box = clipped((x0 - last, y0 - last, x1, y1), size)
    if box is None:
        raise InputError(f"its 'bndbox' {x0:g} {y0:g} {x1:g} {y1:g} is empty or outside the image")
    flags = tuple(_flag(entry, name) for name in FLAGS)
    return _Object(rules.classes.index(name), box, _flag(entry, "difficult") == 1, flags)


def _number(element: ElementTree.Element, path: str) -> float:
    """Return the number of an element, NaN without one."""
    try:
        return float(element.findtext(path) or "nan")
    except ValueError:
        return math.nan


def _flag(entry: ElementTree.Element, name: str) -> float:
    """Return 0 or 1, NaN where it is not known."""
    value = _number(entry, name)
    return value if value in (0, 1) else math.nan
