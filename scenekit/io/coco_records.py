"""Entries of COCO-style files in one form, however a program wrote them: data sets and scores read them alike.

A reader returns a new `Record` in which ids are integers, fields that are null or empty are left out, and what a file
may leave out is filled in from what it has. Letters: A annotations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.coco_masks import RunLengths, box_around, check_mask, mask_box, with_area
from scenekit.io.records import Record, brief, is_number, whole_number

FIRST_TEXT = 10**12
"""Number of the first id that is text and no number; ids of files that number their entries are smaller."""

MASKS = ("segmentation", "amodal_segmentation")
"""Fields that hold a mask."""


@dataclass
class Ids:
    """Integers for one kind of ids: 7, 7.0 and "7" are 7, other texts are numbered as they occur."""

    texts: dict[str, int] = field(default_factory=dict)
    """Numbers of the texts."""

    def number(self, record: Record, name: str) -> int:
        """Return a required field that is an id.

        Args:
            record: The entry.
            name: Name of the field.

        Returns:
            Its number.

        Raises:
            InputError: If it is missing, or neither an integer nor text.
        """
        value = record.get(name)
        is_text = isinstance(value, str) and bool(value.strip())
        if is_text and value.isascii() and value.isdecimal() and len(value) < 19:
            return int(value)
        if is_text:
            return self.texts.setdefault(value, FIRST_TEXT + len(self.texts))
        if (number := whole_number(value)) is None:
            raise InputError(f"{record}: {name!r} must be an integer or text, not {brief(value)}")
        return number

    def name(self, number: int) -> int | str:
        """Return an id as a file has it.

        Args:
            number: Its number.

        Returns:
            The text that has this number, else the number.
        """
        place = number - FIRST_TEXT
        return list(self.texts)[place] if 0 <= place < len(self.texts) else number

    def index(self, records: Iterable[Record], name: str = "id") -> dict[int, Record]:
        """Index entries by an id.

        Args:
            records: The entries.
            name: Name of the field.

        Returns:
            Entries by its number, in their order.

        Raises:
            InputError: If it is missing or invalid, or occurs twice.
        """
        indexed: dict[int, Record] = {}
        for record in records:
            if (number := self.number(record, name)) in indexed:
                raise InputError(f"{record}: the {name} {brief(self.name(number))} occurs twice")
            indexed[number] = record
        return indexed

    def reference(self, record: Record, name: str, listed: Collection[int]) -> int:
        """Return a required field that is the id of an entry that a file lists.

        Args:
            record: The entry that refers.
            name: Name of the field.
            listed: Numbers of the ids that are listed.

        Returns:
            Its number.

        Raises:
            InputError: If it is missing, invalid or not listed.
        """
        if (number := self.number(record, name)) not in listed:
            shown = brief(self.name(number))
            raise InputError(f"{record}: {name!r} is {shown}, which the ground truth does not list")
        return number


@dataclass(frozen=True)
class CocoReader:
    """Reads the entries of files that refer to each other by ids, such as ground truth and results."""

    images: Ids = field(default_factory=Ids)
    """Ids of images."""
    categories: Ids = field(default_factory=Ids)
    """Ids of categories."""
    annotations: Ids = field(default_factory=Ids)
    """Ids of annotations."""
    segments: Ids = field(default_factory=Ids)
    """Ids of panoptic segments."""

    def image(self, record: Record) -> Record:
        """Read an image.

        Args:
            record: Its entry.

        Returns:
            The entry with `id` and, where the file has them, `height` and `width` as integers. LVIS's files name images
            by `coco_url` alone, whose last folder and name become `file_name`.

        Raises:
            InputError: If one of these is invalid.
        """
        data = {**record.data, "id": self.images.number(record, "id")}
        for name in ("height", "width"):
            if data.get(name) is None:
                data.pop(name, None)
            elif record.integer(name) < 1:
                size = f"{brief(data.get('height'))} and {brief(data.get('width'))}"
                raise InputError(f"{record}: 'height' and 'width' must be 1 or more, not {size}")
            else:
                data[name] = record.integer(name)
        if data.get("file_name") is None and isinstance(data.get("coco_url"), str):
            data["file_name"] = "/".join(data["coco_url"].split("/")[-2:])
        return record.with_data(data)

    def category(self, record: Record) -> Record:
        """Read a category.

        Args:
            record: Its entry.

        Returns:
            The entry with `id` as an integer and `name` as text.

        Raises:
            InputError: If one of these is invalid.
        """
        return record.with_data({**record.data, "id": self.categories.number(record, "id"), "name": _name(record)})

    def annotation(self, record: Record, *, numbered: bool = True) -> Record:
        """Read an annotation or a result.

        Args:
            record: Its entry.
            numbered: Whether it must have an `id`, as annotations have and results have not.

        Returns:
            The entry with `id`, `image_id` and `category_id` as integers, masks in one of the forms that `run_lengths`
            reads, without polygons of less than three points (`coco_masks.flat_polygons`), and of annotations `bbox`
            (x, y, width, height in pixels): that of the mask where it has none, upright where CVAT rotated it; without
            fields that are null, masks of annotations that are empty, and the id of a result.

        Raises:
            InputError: If one of these is invalid, or an annotation has neither a box nor a mask.
        """
        data = {name: value for name, value in record.data.items() if value is not None}
        data.pop("id", None)
        if numbered:
            data["id"] = self.annotations.number(record, "id")
        data["image_id"] = self.images.number(record, "image_id")
        data["category_id"] = self.categories.number(record, "category_id")
        for name in MASKS:
            if name in data:
                data[name] = with_area(data[name])
            if numbered and not data.get(name):
                data.pop(name, None)
        read = record.with_data(data)
        read.flag("iscrowd")
        if data.get("bbox") in (None, []):
            data.pop("bbox", None)
            data |= {"bbox": box_of(read)} if numbered else {}
        else:
            box, degrees = read.numbers("bbox", 4), _rotation(data)
            if numbered and degrees and min(box[2:]) >= 0:
                data["bbox"] = box_around([float(value) for value in box], degrees)
        return read

    def panoptic(self, record: Record) -> Record:
        """Read the panoptic segments of an image.

        Args:
            record: Their entry.

        Returns:
            The entry with `image_id` as an integer, and in each of `segments_info` `id`, `category_id` and, where the
            file has it, `annotation_id` as integers and `iscrowd` as 0 or 1.

        Raises:
            InputError: If one of these is invalid, or `file_name` is no text.
        """
        record.text("file_name")
        segments = [self.segment(info).data for info in record.records("segments_info", "segment")]
        data = {**record.data, "segments_info": segments}
        if "image_id" in data:
            data["image_id"] = self.images.number(record, "image_id")
        return record.with_data(data)

    def segment(self, record: Record) -> Record:
        """Read a panoptic segment.

        Args:
            record: Its entry.

        Returns:
            The entry with its ids as integers and `iscrowd` as 0 or 1, without fields that are null.

        Raises:
            InputError: If one of these is invalid.
        """
        data = {name: value for name, value in record.data.items() if value is not None}
        data["id"] = self.segments.number(record, "id")
        data["category_id"] = self.categories.number(record, "category_id")
        if "annotation_id" in data:
            data["annotation_id"] = self.annotations.number(record, "annotation_id")
        return record.with_data({**data, "iscrowd": int(record.flag("iscrowd"))})


def _name(record: Record) -> str:
    """Return the name of a category; a number is its digits."""
    value = record.get("name")
    return str(value) if type(value) is int else record.text("name")


@dataclass(frozen=True)
class Classes:
    """The classes that the categories of a file stand for."""

    entries: Mapping[int, Record]
    """By the id of a category, the entry of its class: the first category of its name."""
    notes: tuple[tuple[Record, str], ...]
    """Categories that are no class of their own, each with the reason as a clause."""


def classes_of(categories: Iterable[Record], used: Collection[int]) -> Classes:
    """Return classes: categories of one name are one, and those that only name a group of others are none.

    Args:
        categories: Entries of the categories, as `CocoReader.category` returns them.
        used: Ids of the categories that annotations have.

    Returns:
        The classes.

    Raises:
        InputError: If an id occurs twice.
    """
    entries = list(categories)
    roots = unused_roots(entries, used)
    notes = [
        (root, f"is no class: it has no annotations and its name, {root.data['name']!r}, is a group's")
        for root in roots
    ]
    first: dict[str, Record] = {}
    classes: dict[int, Record] = {}
    for entry in entries:
        if entry.data["id"] in classes:
            raise InputError(f"{entry}: the id occurs twice")
        if entry not in roots:
            named = classes[entry.data["id"]] = first.setdefault(entry.data["name"], entry)
            if named is not entry:
                notes.append((entry, f"is one class with another of the same name, {named.data['name']!r}"))
    return Classes(classes, tuple(notes))


def unused_roots(categories: Iterable[Record], used: Collection[int]) -> list[Record]:
    """Return the categories that only name the group of others, as the project in an export of Roboflow.

    Args:
        categories: Entries of the categories, as `CocoReader.category` returns them.
        used: Ids of the categories that annotations have.

    Returns:
        Categories without annotations and without a supercategory of their own, whose name is the supercategory of
        another; none where there are no annotations at all.
    """
    entries = list(categories)

    def is_root(entry: Record) -> bool:
        name, own = entry.data["name"], entry.data.get("supercategory")
        is_top = own in (None, "", "none", name) and entry.data["id"] not in used
        return is_top and any(other.data.get("supercategory") == name for other in entries if other is not entry)

    return [entry for entry in entries if used and is_root(entry)]


def _rotation(data: Mapping[str, Any]) -> float:
    """Return the angle of a box without a mask in degrees, of CVAT an attribute that is a floating point number."""
    value = held.get("rotation") if isinstance(held := data.get("attributes"), dict) else None
    return value if isinstance(value, float) and is_number(value) and not any(data.get(m) for m in MASKS) else 0.0


def box_of(record: Record) -> list[float]:
    """Compute the box around the mask of an annotation.

    Args:
        record: The annotation.

    Returns:
        x, y, width, height in pixels.

    Raises:
        InputError: If it has no mask, or an invalid one.
    """
    name = next((name for name in MASKS if record.data.get(name)), None)
    if name is None:
        raise InputError(f"{record} has neither 'bbox' (x, y, width, height) nor 'segmentation'")
    check_mask(record, name)
    return mask_box(record.data[name])


def area_of(record: Record, mask: RunLengths | None) -> float:
    """Return the area of an annotation: as its file says, else that of its mask, else that of its box.

    Args:
        record: The annotation, as `CocoReader.annotation` returns it.
        mask: Its mask, if any.

    Returns:
        Square pixels.

    Raises:
        InputError: If the field that it is from is invalid.
    """
    if record.data.get("area") is not None:
        return stated_area(record)
    if mask is not None:
        return float(coco_mask.area(mask))
    _, _, width, height = record.numbers("bbox", 4)
    return float(width) * float(height)


def stated_area(record: Record) -> float:
    """Return the field `area`.

    Args:
        record: The annotation.

    Returns:
        Square pixels.

    Raises:
        InputError: If it is missing, no finite number, or below 0.
    """
    if (area := record.number("area")) < 0:
        raise InputError(f"{record}: 'area' must be 0 or more, not {area:g}")
    return area


def negative_sides(boxes: Float[np.ndarray, "A 4"]) -> Bool[np.ndarray, " A"]:
    """Return which boxes have a negative side.

    Args:
        boxes: x, y, width, height.

    Returns:
        True for each such box.
    """
    _, _, width, height = boxes.T
    below: Bool[np.ndarray, " A"] = (width < 0) | (height < 0)
    return below


def outside(boxes: Float[np.ndarray, "A 4"], sizes: Shaped[np.ndarray, "A 2"]) -> Bool[np.ndarray, " A"]:
    """Return which boxes are outside their image.

    Boxes that only cross the border or have no area, as a few of COCO's, are not among them.

    Args:
        boxes: x, y, width, height in pixels.
        sizes: (height, width) of their images in pixels.

    Returns:
        True for each such box.
    """
    x, y, width, height = boxes.T
    beyond: Bool[np.ndarray, " A"] = (x >= sizes[:, 1]) | (y >= sizes[:, 0]) | (x + width < 0) | (y + height < 0)
    return beyond
