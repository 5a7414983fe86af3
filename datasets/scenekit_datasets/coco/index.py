"""The index of one annotation file: columns of its images and annotations, and their byte offsets.

Letters: A annotations, I images, R relations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from scenekit.errors import InputError, listed, warn_once
from scenekit.io.coco_records import CocoReader, negative_sides, outside
from scenekit.io.images import image_size
from scenekit.io.records import Record, brief, records_of
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.columns import Annotations, Images, add_issues, first_of_each
from scenekit_datasets.coco.label_issues import (
    attribute_issues,
    federated_issues,
    label_issues,
    predicate_issues,
    segment_issues,
    warn_of_foreign,
)
from scenekit_datasets.coco.vocabulary import Category, read_categories, vocabulary_of
from scenekit_datasets.json_index import Spans, entries
from scenekit_datasets.roots import Faulty, located, report

_log = logging.getLogger(__name__)


SHOWN = 8
"""How many names a warning lists."""


@dataclass(frozen=True, eq=False)
class Index:
    """One annotation file."""

    path: Path
    """The file."""
    reader: CocoReader
    """Reads its entries."""
    header: Mapping[str, Any]
    """Its fields other than images and annotations; for those, whether they exist."""
    categories: Mapping[int, Category]
    """Categories by id."""
    vocabulary: Vocabulary
    """Its names."""
    images: Spans
    """Byte offsets of the images."""
    ids: Int[np.ndarray, " I"]
    """Ids of the images."""
    places: Mapping[int, int]
    """Rows of the images by id."""
    sizes: Int[np.ndarray, "I 2"]
    """(height, width) of the images in pixels."""
    names: tuple[str, ...]
    """File names of the images."""
    annotations: Spans
    """Byte offsets of the annotations."""
    order: Int[np.ndarray, " A"]
    """Rows of the annotations, sorted by image."""
    offsets: Int[np.ndarray, " I_1"]
    """Where the annotations of each image begin in `order`, and the total."""
    annotation_ids: Int[np.ndarray, " A"]
    """Ids of the annotations."""
    relations: Int[np.ndarray, "R 4"]
    """Of the relations the id of the image, the number in it, and the ids of subject and object."""
    fields: frozenset[str]
    """Label fields that occur."""
    flags: frozenset[str] | None
    """Attributes whose values are flags throughout the file; None where the file lists its attributes."""
    panoptic: bool
    """Whether annotations describe whole images."""
    maps: tuple[str, ...]
    """File names of the panoptic maps, by row of the annotations."""
    claimed: Mapping[tuple[str, str], str]
    """Names in fields of images that say what is supervised, such as `("classes", "dog")`: the first image of each."""

    @property
    def things(self) -> frozenset[str]:
        """Names of the things that its annotations cover; none where it has no list of annotations."""
        return frozenset(self.vocabulary.things if "annotations" in self.header else ())

    def rows_of(self, place: int) -> list[int]:
        """Return the annotations of an image, in the order of the file.

        Args:
            place: Row of the image.

        Returns:
            Rows of the annotations.
        """
        rows: list[int] = self.order[self.offsets[place] : self.offsets[place + 1]].tolist()
        return rows


def read_index(
    path: Path,
    *,
    faulty: Faulty = "refuse",
    stuff: bool = False,
    reader: CocoReader | None = None,
    folder: Path | None = None,
    upright: bool = True,
) -> Index:
    """Index an annotation file.

    Args:
        path: The file.
        faulty: Whether to refuse faulty entries or to skip them.
        stuff: Whether categories are stuff although the file does not say so, as in COCO's stuff files.
        reader: Reads the entries of all files that are joined by ids.
        folder: Folder of the images, for the size of those for which the file has none.
        upright: Whether images are read as their EXIF tag says.

    Returns:
        The index.

    Raises:
        InputError: If the file cannot be read, or entries are faulty and refused; the message names the first ones.
    """
    reader = CocoReader() if reader is None else reader
    images, annotations = Images(path, reader, folder, upright), Annotations(path, reader)
    header = _header(path, {"images": images, "annotations": annotations})
    _require(path, header, images)
    records = records_of(header["categories"], path, "category")
    if stuff:
        records = [Record({"isthing": 0, **r.data}, path, "category", r.index) for r in records]
    used = frozenset() if annotations.panoptic else frozenset(annotations.categories)
    categories = read_categories(records, reader, used)
    attributes = _names(path, header, "attributes")
    predicates = _names(path, header, "predicates")
    images.label_issues += predicate_issues(images, predicates) if predicates else []
    annotations.label_issues += attribute_issues(annotations, attributes) if attributes else []
    flags = [name for name in annotations.attributes if name not in annotations.measures]
    names = {
        "predicates": predicates or tuple(images.predicates),
        "attributes": attributes or tuple(flags),
    }
    header |= names
    index = _index(path, header, categories, images, annotations, faulty)
    return index if attributes else _with_flags(index, annotations, frozenset(flags))


def _header(path: Path, lists: Mapping[str, Images | Annotations]) -> dict[str, Any]:
    """Read a file: entries of lists with columns are added to these, everything else is returned."""
    header: dict[str, Any] = {}
    for entry in entries(path):
        if entry.number is None:
            header[entry.field] = entry.value
        elif entry.field in lists:
            lists[entry.field].add(entry)
        else:
            header[entry.field].append(entry.value)
    return header


def _with_flags(index: Index, annotations: Annotations, flags: frozenset[str]) -> Index:
    """Drop attributes whose values are no flags, such as texts and angles."""
    if annotations.measures:
        names = listed(map(repr, annotations.measures), SHOWN)
        warn_once(_log, f"{index.path}: 'attributes' has values that are no flags (0 or 1) and are left out: {names}")
    fields = index.fields if flags or not annotations.measures else index.fields - {"attributes"}
    return replace(index, flags=flags, fields=fields)


def with_stuff(indices: Sequence[Index]) -> list[Index]:
    """Resolve categories without `isthing`: they are things, unless another file says that they are stuff.

    Args:
        indices: Indices of all files.

    Returns:
        The same indices with resolved categories.
    """
    stuff = {c.name for index in indices for c in index.categories.values() if c.is_thing is False}
    return [_with_stuff(index, stuff) for index in indices]


def _with_stuff(index: Index, stuff: Collection[str]) -> Index:
    categories = {id: replace(c, is_thing=c.name not in stuff) for id, c in index.categories.items()}
    return replace(
        index, categories=categories, vocabulary=vocabulary_of(categories.values(), index.header, index.path)
    )


def _require(path: Path, header: Mapping[str, Any], images: Images) -> None:
    for name, there in (("images", len(images.starts)), ("categories", header.get("categories"))):
        if not there:
            raise InputError(f"{path}: expected a JSON object with a list {name!r} that is not empty")
    if not isinstance(header.get("annotations", []), list):
        raise InputError(f"{path}: 'annotations' must be a list, not {brief(header['annotations'])}")


def _names(path: Path, header: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """Return a list of names, plain or as the field `name` of objects."""
    value = header.get(field) or []
    plain = value if isinstance(value, list) else [value]
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in plain]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: {field!r} must be a list of names, not {brief(value)}")
    return tuple(map(str, names))


@dataclass(frozen=True)
class _Sound:
    """What of a file can be used."""

    images: Bool[np.ndarray, " I"]
    """Which images."""
    annotations: Bool[np.ndarray, " A"]
    """Which annotations."""
    places: dict[int, int]
    """Places of these images by id."""
    sizes: Int[np.ndarray, "K 2"]
    """Their (height, width) in pixels."""
    of_image: Int[np.ndarray, " A"]
    """Place of the image of each annotation; -1 without one."""


def _sound(categories: Mapping[int, Category], images: Images, annotations: Annotations, faulty: Faulty) -> _Sound:
    """Check everything against everything, and report the issues."""
    ids, name_of = np.array(images.ids), images.reader.images.name
    again = _repeated(ids, images.issues)
    add_issues(
        images.issues, again, lambda row: f"{images.path}: image id {name_of(int(ids[row]))}: the id occurs twice"
    )
    _add_sizes(images)
    kept = _without(images.issues, len(ids))
    if not kept.any():
        report(images.issues.values(), "refuse")
    places = {int(id): place for place, id in enumerate(ids[kept])}
    sizes = np.stack((images.heights, images.widths), axis=1)[kept]
    of_image = np.array([places.get(image, -1) for image in annotations.images], dtype=np.int64)
    _check_annotations(annotations, of_image, sizes, categories)
    good = _without(annotations.issues, len(of_image))
    labels = [*images.label_issues, *segment_issues(images, categories), *annotations.label_issues]
    labels += federated_issues(images, categories)
    labels += label_issues(annotations, sizes[of_image], categories)
    report([*images.issues.values(), *annotations.issues.values()], faulty)
    report(labels, faulty, "left out")
    warn_of_foreign(annotations)
    return _Sound(kept, good, places, sizes, of_image)


def _index(
    path: Path,
    header: Mapping[str, Any],
    categories: Mapping[int, Category],
    images: Images,
    annotations: Annotations,
    faulty: Faulty,
) -> Index:
    sound = _sound(categories, images, annotations, faulty)
    kept, of_image = sound.images, sound.of_image
    rows = sound.annotations.nonzero()[0]
    order = rows[np.argsort(of_image[rows], kind="stable")]
    spans, articulated = images.spans(), any(category.skeleton for category in categories.values())
    return Index(
        path,
        images.reader,
        {name: value for name, value in header.items() if name != "categories"},
        categories,
        vocabulary_of(categories.values(), header, path),
        Spans(path, spans.noun, spans.starts[kept], spans.ends[kept]),
        np.array(images.ids)[kept],
        sound.places,
        sound.sizes,
        tuple(name for name, keep in zip(images.names, kept, strict=True) if keep),
        annotations.spans(),
        order,
        np.searchsorted(of_image[order], np.arange(len(sound.places) + 1)),
        np.array(annotations.ids),
        np.array(images.relations).reshape(-1, 4),
        frozenset(annotations.fields | images.fields) - (set() if articulated else {"keypoints"}),
        None,
        annotations.panoptic,
        tuple(annotations.maps),
        images.claimed,
    )


def _add_sizes(images: Images) -> None:
    """Read the size of images for which the file has none."""
    sizes = zip(images.heights, images.widths, strict=True)
    rows = [row for row, size in enumerate(sizes) if not all(size) and row not in images.issues]
    folder = images.folder
    places = located([images.names[row] for row in rows], folder) if rows and folder is not None else [None] * len(rows)
    for row, place in zip(rows, places, strict=True):
        try:
            images.heights[row], images.widths[row] = _size_of(images, row, place)
        except InputError as error:
            images.issues[row] = str(error)


def _size_of(images: Images, row: int, place: str | None) -> Size:
    folder = images.folder
    where = f"{images.path}: image id {images.reader.images.name(images.ids[row])}"
    if folder is None or place is None:
        raise InputError(f"{where} has no 'height' and 'width', and its file {images.names[row]!r} is missing")
    name = f"{where} has no 'height' and 'width', and {folder / place}"
    return image_size(folder / place, name=name, upright=images.upright)


def _check_annotations(
    annotations: Annotations,
    of_image: Int[np.ndarray, " A"],
    sizes: Int[np.ndarray, "I 2"],
    categories: Mapping[int, Category],
) -> None:
    """Add issues that concern all annotations: references, boxes, numbers of keypoints."""
    noun = "annotation of image" if annotations.panoptic else "annotation id"
    reader = annotations.reader
    ids, images, labels = annotations.ids, annotations.images, annotations.categories
    name_of = reader.images.name if annotations.panoptic else reader.annotations.name

    def issue(rows: Bool[np.ndarray, " A"], text: Callable[[int], str]) -> None:
        add_issues(
            annotations.issues,
            rows.nonzero()[0],
            lambda row: f"{annotations.path}: {noun} {name_of(ids[row])}: {text(row)}",
        )

    repeated = np.zeros(len(ids), dtype=bool)
    repeated[_repeated(np.array(ids), annotations.issues)] = True
    issue(repeated, lambda row: "the id occurs twice")
    issue(of_image < 0, lambda row: f"'image_id' is {reader.images.name(images[row])}, which 'images' does not list")
    if annotations.panoptic:
        strange = annotations.segments.unknown(categories)
        found = np.isin(np.arange(len(ids)), list(strange))
        issue(found, lambda row: f"a segment's {_unlisted(reader, strange[row])}")
        return
    unknown = ~np.isin(np.array(labels), list(categories))
    issue(unknown, lambda row: _unlisted(reader, labels[row]))
    boxes = annotations.xywh()
    faults = {"has a negative side": negative_sides(boxes), "is outside the image": outside(boxes, sizes[of_image])}
    for text, rows in faults.items():
        issue(rows, lambda row, text=text: f"'bbox' (x, y, width, height) {boxes[row].tolist()} {text}")  # type: ignore[misc]


def _unlisted(reader: CocoReader, category: int) -> str:
    return f"'category_id' is {reader.categories.name(category)}, which 'categories' does not list"


def _repeated(ids: Int[np.ndarray, " n"], issues: Mapping[int, str]) -> Int[np.ndarray, " m"]:
    """Return the rows whose id a valid row before them has."""
    sound = _without(issues, len(ids)).nonzero()[0]
    return np.setdiff1d(sound, sound[first_of_each(ids[sound])])


def _without(issues: Mapping[int, str], count: int) -> Bool[np.ndarray, " n"]:
    kept = np.ones(count, dtype=bool)
    kept[list(issues)] = False
    return kept
