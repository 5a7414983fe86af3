"""Entries of COCO-style files in one form, however a program wrote them: data sets and scores read them alike.

A reader returns a new `Record` in which ids are integers, fields that are null or empty are left out, and what a file
may leave out is filled in from what it has.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, is_number, whole_number
from scenekit.structures.geometry import Size

FARTHEST = 1e6
"""Largest coordinate of a polygon in pixels; an edge is drawn point by point, so that a stray vertex would fill the
memory."""

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
        if not isinstance(value, str) or not value.strip():
            return record.integer(name)
        number = whole_number(int(value)) if value.isascii() and value.isdecimal() and len(value) < 19 else None
        return self.texts.setdefault(value, FIRST_TEXT + len(self.texts)) if number is None else number

    def name(self, number: int) -> int | str:
        """Return an id as a file has it.

        Args:
            number: Its number.

        Returns:
            The text that has this number, else the number.
        """
        place = number - FIRST_TEXT
        return list(self.texts)[place] if 0 <= place < len(self.texts) else number


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
            The entry with `id` and, where the file has them, `height` and `width` as integers.

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
            reads, and `bbox` (x, y, width, height in pixels), that of the mask where it has none; without fields that
            are null, masks that are empty, and the id of a result.

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
            if isinstance(data.get(name), list) and [] in data[name]:
                data[name] = [part for part in data[name] if part != []]
            if name in data and not data[name]:
                del data[name]
            elif name in data and is_flat(data[name]):
                data[name] = [data[name]]
        read = record.with_data(data)
        read.flag("iscrowd")
        if data.get("bbox") in (None, []):
            data.pop("bbox", None)
            data |= {"bbox": box_of(read)} if numbered or any(name in data for name in MASKS) else {}
        else:
            read.numbers("bbox", 4)
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


def run_lengths(record: Record, field: str, size: Size) -> dict[str, Any]:
    """Convert polygons, lists of run lengths or compressed ones to COCO's compressed run lengths.

    Args:
        record: The entry.
        field: Name of the field.
        size: (height, width) of the image in pixels.

    Returns:
        The run lengths.

    Raises:
        InputError: If the field is invalid.
    """
    value = record.get(field)
    if isinstance(value, dict) and isinstance(value.get("counts"), bytes):
        return value  # converted before
    check_mask(record, field)
    if isinstance(value, dict):
        if list(value["size"]) != list(size):
            got = brief(value["size"])
            raise InputError(f"{record}: {field!r} is of size {got}, the image of {list(size)} (height, width)")
        return _compressed(value, size)
    if not value:
        return _compressed({"counts": [size[0] * size[1]]}, size)
    merged: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(value, *size))
    return merged


def check_mask(record: Record, field: str) -> None:
    """Check polygons or run lengths as far as they show it without the size of their image.

    Args:
        record: The entry.
        field: Name of the field.

    Raises:
        InputError: If they are invalid; also polygons of two points, which pycocotools draws as boxes x, y, width,
            height when they are written as such, and which have no area otherwise.
    """
    value = record.get(field)
    if isinstance(value, dict):
        _check_run_lengths(record, field, value)
    elif not isinstance(value, list) or not all(map(_is_polygon, value)):
        what = "polygons of three points or more, or run lengths"
        raise InputError(f"{record}: {field!r} must be {what}, not {brief(value)}")


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
    value = record.data[name]
    if isinstance(value, dict):
        height, width = value["size"]
        box: list[float] = coco_mask.toBbox(_compressed(value, (height, width))).tolist()
        return box
    xs, ys = ([float(n) for polygon in value for n in polygon[start::2]] for start in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def area_of(record: Record, size: Size) -> float:
    """Return the area of an annotation: as its file says, else that of its mask, else that of its box.

    Args:
        record: The annotation, as `CocoReader.annotation` returns it.
        size: (height, width) of the image in pixels.

    Returns:
        Square pixels.

    Raises:
        InputError: If the field that it is from is invalid.
    """
    if record.data.get("area") is not None:
        return record.number("area")
    if record.data.get("segmentation"):
        return float(coco_mask.area(run_lengths(record, "segmentation", size)))
    _, _, width, height = record.numbers("bbox", 4)
    return float(width) * float(height)


def _compressed(rle: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """Return sound run lengths in their compressed form."""
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        return {"size": list(size), "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    packed: dict[str, Any] = coco_mask.frPyObjects({"size": list(size), "counts": rle["counts"]}, *size)
    return packed


def _check_run_lengths(record: Record, field: str, rle: Mapping[str, Any]) -> None:
    counts, size = rle.get("counts"), rle.get("size")
    sides = [whole_number(side) for side in size] if isinstance(size, list) else []
    if len(sides) != 2 or not all(side and 0 < side < 2**31 for side in sides):
        raise InputError(f"{record}: 'size' of {field!r} must be a height and a width, not {brief(size)}")
    height, width = (int(side or 0) for side in sides)
    if isinstance(counts, str):
        runs = unpacked(counts)
        if not runs or min(runs) < 0 or sum(runs) > height * width:
            text = f"the run lengths {brief(counts)} are not those of a mask of {[height, width]} (height, width)"
            raise InputError(f"{record}: {field!r}: {text}")
        return
    runs = counts if isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts) else []
    if sum(runs) != height * width:
        text = f"the run lengths {brief(counts)} of {field!r} do not fill a mask of {[height, width]} (height, width)"
        raise InputError(f"{record}: {text}")


def unpacked(counts: str) -> list[int]:
    """Decode COCO's compressed run lengths, without the memory that a mask of their size would take.

    Five bits a character, lowest first; from the fourth run on as differences to the run before the last one
    (https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c, rleFrString).

    Args:
        counts: The run lengths.

    Returns:
        The runs; none where the text does not encode any.
    """
    runs: list[int] = []
    value = shift = 0
    for bits in (ord(character) - 48 for character in counts):
        if not 0 <= bits < 64 or shift > 60:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if bits < 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return [] if shift else runs


def _is_polygon(value: Any) -> bool:
    """Return whether a value is x, y of three or more points, none of them absurdly far away."""
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2 or not set(map(type, value)) <= {int, float}:
        return False
    return min(value) >= -FARTHEST and max(value) <= FARTHEST and math.isfinite(sum(value))


def is_flat(value: Any) -> bool:
    """Return whether a value is one polygon that is not in a list of polygons.

    Args:
        value: Any value of JSON.

    Returns:
        True for a list of numbers.
    """
    return isinstance(value, list) and bool(value) and all(map(is_number, value))
