"""The index of one annotation file: columns of its images and annotations, and their byte offsets.

Letters: A annotations, I images.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, records_of
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.columns import Annotations, Images, add_issues, first_of_each
from scenekit_datasets.coco.vocabulary import Category, read_categories, vocabulary_of
from scenekit_datasets.json_index import Spans, entries
from scenekit_datasets.roots import Faulty, report


@dataclass(frozen=True, eq=False)
class Index:
    """One annotation file."""

    path: Path
    """The file."""
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
    names: tuple[str, ...]
    """File names of the images."""
    annotations: Spans
    """Byte offsets of the annotations."""
    order: Int[np.ndarray, " A"]
    """Rows of the annotations, sorted by image."""
    offsets: Int[np.ndarray, " I_1"]
    """Where the annotations of each image begin in `order`, and the total."""
    fields: frozenset[str]
    """Label fields that occur."""
    panoptic: bool
    """Whether annotations describe whole images."""

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


def read_index(path: Path, *, faulty: Faulty = "refuse", stuff: bool = False) -> Index:
    """Index an annotation file.

    Args:
        path: The file.
        faulty: Whether to refuse faulty entries or to skip them.
        stuff: Whether categories are stuff although the file does not say so, as in COCO's stuff files.

    Returns:
        The index.

    Raises:
        InputError: If the file cannot be read, or entries are faulty and refused; the message names the first ones.
    """
    images, annotations = Images(path), Annotations(path)
    header: dict[str, Any] = {}
    lists: dict[str, Images | Annotations] = {"images": images, "annotations": annotations}
    for entry in entries(path):
        if entry.number is None:
            header[entry.field] = entry.value
        elif entry.field in lists:
            lists[entry.field].add(entry)
        else:
            header[entry.field].append(entry.value)
    _require(path, header, images)
    records = records_of(header["categories"], path, "category")
    if stuff:
        records = [Record({"isthing": 0, **r.data}, path, "category", r.index) for r in records]
    categories = read_categories(records)
    names = {
        "predicates": _names(path, header, "predicates") or tuple(images.predicates),
        "attributes": _names(path, header, "attributes") or tuple(annotations.attributes),
    }
    header |= names
    return _index(path, header, categories, images, annotations, faulty)


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


def _index(
    path: Path,
    header: Mapping[str, Any],
    categories: Mapping[int, Category],
    images: Images,
    annotations: Annotations,
    faulty: Faulty,
) -> Index:
    ids = np.array(images.ids)
    again = _repeated(ids, images.issues)
    add_issues(images.issues, again, lambda row: f"{images.path}: image id {ids[row]}: the id occurs twice")
    kept = _without(images.issues, len(ids))
    if not kept.any():
        report(images.issues.values(), "refuse")
    places = {int(id): place for place, id in enumerate(ids[kept])}
    sizes = np.stack((images.heights, images.widths), axis=1)[kept]
    of_image = np.array([places.get(image, -1) for image in annotations.images], dtype=np.int64)
    _check_annotations(annotations, of_image, sizes, categories)
    good = _without(annotations.issues, len(of_image))
    report([*images.issues.values(), *annotations.issues.values()], faulty)
    rows = good.nonzero()[0]
    order = rows[np.argsort(of_image[rows], kind="stable")]
    spans = images.spans()
    return Index(
        path,
        {name: value for name, value in header.items() if name != "categories"},
        categories,
        vocabulary_of(categories.values(), header, path),
        Spans(path, spans.noun, spans.starts[kept], spans.ends[kept]),
        ids[kept],
        places,
        tuple(name for name, keep in zip(images.names, kept, strict=True) if keep),
        annotations.spans(),
        order,
        np.searchsorted(of_image[order], np.arange(len(places) + 1)),
        frozenset(annotations.fields | images.fields),
        annotations.panoptic,
    )


def _check_annotations(
    annotations: Annotations,
    of_image: Int[np.ndarray, " A"],
    sizes: Int[np.ndarray, "I 2"],
    categories: Mapping[int, Category],
) -> None:
    """Add issues that concern all annotations: references, boxes, numbers of keypoints."""
    noun = "annotation of image" if annotations.panoptic else "annotation id"
    ids, images, labels = annotations.ids, annotations.images, annotations.categories

    def issue(rows: Bool[np.ndarray, " A"], text: Callable[[int], str]) -> None:
        add_issues(
            annotations.issues, rows.nonzero()[0], lambda row: f"{annotations.path}: {noun} {ids[row]}: {text(row)}"
        )

    repeated = np.zeros(len(ids), dtype=bool)
    repeated[_repeated(np.array(ids), annotations.issues)] = True
    issue(repeated, lambda row: "the id occurs twice")
    issue(of_image < 0, lambda row: f"'image_id' is {images[row]}, which 'images' does not list")
    if annotations.panoptic:
        return
    unknown = ~np.isin(np.array(labels), list(categories))
    issue(unknown, lambda row: f"'category_id' is {labels[row]}, which 'categories' does not list")
    boxes, points = annotations.xywh(), np.array(annotations.points)
    for text, rows in _box_issues(boxes, sizes[of_image]).items():
        issue(rows, lambda row, text=text: f"'bbox' (x, y, width, height) {boxes[row].tolist()} {text}")  # type: ignore[misc]
    numbers = {id: 3 * len(c.skeleton.points) if c.skeleton else 0 for id, c in categories.items()}
    wanted = np.array([numbers.get(label, 0) for label in labels], dtype=np.int64)
    issue(
        (points > 0) & (points != wanted),
        lambda row: (
            f"'keypoints' must be x, y, v of the points of its category, {wanted[row]} numbers, not {points[row]}"
        ),
    )


def _box_issues(boxes: Float[np.ndarray, "A 4"], sizes: Int[np.ndarray, "A 2"]) -> dict[str, Bool[np.ndarray, " A"]]:
    """Return the rows of invalid boxes by issue.

    Boxes that only cross the border or have no area, as a few of COCO's, are not among them: samples are checked for
    them.
    """
    x, y, width, height = boxes.T
    outside = (x >= sizes[:, 1]) | (y >= sizes[:, 0]) | (x + width < 0) | (y + height < 0)
    return {"has a negative side": (width < 0) | (height < 0), "is outside the image": outside}


def _repeated(ids: Int[np.ndarray, " n"], issues: Mapping[int, str]) -> Int[np.ndarray, " m"]:
    """Return the rows whose id a valid row before them has."""
    sound = _without(issues, len(ids)).nonzero()[0]
    return np.setdiff1d(sound, sound[first_of_each(ids[sound])])


def _without(issues: Mapping[int, str], count: int) -> Bool[np.ndarray, " n"]:
    kept = np.ones(count, dtype=bool)
    kept[list(issues)] = False
    return kept
