"""Columns of numbers that are kept of images and annotations while a file is indexed, and their issues.

Letters: A annotations, I images.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from scenekit.errors import InputError
from scenekit.io.records import Record
from scenekit_datasets.coco.further_keys import PREFIX, names_in
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


class Images:
    """Columns of the images.

    Args:
        path: The annotation file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts, self.ends, self.ids = array("q"), array("q"), array("q")
        self.heights, self.widths = array("q"), array("q")
        self.names: list[str] = []
        self.fields: set[str] = set()
        self.issues: dict[int, str] = {}
        self.predicates: dict[str, None] = {}

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
        height, width = record.integer("height"), record.integer("width")
        if height < 1 or width < 1:
            raise InputError(f"{record}: 'height' and 'width' must be 1 or more, not {height} and {width}")
        self.fields.update(PREFIX + name for name in names_in(record.data, record))
        relations = record.data.get("relations")
        for relation in relations if isinstance(relations, list) else ():
            if isinstance(relation, dict) and isinstance(relation.get("predicate"), str):
                self.predicates.setdefault(relation["predicate"])
        return record.integer("id"), height, width, record.text("file_name")


class Annotations:
    """Columns of the annotations: of objects, or (of a panoptic file) of whole images.

    Args:
        path: The annotation file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts, self.ends = array("q"), array("q")
        self.ids, self.images, self.categories = array("q"), array("q"), array("q")
        self.boxes, self.points = array("d"), array("i")
        self.panoptic = False
        self.fields: set[str] = set()
        self.issues: dict[int, str] = {}
        self.attributes: dict[str, None] = {}

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
            self._append(0, 0, 0, (0.0, 0.0, 1.0, 1.0), NO_POINTS)

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

    def _add_object(self, record: Record) -> None:
        data = record.data
        numbers = record.integer("id"), record.integer("image_id"), record.integer("category_id")
        x, y, width, height = record.numbers("bbox", 4)
        points = data.get("keypoints")
        self._append(*numbers, (x, y, width, height), len(points) if isinstance(points, list) else NO_POINTS)
        self.fields.update(name for name in LABEL_FIELDS if _is_there(data, name))
        self.fields.update(PREFIX + name for name in names_in(data, record))
        held = data.get("attributes")
        for name in held if isinstance(held, list | dict) else ():
            self.attributes.setdefault(str(name))

    def _add_panoptic(self, record: Record) -> None:
        image = record.integer("image_id")
        record.text("file_name")
        record.records("segments_info", "segment")
        self._append(image, image, 0, (0.0, 0.0, 1.0, 1.0), NO_POINTS)

    def _append(self, id: int, image: int, category: int, box: Iterable[float], points: int) -> None:
        self.ids.append(id)
        self.images.append(image)
        self.categories.append(category)
        self.boxes.extend(box)
        self.points.append(points)


def _is_there(data: dict[str, Any], name: str) -> bool:
    """Return whether a label is annotated."""
    if name not in data or data[name] is None or (data[name] == [] and name != "attributes"):
        return False
    return name != "keypoints" or has_points(data)


def has_points(data: dict[str, Any]) -> bool:
    """Return whether an annotation has keypoints; COCO's persons without any have zeros and `num_keypoints` 0.

    Args:
        data: The annotation; its visibilities count where `num_keypoints` contradicts them.

    Returns:
        True if so.
    """
    points = data.get("keypoints")
    return bool(points) and (data.get("num_keypoints") != 0 or contradicts_points(data))


def contradicts_points(data: dict[str, Any]) -> bool:
    """Return whether `num_keypoints` is 0 while there are keypoints.

    Args:
        data: The annotation.

    Returns:
        True if so.
    """
    points = data.get("keypoints")
    return data.get("num_keypoints") == 0 and isinstance(points, list) and any(points[2::3])


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
