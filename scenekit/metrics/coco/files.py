"""COCO AP of files in the official layout (https://cocodataset.org/#format-data and #format-results)."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_coco_eval import COCO
from faster_coco_eval.core import mask as checked_mask
from pycocotools import mask as coco_mask

from scenekit.errors import InputError, warn_once
from scenekit.io.records import Record, brief, by_id, is_number, read_json, read_records, records_of
from scenekit.metrics.coco.average_precision import COCO_SIGMAS, Kind, average_precision

logger = logging.getLogger(__name__)

FIELDS: Mapping[Kind, str] = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
"""The field of an annotation that each kind of AP is about."""

_FARTHEST = 1e6  # pixels; an edge of a polygon is drawn point by point, so that a stray vertex would fill the memory


def score_files(
    ground_truth: Path, results: Path, kinds: Sequence[Kind] | None = None, sigmas: Sequence[float] | None = None
) -> dict[str, dict[str, Any]]:
    """Compute COCO's AP of files.

    As in the official program, the area of a result is that of its box where it has one, also when masks or keypoints
    are scored.

    Args:
        ground_truth: Ground truth in COCO's layout.
        results: Results in COCO's layout.
        kinds: By default those that both files hold (the first entry of the results decides); for an empty list of
            results, all that the ground truth holds.
        sigmas: See `CocoAP`.

    Returns:
        The metrics of `CocoAP.result` by kind ("bbox", "segm", "keypoints").

    Raises:
        InputError: Names the file and the entry that is wrong.
    """
    tables = _read(ground_truth, results)
    falloffs = list(sigmas or COCO_SIGMAS)
    chosen = list(kinds) if kinds else _common_kinds(tables)
    _prepare_truth(tables, chosen, len(falloffs))
    _prepare_results(tables, chosen, len(falloffs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about annotations with id 0, which `_read` mentions in one line
        ground = COCO({name: [record.data for record in part] for name, part in tables.targets.items()})
    predictions = ground.loadRes([record.data for record in tables.results])
    return {kind: average_precision(ground, predictions, kind, falloffs) for kind in chosen}


@dataclass(frozen=True)
class _Tables:
    """The entries of both files: of the ground truth under "images", "categories" and "annotations"."""

    targets: Mapping[str, list[Record]]
    results: list[Record]
    results_path: Path
    images: Mapping[int, Record]


def _read(ground_truth: Path, results: Path) -> _Tables:
    """Read both files, with every reference between them checked."""
    data = read_json(ground_truth)
    parts = {
        name: read_records(data, ground_truth, name, noun)
        for name, noun in (("images", "image"), ("categories", "category"), ("annotations", "annotation"))
    }
    images, categories, annotations = (by_id(part) for part in parts.values())
    entries = records_of(read_json(results), results, "result")
    for category in categories.values():
        category.text("name")
    for record in (*annotations.values(), *entries):
        record.reference("image_id", images)
        record.reference("category_id", categories)
        for field in FIELDS.values():  # fields that hold null or [] mean the same as no field
            if record.data.get(field) in (None, []):
                record.data.pop(field, None)
    if 0 in annotations:
        logger.warning(
            "%s: COCO's protocol never counts the annotation with id 0 as matched; number from 1", ground_truth
        )
    return _Tables(parts, entries, results, images)


def _holds(records: Sequence[Record], kind: Kind) -> bool:
    return any(FIELDS[kind] in record.data for record in records)


def _common_kinds(tables: _Tables) -> list[Kind]:
    """Return the kinds that both files hold; an empty file has all of them."""
    annotations = tables.targets["annotations"]
    annotated = [kind for kind in FIELDS if not annotations or _holds(annotations, kind)]
    held = [kind for kind in FIELDS if not tables.results or _holds(tables.results[:1], kind)]
    if common := [kind for kind in held if kind in annotated]:
        return common
    raise InputError(
        f"{tables.results_path} holds {_listing(held)}, the ground truth {_listing(annotated)}: nothing can be compared"
    )


def _listing(kinds: Sequence[Kind]) -> str:
    return ", ".join(FIELDS[kind] for kind in kinds) or f"none of {', '.join(FIELDS.values())}"


def _prepare_truth(tables: _Tables, kinds: Sequence[Kind], K: int) -> None:
    """Check what the chosen kinds need; fill in what the official files may leave out."""
    for record in tables.targets["annotations"]:
        record.number("area")
        record.data["iscrowd"] = int(record.flag("iscrowd"))
        if "bbox" in kinds or "keypoints" in kinds:
            record.numbers("bbox", 4)
        if "segm" in kinds:
            record.data["segmentation"] = _run_lengths(record, tables.images)
        if "keypoints" in kinds:
            _prepare_keypoints(record, K)


def _prepare_keypoints(record: Record, K: int) -> None:
    """Check keypoints; an annotation without any gets K unlabelled ones, so that it is ignored."""
    record.data.setdefault("keypoints", [0] * (3 * K))
    _check_keypoints(record, K)
    labelled = sum(visibility > 0 for visibility in record.data["keypoints"][2::3])
    if record.data.get("num_keypoints", labelled) != labelled:
        warn_once(logger, f"{record.path}: 'num_keypoints' contradicts the visibilities of 'keypoints', which count")
    record.data["num_keypoints"] = labelled


def _prepare_results(tables: _Tables, kinds: Sequence[Kind], K: int) -> None:
    """Check scores, and every field of the first result in all of them: it decides how the whole file is read."""
    needed = {kind for kind in FIELDS if kind in kinds or _holds(tables.results[:1], kind)}
    for record in tables.results:
        record.number("score")
        if "bbox" in needed:
            record.numbers("bbox", 4)
        if "segm" in needed:
            record.data["segmentation"] = _run_lengths(record, tables.images)
        if "keypoints" in needed:
            _check_keypoints(record, K)


def _check_keypoints(record: Record, K: int) -> None:
    points = record.get("keypoints")
    if isinstance(points, list) and len(points) != 3 * K:
        raise InputError(
            f"{record}: 'keypoints' must be x, y, v of {K} points, got {len(points)} numbers; "
            "another skeleton needs its own sigmas"
        )
    record.numbers("keypoints", 3 * K)


def _run_lengths(record: Record, images: Mapping[int, Record]) -> dict[str, Any]:
    """Return the field "segmentation" (polygons, lists of run lengths or compressed ones) as compressed run lengths."""
    segmentation = record.get("segmentation")
    image = images[record.data["image_id"]]
    height, width = image.integer("height"), image.integer("width")
    if isinstance(segmentation, dict):
        return _compressed(record, segmentation, [height, width])
    if not _are_polygons(segmentation):
        raise InputError(f"{record}: 'segmentation' must be polygons or run lengths, not {brief(segmentation)}")
    rle: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return rle


def _compressed(record: Record, rle: dict[str, Any], size: list[int]) -> dict[str, Any]:
    counts = rle.get("counts")
    if rle.get("size") != size:
        raise InputError(f"{record}: a mask of size {brief(rle.get('size'))} in an image of {size} (height, width)")
    if isinstance(counts, str) and counts.isascii() and _is_sound(rle):
        return rle
    runs = counts if isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts) else []
    if sum(runs) != size[0] * size[1]:
        raise InputError(f"{record}: the run lengths {brief(counts)} do not make up a mask of {size} (height, width)")
    compressed: dict[str, Any] = coco_mask.frPyObjects(rle, *size)
    return compressed


def _is_sound(rle: dict[str, Any]) -> bool:
    """Return whether the library can read compressed run lengths."""
    try:
        checked_mask.area(rle)
    except (ValueError, RuntimeError):
        return False
    return bool(rle["counts"])


def _are_polygons(value: Any) -> bool:
    """Return whether a value is a list of [x, y, x, y, ...], at least two vertices each, none absurdly far away."""
    return isinstance(value, list) and all(
        isinstance(polygon, list)
        and len(polygon) >= 4
        and len(polygon) % 2 == 0
        and all(is_number(value) and abs(value) <= _FARTHEST for value in polygon)
        for polygon in value
    )
