"""Labels of one image of Open Images, created from its rows when it is loaded.

Letters: N boxes, A attributes, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.io.records import brief
from scenekit.scene import Objects
from scenekit.structures import Masks, Relations
from scenekit.structures.geometry import Size
from scenekit_datasets.csv_index import Row
from scenekit_datasets.image_labels import clipped
from scenekit_datasets.open_images.names import FLAGS, IS, Names

SAME = 0.01
"""Sides of boxes that differ less, as a part of the image's, are the same in several files."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as parts of the image's sides."""


@dataclass(frozen=True)
class BoxRow:
    """One row of the boxes."""

    label: int
    """Its label."""
    box: Box
    """Its box."""
    row: Row
    """All its values."""


def read_boxes(rows: Sequence[Row], names: Names, where: str, issues: list[str]) -> list[BoxRow]:
    """Read boxes of known classes.

    Args:
        rows: Rows of the boxes.
        names: The names.
        where: Beginning of messages.
        issues: Issues, to which those of faulty rows are added.

    Returns:
        The boxes that can be used.
    """
    boxes = []
    for row in rows:
        if row["LabelName"] not in names.labels:
            continue
        try:
            boxes.append(BoxRow(names.labels[row["LabelName"]], _box(row, "{}"), row))
        except InputError as error:
            issues.append(f"{where}: {error}")
    return boxes


def objects_of(boxes: Sequence[BoxRow], size: Size) -> Objects:
    """Create objects; groups of more than five are crowds.

    Args:
        boxes: The boxes.
        size: (height, width) of the image in pixels.

    Returns:
        The objects.
    """
    height, width = size
    corners = [[x0 * width, y0 * height, x1 * width, y1 * height] for x0, y0, x1, y1 in (one.box for one in boxes)]
    return Objects(
        torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        torch.tensor([one.label for one in boxes], dtype=torch.int64),
        crowd=torch.tensor([one.row["IsGroupOf"] == "1" for one in boxes], dtype=torch.bool),
    )


def attributes_of(
    boxes: Sequence[BoxRow], relations: Sequence[Row], names: Names, where: str, issues: list[str]
) -> Float[Tensor, "N A"]:
    """Create attributes: the flags of the boxes, and those of relationships.

    An object with an attribute of the latter kind lacks the others; of objects without any they are unknown.

    Args:
        boxes: The boxes.
        relations: Rows of the relationships.
        names: The names.
        where: Beginning of messages.
        issues: Issues, to which those of faulty rows are added.

    Returns:
        1 and 0, NaN where unknown.
    """
    table = torch.full((len(boxes), len(names.vocabulary.attributes)), math.nan)
    for place, one in zip(table, boxes, strict=True):
        for column, flag in FLAGS.items():
            if one.row.get(column) in ("0", "1"):
                place[names.vocabulary.attributes.index(flag)] = float(one.row[column])
    for row in relations:
        if row["RelationshipLabel"] == IS and row["LabelName2"] in names.attributes:
            owner = _end(row, "1", boxes, names, where, issues)
            if owner is not None:
                others = list(names.attributes.values())
                table[owner, others] = table[owner, others].nan_to_num(0.0)
                table[owner, names.attributes[row["LabelName2"]]] = 1.0
    return table


def relations_of(
    boxes: Sequence[BoxRow], relations: Sequence[Row], names: Names, where: str, issues: list[str]
) -> Relations:
    """Create relations between boxes; those of other classes are left out.

    Args:
        boxes: The boxes.
        relations: Rows of the relationships.
        names: The names.
        where: Beginning of messages.
        issues: Issues, to which those of rows without a box are added.

    Returns:
        The relations.
    """
    triples = []
    for row in relations:
        known = row["LabelName1"] in names.labels and row["LabelName2"] in names.labels
        if known and row["RelationshipLabel"] != IS:
            ends = [_end(row, end, boxes, names, where, issues) for end in "12"]
            if None not in ends:
                triples.append((*ends, names.vocabulary.predicates.index(row["RelationshipLabel"])))
    unique = list(dict.fromkeys(triples))
    return Relations(*torch.tensor(unique, dtype=torch.int64).reshape(-1, 3).unbind(1))


def masks_of(
    boxes: Sequence[BoxRow],
    rows: Sequence[Row],
    folders: Sequence[Path],
    names: Names,
    size: Size,
    where: str,
    issues: list[str],
) -> tuple[Masks, Bool[Tensor, " N"]]:
    """Read the masks of boxes.

    Args:
        boxes: The boxes.
        rows: Rows of the masks.
        folders: Folders that may have their files.
        names: The names.
        size: (height, width) of the image in pixels.
        where: Beginning of messages.
        issues: Issues, to which those of masks without a box or a file are added.

    Returns:
        (masks, which boxes have one).
    """
    masks = list(Masks.empty(len(boxes), size).rles)
    there = torch.zeros(len(boxes), dtype=torch.bool)
    for row in rows:
        if row["LabelName"] not in names.labels:
            continue
        try:
            box = _box(row, "Box{}")
            place = _place(boxes, names.labels[row["LabelName"]], box)
            if place is None:
                raise InputError(f"mask {row['MaskPath']} has a box that the file of boxes lacks")
            mask = torch.from_numpy(read_mask(row["MaskPath"], folders, size))
            masks[place], there[place] = Masks.from_dense(mask[None]).rles[0], True
        except InputError as error:
            issues.append(f"{where}: {error}")
    return Masks(tuple(masks), size), there


def read_mask(name: str, folders: Sequence[Path], size: Size) -> Bool[np.ndarray, "H W"]:
    """Read a mask, which may have another size than its image.

    Args:
        name: Name of the file.
        folders: Folders that may have it.
        size: (height, width) of the image in pixels.

    Returns:
        The mask in pixels of the image.

    Raises:
        InputError: If there is no such file, or it is no image.
    """
    if not name or name != Path(name).name:
        raise InputError(f"'MaskPath' must be the name of a file, not {brief(name)}")
    places = (Path(str(folder).format(part)) / name for folder in folders for part in (name[0], name[0].upper()))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(f"no mask {name}; name its folder with masks=")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((size[1], size[0]), Image.Resampling.NEAREST)) > 127
    except Exception as error:  # damaged files raise errors of many kinds
        raise InputError(f"{path} cannot be read as an image: {one_line(error)}") from error


def _end(
    row: Mapping[str, str], end: str, boxes: Sequence[BoxRow], names: Names, where: str, issues: list[str]
) -> int | None:
    """Return the box at an end of a relationship; without one, an issue is added."""
    label = row[f"LabelName{end}"]
    try:
        place = _place(boxes, names.labels[label], _box(row, "{}" + end)) if label in names.labels else None
        if place is None and label in names.labels:
            raise InputError(f"a relationship {row['RelationshipLabel']!r} has a box that the file of boxes lacks")
    except InputError as error:
        issues.append(f"{where}: {error}")
        return None
    return place


def _place(boxes: Sequence[BoxRow], label: int, box: Box) -> int | None:
    """Return the box of a class that is the same as another."""
    differences = [
        (max(abs(a - b) for a, b in zip(one.box, box, strict=True)), place)
        for place, one in enumerate(boxes)
        if one.label == label
    ]
    least, place = min(differences, default=(math.inf, -1))
    return place if least <= SAME else None


def _box(row: Mapping[str, str], column: str) -> Box:
    x0, x1, y0, y1 = (_number(row, column.format(side)) for side in ("XMin", "XMax", "YMin", "YMax"))
    box = clipped((x0, y0, x1, y1), (1, 1))
    if box is None:
        raise InputError(f"the box of {row.get('LabelName', 'an object')} is empty: x {x0} to {x1}, y {y0} to {y1}")
    return box


def _number(row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{column} must be a number, not {brief(row[column])}")
    return value
