"""The index of one annotation file: columns of its images and annotations, and their byte offsets.

Letters: A annotations, I images.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.coco_records import CocoReader
from scenekit.io.records import Record, brief, is_number, records_of
from scenekit.structures import Camera
from scenekit_datasets.json_index import Entry, Spans, entries, record_of
from scenekit_datasets.roots import Faulty, report

IGNORED_NAMES = frozenset({"dontcare", "ignore", "void"})
"""Categories of regions that may contain any object."""


@dataclass(frozen=True, eq=False)
class Index:
    """One annotation file."""

    path: Path
    """The file."""
    reader: CocoReader
    """Reads its ids."""
    categories: Mapping[int, str]
    """Names of categories by id."""
    ids: Int[np.ndarray, " I"]
    """Ids of the images."""
    names: tuple[str, ...]
    """Their `file_path`."""
    sizes: Int[np.ndarray, "I 2"]
    """Their (height, width) in pixels."""
    intrinsics: Float[np.ndarray, "I 3 3"]
    """Their intrinsics in pixels."""
    annotations: Spans
    """Byte offsets of the annotations."""
    category_ids: Int[np.ndarray, " A"]
    """Category of each annotation."""
    order: Int[np.ndarray, " _"]
    """Rows of the annotations, sorted by image."""
    offsets: Int[np.ndarray, " _"]
    """Where the annotations of each image begin in `order`, and the total."""

    def rows_of(self, place: int) -> list[int]:
        """Return the annotations of an image, in the order of the file.

        Args:
            place: Row of the image.

        Returns:
            Rows of the annotations.
        """
        rows: list[int] = self.order[self.offsets[place] : self.offsets[place + 1]].tolist()
        return rows


def read_index(path: Path, faulty: Faulty = "skip") -> Index:
    """Index an annotation file.

    Args:
        path: The file.
        faulty: Whether to refuse faulty entries or to skip them.

    Returns:
        The index.

    Raises:
        InputError: If the file cannot be read, or entries are faulty and refused; the message names the first ones.
    """
    reader = CocoReader()
    images, annotations = _Images(path, reader), _Annotations(path, reader)
    listed: Any = None
    for entry in entries(path):
        if entry.field == "categories":
            listed = entry.value if entry.number is None else [*listed, entry.value]
        elif entry.field == "images" and entry.number is not None:
            images.add(entry)
        elif entry.field == "annotations" and entry.number is not None:
            annotations.add(entry)
    categories = {**annotations.ignored, **_names_of(path, listed, reader)}
    _require_images(images)
    place = {id: n for n, id in enumerate(images.ids)}
    of_image = np.array([place.get(image, -1) for image in annotations.images], dtype=np.int64)
    category_ids = np.array(annotations.categories, dtype=np.int64)
    kept = annotations.sound() & (of_image >= 0) & np.isin(category_ids, list(categories))
    stray = annotations.strays(kept, images.refused, categories)
    report([*images.issues, *annotations.issues, *stray], faulty)
    rows = kept.nonzero()[0]
    order = rows[np.argsort(of_image[rows], kind="stable")]
    return Index(
        path,
        reader,
        categories,
        np.array(images.ids),
        tuple(images.names),
        np.array(images.sizes).reshape(-1, 2),
        np.array(images.intrinsics).reshape(-1, 3, 3),
        Spans(path, "annotation", np.array(annotations.starts), np.array(annotations.ends)),
        category_ids,
        order,
        np.searchsorted(of_image[order], np.arange(len(place) + 1)),
    )


def _names_of(path: Path, listed: Any, reader: CocoReader) -> dict[int, str]:
    """Return the names of categories by id."""
    if not listed:
        raise InputError(f"{path}: expected a JSON object with a list 'categories' that is not empty")
    records = reader.categories.index(map(reader.category, records_of(listed, path, "category")))
    return {id: record.data["name"] for id, record in records.items()}


def _require_images(images: _Images) -> None:
    if not images.ids:
        report(images.issues, "refuse")
        raise InputError(f"{images.path}: expected a JSON object with a list 'images' that is not empty")


class _Images:
    """Columns of the valid images; issues of others are in `issues`."""

    def __init__(self, path: Path, reader: CocoReader) -> None:
        self.path, self.reader = path, reader
        self.ids, self.sizes, self.intrinsics = array("q"), array("q"), array("d")
        self.names: list[str] = []
        self.issues: list[str] = []
        self.refused: set[Any] = set()
        self._unique_ids: set[int] = set()

    def add(self, entry: Entry) -> None:
        """Add one image."""
        try:
            self._add(record_of(entry, self.path, "image"))
        except InputError as error:
            self.issues.append(str(error))
            id = entry.value.get("id") if isinstance(entry.value, dict) else None
            self.refused.update([id] if isinstance(id, int | float | str) else [])

    def _add(self, record: Record) -> None:
        id, name = self.reader.images.number(record, "id"), record.text("file_path")
        height, width = record.integer("height"), record.integer("width")
        if height < 1 or width < 1:
            raise InputError(f"{record}: 'height' and 'width' must be 1 or more, not {height} and {width}")
        if id in self._unique_ids:
            raise InputError(f"{record}: the id occurs twice")
        matrix = matrix_of(record, "K")
        try:
            Camera(matrix).check((height, width))
        except InputError as error:
            raise InputError(f"{record}: 'K': {error}") from None
        self._unique_ids.add(id)
        self.ids.append(id)
        self.names.append(name)
        self.sizes.extend((height, width))
        self.intrinsics.extend(matrix.flatten().tolist())


class _Annotations:
    """Columns of the annotations; -1 is an unknown image."""

    def __init__(self, path: Path, reader: CocoReader) -> None:
        self.path, self.reader = path, reader
        self.starts, self.ends = array("q"), array("q")
        self.ids, self.images, self.categories = array("q"), array("q"), array("q")
        self.ignored: dict[int, str] = {}
        self.issues: list[str] = []
        self._faulty: set[int] = set()

    def add(self, entry: Entry) -> None:
        """Add one annotation."""
        values = (0, 0, 0)
        try:
            record = record_of(entry, self.path, "annotation")
            read = self.reader
            values = (
                read.annotations.number(record, "id"),
                read.images.number(record, "image_id"),
                read.categories.number(record, "category_id"),
            )
            named = record.data.get("category_name") is not None
            if named and (name := record.text("category_name")) in IGNORED_NAMES:
                self.ignored[values[2]] = name
        except InputError as error:
            self.issues.append(str(error))
            self._faulty.add(len(self.starts))
        for column, value in zip((self.ids, self.images, self.categories), values, strict=True):
            column.append(value)
        self.starts.append(entry.start)
        self.ends.append(entry.end)

    def sound(self) -> Bool[np.ndarray, " A"]:
        """Return which annotations have their ids."""
        sound = np.ones(len(self.ids), dtype=bool)
        sound[list(self._faulty)] = False
        return sound

    def strays(
        self, kept: Bool[np.ndarray, " A"], refused: Collection[Any], categories: Collection[int]
    ) -> Iterator[str]:
        """Yield issues of annotations that are not kept, unless they were reported before."""
        for row in (~kept).nonzero()[0].tolist():
            image, category = self.images[row], self.categories[row]
            where = f"{self.path}: annotation id {self.reader.annotations.name(self.ids[row])}"
            image_name, category_name = self.reader.images.name(image), self.reader.categories.name(category)
            if row in self._faulty or image in refused:
                continue
            if category not in categories:
                yield f"{where}: 'category_id' is {category_name}, which 'categories' does not list"
            else:
                yield f"{where}: 'image_id' is {image_name}, which 'images' does not list"


def matrix_of(record: Record, name: str) -> Float[Tensor, "3 3"]:
    """Read a field with three rows of three finite numbers.

    Args:
        record: The entry.
        name: Name of the field.

    Returns:
        The matrix.

    Raises:
        InputError: If the field is invalid.
    """
    value = record.get(name)
    rows = [row for row in value if isinstance(row, list) and len(row) == 3] if isinstance(value, list) else []
    if len(rows) != 3 or len(value) != 3 or not all(is_number(number) for row in rows for number in row):
        raise InputError(f"{record}: {name!r} must be three rows of three finite numbers, not {brief(value)}")
    return torch.tensor(rows, dtype=torch.float64)
