"""COCO AP of files in the official layout (https://cocodataset.org/#format-data and #format-results).

Entries are read as by the data set `coco`, see `scenekit.io.coco_records`. Images, categories and annotations are
numbered anew from 1 inside, in the order of their ids: COCO's protocol takes the annotation with id 0 for "unmatched".
Equal scores keep the order of the ids of their images, then that of the file, as in the official program.

Letters: A annotations.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from jaxtyping import Float

from scenekit.errors import InputError
from scenekit.io.coco_masks import NO_AREA, RunLengths, box_mask, flat_polygons, run_lengths
from scenekit.io.coco_records import CocoReader, area_of, classes_of, negative_sides, outside
from scenekit.io.records import Record, read_json, read_records, records_of
from scenekit.metrics.coco.average_precision import COCO_SIGMAS, Kind, average_precision, crowded
from scenekit.metrics.notes import NOTHING, Notes, collected

FIELDS: Mapping[Kind, str] = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
"""The field of an annotation that each kind of AP is about."""

Row = dict[str, Any]
"""An annotation or a result as the library reads it."""


def score_files(
    ground_truth: Path,
    results: Path,
    kinds: Sequence[Kind] | None = None,
    sigmas: Sequence[float] | None = None,
    max_detections: int | None = None,
    notes: Notes | None = None,
) -> dict[str, dict[str, Any]]:
    """Compute COCO's AP of files.

    As in the official program, the area of a result is that of its box where it has one, also when masks or keypoints
    are scored. The area of an annotation without `area` is that of its mask, else of its box. Objects without a mask
    are ignored when masks are scored: their box is a crowd region. Categories of one name
    are one class. Objects with `ignore` 1, or whose box has no
    area or is outside the image, are ignored.

    Args:
        ground_truth: Ground truth in COCO's layout.
        results: Results in COCO's layout.
        kinds: By default those that both files hold (the first entry of the results decides); for an empty list of
            results, all that the ground truth holds.
        sigmas: See `CocoAP`.
        max_detections: See `CocoAP`.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        The metrics of `CocoAP.result` by kind ("bbox", "segm", "keypoints").

    Raises:
        InputError: Names the file and the entry that is wrong.
    """
    falloffs = list(sigmas or COCO_SIGMAS)
    with collected(notes) as noted:
        tables = _read(ground_truth, results, noted)
        chosen = list(kinds) if kinds else _common_kinds(tables)
        predictions = _results(tables, chosen, len(falloffs), noted)
        masks = [_mask(record, tables, chosen, noted) for record in tables.annotations]
        scores: dict[str, dict[str, Any]] = {}
        for kind in chosen:
            targets = tables.table(_targets(tables, masks, kind, len(falloffs), noted))
            found = targets.loadRes([dict(row) for row in predictions])
            for crowd in crowded(targets, kind, max_detections):
                noted.add(ground_truth, crowd)
            scores[kind] = average_precision(targets, found, kind, falloffs, max_detections)
            if scores[kind]["AP"] != scores[kind]["AP"]:
                noted.add(ground_truth, f"has no object that counts for {kind}; {NOTHING}")
    return scores


@dataclass(frozen=True)
class _Tables:
    """The entries of both files as `CocoReader` reads them, images and categories in the order of their ids."""

    images: Mapping[int, Record]
    classes: Mapping[int, Record]
    """By the id of a category, the entry of its class."""
    annotations: list[Record]
    results: list[Record]
    held: list[Kind]
    """The kinds that the first result holds; all, if there are no results."""
    results_path: Path

    def size_of(self, record: Record) -> tuple[int, int]:
        """Return the height and width of the image of an annotation or a result."""
        image = self.images[record.data["image_id"]]
        return image.integer("height"), image.integer("width")

    def rows(self, records: Sequence[Record]) -> list[Row]:
        """Return the ids of annotations or results, everything numbered from 1."""
        images = {id: n for n, id in enumerate(self.images, 1)}
        categories = {id: n for n, id in enumerate(self._names(), 1)}
        return [
            {
                "id": n,
                "image_id": images[record.data["image_id"]],
                "category_id": categories[self.classes[record.data["category_id"]].data["id"]],
            }
            for n, record in enumerate(records, 1)
        ]

    def table(self, annotations: Sequence[Row]) -> COCO:
        """Return the table of the ground truth with these annotations."""
        images = [{**record.data, "id": n} for n, record in enumerate(self.images.values(), 1)]
        categories = [{"id": n, "name": name} for n, name in enumerate(self._names().values(), 1)]
        return COCO({"images": images, "categories": categories, "annotations": list(annotations)})

    def _names(self) -> dict[int, str]:
        """Return the names of the classes by id."""
        return {id: entry.data["name"] for id, entry in self.classes.items() if id == entry.data["id"]}


def _read(ground_truth: Path, results: Path, notes: Notes) -> _Tables:
    """Read both files, with every reference between them checked."""
    data, reader = read_json(ground_truth), CocoReader()
    entries = {
        name: read_records(data, ground_truth, name, noun)
        for name, noun in (("images", "image"), ("categories", "category"), ("annotations", "annotation"))
    }
    images = reader.images.index(map(reader.image, entries["images"]))
    categories = reader.categories.index(map(reader.category, entries["categories"]))
    annotations = reader.annotations.index(map(reader.annotation, entries["annotations"]))
    found = records_of(read_json(results), results, "result")
    predictions = [reader.annotation(record, numbered=False) for record in found]
    for record in (*annotations.values(), *predictions):
        reader.images.reference(record, "image_id", images)
        reader.categories.reference(record, "category_id", categories)
    _check_boxes(predictions)
    for record in (*entries["annotations"], *found):
        if count := flat_polygons(record.data.get("segmentation")):
            notes.add(record, NO_AREA, count)
    return _Tables(
        {id: images[id] for id in sorted(images)},
        _classes(categories, {record.data["category_id"] for record in (*annotations.values(), *predictions)}, notes),
        with_ignored(list(annotations.values()), images, notes),
        predictions,
        [kind for kind in FIELDS if not found or _holds(found[:1], kind)],
        results,
    )


def _classes(categories: Mapping[int, Record], used: Collection[int], notes: Notes) -> dict[int, Record]:
    """Return the class of each category, in the order of their ids."""
    classes = classes_of([categories[id] for id in sorted(categories)], used)
    for category, reason in classes.notes:
        notes.add(category, reason)
    return dict(classes.entries)


def _check_boxes(records: Sequence[Record]) -> Float[np.ndarray, "A 4"]:
    """Return the boxes, zeros where there are none; no side may be negative."""
    boxes = np.array([record.data.get("bbox", [0.0] * 4) for record in records], dtype=float).reshape(-1, 4)
    for row in negative_sides(boxes).nonzero()[0].tolist():
        box = boxes[row].tolist()
        raise InputError(f"{records[row]}: 'bbox' must be x, y, width, height, neither side below 0; got {box}")
    return boxes


def with_ignored(annotations: list[Record], images: Mapping[int, Record], notes: Notes) -> list[Record]:
    """Mark the annotations that count neither when they are found nor when they are missed.

    Args:
        annotations: Entries as `CocoReader.annotation` returns them.
        images: Entries of the images by id.
        notes: Collects what is ignored.

    Returns:
        The annotations; `ignore` is 1 also where a box is empty or outside its image, if the size is known.

    Raises:
        InputError: A side of a box is below 0.
    """
    entries = [images[record.data["image_id"]].data for record in annotations]
    sizes = [[entry.get(side, np.inf) for side in ("height", "width")] for entry in entries]
    boxes = _check_boxes(annotations)
    reasons = {
        "has 'ignore' 1 and is ignored": [record.flag("ignore") for record in annotations],
        "is outside its image and is ignored": outside(boxes, np.array(sizes, dtype=float).reshape(-1, 2)).tolist(),
        "has a box without area and is ignored": (boxes[:, 2:] == 0).any(axis=1).tolist(),
    }
    for reason, rows in reasons.items():
        for record in itertools.compress(annotations, rows):
            notes.add(record, reason)
            record.data["ignore"] = 1
    return annotations


def _holds(records: Sequence[Record], kind: Kind) -> bool:
    return any(record.data.get(FIELDS[kind]) for record in records)


def _common_kinds(tables: _Tables) -> list[Kind]:
    """Return the kinds that both files hold; an empty file has all of them."""
    annotated = [kind for kind in FIELDS if not tables.annotations or _holds(tables.annotations, kind)]
    if common := [kind for kind in tables.held if kind in annotated]:
        return common
    held = _listing(tables.held)
    raise InputError(
        f"{tables.results_path} holds {held}, the ground truth {_listing(annotated)}: nothing can be compared"
    )


def _listing(kinds: Sequence[Kind]) -> str:
    return ", ".join(FIELDS[kind] for kind in kinds) or f"none of {', '.join(FIELDS.values())}"


def _mask(record: Record, tables: _Tables, kinds: Sequence[Kind], notes: Notes) -> RunLengths | None:
    """Return the mask of an annotation, where masks are scored or its area is that of its mask."""
    masks_count, rle = "segm" in kinds, None
    if "segmentation" in record.data and (masks_count or "area" not in record.data):
        rle = run_lengths(record, "segmentation", tables.size_of(record))
    if masks_count and rle is None:
        notes.add(record, "has no mask and is ignored when masks are scored")
    return rle


def _targets(tables: _Tables, masks: Sequence[RunLengths | None], kind: Kind, K: int, notes: Notes) -> list[Row]:
    """Return the annotations with what this kind needs; checked, and with what the official files may leave out."""
    rows = tables.rows(tables.annotations)
    for row, record, mask in zip(rows, tables.annotations, masks, strict=True):
        row |= {"iscrowd": int(record.flag("iscrowd")), "area": area_of(record, mask)}
        if kind != "segm":
            row["bbox"] = list(map(float, record.data["bbox"]))
        elif mask is not None:
            row["segmentation"] = mask
        else:  # the box is a crowd region: any number of detections inside of it is ignored
            row |= {"segmentation": box_mask(record.data["bbox"], tables.size_of(record)), "iscrowd": 1}
        if kind == "keypoints":
            row |= _keypoints(record, K, notes)
        if record.flag("ignore"):  # a field that COCO's program overwrites, but it ignores what is in no area range
            row |= {"num_keypoints": 0} if kind == "keypoints" else {"area": float("inf")}
    return rows


def _keypoints(record: Record, K: int, notes: Notes) -> Row:
    """Return checked keypoints; an annotation without any gets K unlabelled ones, so that it is ignored."""
    points = _points(record, K) if record.data.get("keypoints") else [0] * (3 * K)
    labelled = sum(visibility > 0 for visibility in points[2::3])
    if record.data.get("num_keypoints", labelled) != labelled:
        notes.add(record, "has 'num_keypoints' that contradicts the visibilities of 'keypoints', which count")
    return {"keypoints": points, "num_keypoints": labelled}


def _results(tables: _Tables, kinds: Sequence[Kind], K: int, notes: Notes) -> list[Row]:
    """Check scores, and every field of the first result in all of them: it decides how the whole file is read."""
    needed = {*kinds, *(tables.held if tables.results else ())}
    rows = tables.rows(tables.results)
    for row, record in zip(rows, tables.results, strict=True):
        row["score"] = record.number("score")
        if "bbox" in needed:
            row["bbox"] = list(map(float, record.get("bbox")))
        if "segm" in needed:
            row["segmentation"] = run_lengths(record, "segmentation", tables.size_of(record))
        if "keypoints" in needed:
            row["keypoints"] = _points(record, K)
    return rows


def _points(record: Record, K: int) -> list[float | int]:
    points = record.get("keypoints")
    if isinstance(points, list) and len(points) != 3 * K:
        raise InputError(
            f"{record}: 'keypoints' must be x, y, v of {K} points, got {len(points)} numbers; "
            "another skeleton needs its own sigmas"
        )
    return record.numbers("keypoints", 3 * K)
