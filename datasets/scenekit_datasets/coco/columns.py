"""Columns of numbers that are kept of images and annotations while a file is indexed, and their issues.

Letters: A annotations, I images.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from scenekit.errors import InputError
from scenekit.io.coco_masks import NO_AREA, flat_polygons
from scenekit.io.coco_records import MASKS, CocoReader
from scenekit.io.records import Record
from scenekit_datasets.coco.further_keys import PREFIX, names_in
from scenekit_datasets.coco.image_validation import panoptic_entry, validated_image
from scenekit_datasets.coco.labels import has_points
from scenekit_datasets.coco.supervision import claimed_names, federated_ids
from scenekit_datasets.coco.validation import Context, annotated, flags_of, has_visibilities, is_flag, validated
from scenekit_datasets.json_index import Entry, Spans, record_of

LABEL_FIELDS = (
    "segmentation",
    "amodal_segmentation",
    "keypoints",
    "attributes",
    "caption",
    "captions",
    "bbox_3d",
    "center",
)
"""Fields of an annotation that hold a label; a file that has one anywhere supervises it everywhere."""

NO_POINTS = -1
"""How many numbers an annotation without keypoints has."""


class Segments:
    """Categories of panoptic segments."""

    def __init__(self) -> None:
        self.rows: dict[int, array[int]] = {}

    def add(self, row: int, record: Record) -> None:
        """Add the segments of an image.

        Args:
            row: Row of their entry.
            record: Their entry, as `CocoReader.panoptic` returns it.
        """
        for category in {info["category_id"] for info in record.data["segments_info"]}:
            self.rows.setdefault(category, array("q")).append(row)

    def unknown(self, categories: Collection[int]) -> dict[int, int]:
        """Return entries with a category that the file does not list.

        Args:
            categories: Ids of the categories of the file.

        Returns:
            Such a category by row of the entry.
        """
        return {row: category for category, rows in self.rows.items() if category not in categories for row in rows}


class Images:
    """Columns of the images; a height and width that the file lacks is 0.

    Args:
        path: The annotation file.
        reader: Reads its entries.
        folder: Folder of the images, for the size of those for which the file has none.
        upright: Whether images are read as their EXIF tag says.
    """

    def __init__(self, path: Path, reader: CocoReader, folder: Path | None = None, upright: bool = True) -> None:
        self.path, self.reader, self.folder, self.upright = path, reader, folder, upright
        self.starts, self.ends, self.ids = array("q"), array("q"), array("q")
        self.heights, self.widths = array("q"), array("q")
        self.names: list[str] = []
        self.fields: set[str] = set()
        self.issues: dict[int, str] = {}
        self.label_issues: list[str] = []
        self.predicates: dict[str, int] = {}
        self.claimed: dict[tuple[str, str], str] = {}
        self.federated: dict[tuple[str, int], str] = {}
        self.segments = Segments()
        self.relations = array("q")

    def add(self, entry: Entry) -> None:
        """Add one image; its issue is added to `issues`, by row.

        Args:
            entry: Its entry in the file.
        """
        row = len(self.starts)
        self.starts.append(entry.start)
        self.ends.append(entry.end)
        values: tuple[int, int, int, str] = (0, 0, 0, "")
        try:
            values = self._read(record_of(entry, self.path, "image"))
        except InputError as error:
            self.issues[row] = str(error)
        self.ids.append(values[0])
        self.heights.append(values[1])
        self.widths.append(values[2])
        self.names.append(values[3])

    def spans(self) -> Spans:
        """Return the byte offsets of the images.

        Returns:
            One span per row.
        """
        return Spans(self.path, "image", np.array(self.starts), np.array(self.ends))

    def _read(self, record: Record) -> tuple[int, int, int, str]:
        image, issues = validated_image(self.reader.image(record), self.reader)
        for claim in claimed_names(image.data, image):
            self.claimed.setdefault(claim, str(image))
        for reference in federated_ids(image):
            self.federated.setdefault(reference, str(image))
        if "panoptic" in image.data:
            self.segments.add(len(self.ids), self.reader.panoptic(panoptic_entry(image)))
        height, width = image.data.get("height", 0), image.data.get("width", 0)
        self.label_issues += issues
        self.fields.update(PREFIX + name for name in names_in(record.data, record))
        for relation in image.records("relations", "relation") if image.data.get("relations") is not None else ():
            self.predicates.setdefault(relation.text("predicate"), len(self.ids))
            ends = relation.integer("subject_id"), relation.integer("object_id")
            self.relations.extend((image.data["id"], relation.index, *ends))
        return image.data["id"], height, width, image.text("file_name")


class Annotations:
    """Columns of the annotations: of objects, or (of a panoptic file) of whole images.

    Args:
        path: The annotation file.
        reader: Reads its entries.
    """

    def __init__(self, path: Path, reader: CocoReader) -> None:
        self.path, self.reader = path, reader
        self.starts, self.ends = array("q"), array("q")
        self.ids, self.images, self.categories = array("q"), array("q"), array("q")
        self.boxes, self.points, self.mask_sizes = array("d"), array("i"), array("i")
        self.panoptic = False
        self.segments, self.maps = Segments(), list[str]()
        self.fields: set[str] = set()
        self.issues: dict[int, str] = {}
        self.label_issues: list[str] = []
        self.attributes: dict[str, int] = {}
        self.measures: dict[str, int] = {}
        self.foreign: dict[str, None] = {}

    def add(self, entry: Entry) -> None:
        """Add one annotation; its issue is added to `issues`, by row.

        Args:
            entry: Its entry in the file.
        """
        row = len(self.starts)
        self.starts.append(entry.start)
        self.ends.append(entry.end)
        try:
            record = record_of(entry, self.path, "annotation")
            self.panoptic = self.panoptic or "segments_info" in record.data
            self._add_panoptic(record) if self.panoptic else self._add_object(record)
        except InputError as error:
            self.issues[row] = str(error)
            self.maps.extend([""] if self.panoptic else [])
            self._append(0, 0, 0, (0.0, 0.0, 1.0, 1.0))
            self.mask_sizes.extend((0, 0))

    def spans(self) -> Spans:
        """Return the byte offsets of the annotations.

        Returns:
            One span per row.
        """
        return Spans(self.path, "annotation", np.array(self.starts), np.array(self.ends))

    def xywh(self) -> Float[np.ndarray, "A 4"]:
        """Return the boxes as the file has them.

        Returns:
            x, y, width, height in pixels.
        """
        return np.array(self.boxes).reshape(-1, 4)

    @property
    def occurring(self) -> dict[str, int]:
        """Attributes that occur, with the row of their first annotation."""
        return {**self.measures, **self.attributes}

    def _add_object(self, record: Record) -> None:
        read = validated(self.reader.annotation(record), Context())
        data = read.record.data
        x, y, width, height = data["bbox"]
        further = names_in(data, record)
        row = len(self.starts) - 1
        self._append(data["id"], data["image_id"], data["category_id"], (x, y, width, height), data.get("keypoints"))
        rle = next((data[name] for name in MASKS if isinstance(data.get(name), dict)), None)
        self.mask_sizes.extend((0, 0) if rle is None else map(int, rle["size"]))
        self.label_issues += read.issues
        flat = [name for name in MASKS if flat_polygons(record.data.get(name))]
        self.label_issues += [f"{record}: {name!r} {NO_AREA}" for name in flat]
        self.foreign.update(dict.fromkeys(read.foreign))
        self.fields.update([name for name in LABEL_FIELDS if name in data and _is_there(data, name)])
        self.fields.update([PREFIX + name for name in further])
        for name, value in flags_of(data["attributes"]).items() if "attributes" in data else ():
            (self.attributes if is_flag(value) else self.measures).setdefault(str(name), row)

    def _add_panoptic(self, record: Record) -> None:
        image = self.reader.images.number(record, "image_id")
        read = self.reader.panoptic(record)
        self.segments.add(len(self.ids), read)
        self.maps.append(read.data["file_name"])
        self._append(image, image, 0, (0.0, 0.0, 1.0, 1.0))
        self.mask_sizes.extend((0, 0))

    def _append(
        self, id: int, image: int, category: int, box: Iterable[float], points: list[float] | None = None
    ) -> None:
        self.ids.append(id)
        self.images.append(image)
        self.categories.append(category)
        self.boxes.extend(box)
        if points is None:
            self.points.extend((NO_POINTS, 0, True))
        else:
            self.points.extend((len(points), annotated(points), has_visibilities(points)))


def _is_there(data: dict[str, Any], name: str) -> bool:
    """Return whether a label is annotated."""
    if data[name] is None or (data[name] == [] and name != "attributes"):
        return False
    return name != "keypoints" or has_points(data)


def first_of_each(ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Return the rows whose id occurs for the first time.

    Args:
        ids: Ids.

    Returns:
        Rows, ascending.
    """
    return np.sort(np.unique(ids, return_index=True)[1])


def add_issues(issues: dict[int, str], rows: Iterable[int], message: Callable[[int], str]) -> None:
    """Add an issue to rows that have none yet.

    Args:
        issues: Issues by row, which are changed.
        rows: The rows.
        message: Function from a row to its message.
    """
    for row in rows:
        issues.setdefault(int(row), message(int(row)))
