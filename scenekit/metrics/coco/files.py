"""COCO AP of files in the official layout (https://cocodataset.org/#format-data and #format-results).

A field that holds null means the same as no field. Ids are integers or texts, and 1.0 is the id 1. Images, categories
and annotations are numbered anew from 1 inside, in the order of their ids: COCO's protocol takes the annotation with id
0 for "unmatched". Equal scores keep the order of the ids of their images, then that of the file, as in the official
program.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_coco_eval import COCO
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.records import Record, read_json, read_records, records_of
from scenekit.metrics.coco.average_precision import COCO_SIGMAS, Kind, average_precision, crowded
from scenekit.metrics.coco.run_lengths import RunLengths, box_mask, empty_mask, run_lengths, size_of
from scenekit.metrics.identities import Identity, by_identity, ordered, reference
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
    are ignored when masks are scored: their box is a crowd region.

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
    tables = _read(ground_truth, results)
    falloffs = list(sigmas or COCO_SIGMAS)
    with collected(notes) as noted:
        chosen = list(kinds) if kinds else _common_kinds(tables)
        predictions = _results(tables, chosen, len(falloffs), noted)
        masks = [_mask(record, tables, chosen, noted) for record in tables.annotations]
        scores: dict[str, dict[str, Any]] = {}
        for kind in chosen:
            targets = tables.table(_targets(tables, masks, kind, len(falloffs)))
            found = targets.loadRes([dict(row) for row in predictions])
            for crowd in crowded(targets, kind, max_detections):
                noted.add(ground_truth, crowd)
            scores[kind] = average_precision(targets, found, kind, falloffs, max_detections)
            if scores[kind]["AP"] != scores[kind]["AP"]:
                noted.add(ground_truth, f"has no object that counts for {kind}; {NOTHING}")
    return scores


@dataclass(frozen=True)
class _Tables:
    """The entries of both files, those of images and categories in the order of their ids."""

    images: Mapping[Identity, Record]
    categories: Mapping[Identity, Record]
    annotations: list[Record]
    results: list[Record]
    results_path: Path

    def image_of(self, record: Record) -> Record:
        """Return the image of an annotation or a result."""
        return self.images[reference(record, "image_id", self.images)]

    def rows(self, records: Sequence[Record]) -> list[Row]:
        """Return annotations or results, everything numbered from 1."""
        images, categories = ({key: n for n, key in enumerate(part, 1)} for part in (self.images, self.categories))
        return [
            {
                **record.data,
                "id": n,
                "image_id": images[reference(record, "image_id", self.images)],
                "category_id": categories[reference(record, "category_id", self.categories)],
            }
            for n, record in enumerate(records, 1)
        ]

    def table(self, annotations: Sequence[Row]) -> COCO:
        """Return the table of the ground truth with these annotations."""
        images = [{**record.data, "id": n} for n, record in enumerate(self.images.values(), 1)]
        categories = [{**record.data, "id": n} for n, record in enumerate(self.categories.values(), 1)]
        return COCO({"images": images, "categories": categories, "annotations": list(annotations)})


def _read(ground_truth: Path, results: Path) -> _Tables:
    """Read both files, with every reference between them checked."""
    data = read_json(ground_truth)
    images, categories, annotations = (
        by_identity(_without_nulls(read_records(data, ground_truth, name, noun)))
        for name, noun in (("images", "image"), ("categories", "category"), ("annotations", "annotation"))
    )
    entries = _without_nulls(records_of(read_json(results), results, "result"))
    for category in categories.values():
        category.text("name")
    for record in (*annotations.values(), *entries):
        reference(record, "image_id", images)
        reference(record, "category_id", categories)
        for field in FIELDS.values():  # an empty list or object means the same as no field
            if record.data.get(field) in ([], {}):
                record.data.pop(field)
    images, categories = ({key: part[key] for key in ordered(part)} for part in (images, categories))
    return _Tables(images, categories, list(annotations.values()), entries, results)


def _without_nulls(records: list[Record]) -> list[Record]:
    for record in records:
        for name in [name for name, value in record.data.items() if value is None]:
            record.data.pop(name)
    return records


def _holds(records: Sequence[Record], kind: Kind) -> bool:
    return any(FIELDS[kind] in record.data for record in records)


def _common_kinds(tables: _Tables) -> list[Kind]:
    """Return the kinds that both files hold; an empty file has all of them."""
    annotated = [kind for kind in FIELDS if not tables.annotations or _holds(tables.annotations, kind)]
    held = [kind for kind in FIELDS if not tables.results or _holds(tables.results[:1], kind)]
    if common := [kind for kind in held if kind in annotated]:
        return common
    raise InputError(
        f"{tables.results_path} holds {_listing(held)}, the ground truth {_listing(annotated)}: nothing can be compared"
    )


def _listing(kinds: Sequence[Kind]) -> str:
    return ", ".join(FIELDS[kind] for kind in kinds) or f"none of {', '.join(FIELDS.values())}"


def _mask(record: Record, tables: _Tables, kinds: Sequence[Kind], notes: Notes) -> RunLengths | None:
    """Return the mask of an annotation, where masks are scored or its area is that of its mask."""
    masks_count = "segm" in kinds
    rle = None
    if "segmentation" in record.data and (masks_count or "area" not in record.data):
        rle = run_lengths(record, size_of(tables.image_of(record)), notes)
    if masks_count and rle is None:
        notes.add(record, "has no mask and is ignored when masks are scored")
    return rle


def _targets(tables: _Tables, masks: Sequence[RunLengths | None], kind: Kind, K: int) -> list[Row]:
    """Return the annotations with what this kind needs; checked, and with what the official files may leave out."""
    rows = tables.rows(tables.annotations)
    for row, record, mask in zip(rows, tables.annotations, masks, strict=True):
        row["iscrowd"] = int(record.flag("iscrowd"))
        row["area"] = _area(record, mask)
        if kind != "segm":
            row["bbox"] = _box(record)
        elif mask is not None:
            row["segmentation"] = mask
        else:  # the box is a crowd region: any number of detections inside of it is ignored
            size = size_of(tables.image_of(record))
            region = box_mask(_box(record), size) if "bbox" in record.data else empty_mask(size)
            row |= {"segmentation": region, "iscrowd": 1}
        if kind == "keypoints":
            row |= _keypoints(record, K)
    return rows


def _area(record: Record, mask: RunLengths | None) -> float:
    """Return the area of an annotation, by default that of the mask, else of the box."""
    if "area" in record.data:
        area = record.number("area")
        if area < 0:
            raise InputError(f"{record}: 'area' must not be below 0, got {area:g}")
        return area
    if mask is not None:
        return float(coco_mask.area(mask))
    if "bbox" not in record.data:
        return 0.0
    _, _, width, height = _box(record)
    return float(width * height)


def _keypoints(record: Record, K: int) -> Row:
    """Return checked keypoints; an annotation without any gets K unlabelled ones, so that it is ignored."""
    points = _points(record, K) if "keypoints" in record.data else [0] * (3 * K)
    stated = "num_keypoints" in record.data
    labelled = sum(visibility > 0 for visibility in points[2::3])
    return {"keypoints": points, "num_keypoints": record.integer("num_keypoints") if stated else labelled}


def _results(tables: _Tables, kinds: Sequence[Kind], K: int, notes: Notes) -> list[Row]:
    """Check scores, and every field of the first result in all of them: it decides how the whole file is read."""
    needed = {kind for kind in FIELDS if kind in kinds or _holds(tables.results[:1], kind)}
    rows = tables.rows(tables.results)
    for row, record in zip(rows, tables.results, strict=True):
        row["score"] = record.number("score")
        if "bbox" in needed:
            row["bbox"] = _box(record)
        if "segm" in needed:
            size = size_of(tables.image_of(record))
            row["segmentation"] = run_lengths(record, size, notes) or empty_mask(size)
        if "keypoints" in needed:
            row["keypoints"] = _points(record, K)
    return rows


def _box(record: Record) -> list[float]:
    box = list(map(float, record.numbers("bbox", 4)))
    if min(box[2:]) < 0:
        raise InputError(f"{record}: 'bbox' must be x, y, width, height, neither side below 0; got {box}")
    return box


def _points(record: Record, K: int) -> list[float | int]:
    points = record.get("keypoints")
    if isinstance(points, list) and len(points) != 3 * K:
        raise InputError(
            f"{record}: 'keypoints' must be x, y, v of {K} points, got {len(points)} numbers; "
            "another skeleton needs its own sigmas"
        )
    return record.numbers("keypoints", 3 * K)
