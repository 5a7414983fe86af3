"""Average precision of files in Omni3D's JSON layout.

Ground truth is Omni3D's: images, categories, and annotations with `bbox3D_cam` (eight corners, metres), 2D boxes (xyxy)
and what decides whether an object is ignored. Predictions are a list of {image_id, category_id, bbox (x, y, width,
height), score, depth, bbox3D}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from scenekit.errors import InputError, nearest
from scenekit.io.coco_records import Classes, CocoReader, classes_of
from scenekit.io.records import Record, brief, is_number, read_json, read_records, records_of
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.omni3d.average_precision import Omni3DAP, Omni3DFilter, Omni3DObjects

Boxes2D = Literal["tight", "trunc", "proj"]
"""The 2D box of an annotation: of the visible pixels, or of the projected corners, truncated or not."""

KINDS: tuple[Boxes2D, ...] = get_args(Boxes2D)

Number = float | int

Cell = tuple[int, int]
"""An image and a category."""

Progress = Callable[[Iterable[Cell]], Iterable[Cell]]


def score_omni3d_files(
    ground_truth: Path,
    prediction: Path,
    rules: Omni3DFilter | None = None,
    boxes: Boxes2D = "trunc",
    proximity: bool = False,
    progress: Progress = iter,
    notes: Notes | None = None,
) -> dict[str, dict[str, Any]]:
    """Compute Omni3D's AP of files.

    Args:
        ground_truth: Ground truth in Omni3D's layout.
        prediction: Detections, see above.
        rules: Which objects are ignored.
        boxes: The 2D box of the ground truth.
        proximity: Leave out detections that are close to no object; only close pairs match.
        progress: May wrap the loop over images and categories.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        See `Omni3DAP.result`.

    Raises:
        InputError: Names the file and the entry that is wrong.
    """
    data, reader = read_json(ground_truth), CocoReader()
    parts = {
        name: read_records(data, ground_truth, name, noun)
        for name, noun in (("images", "image"), ("categories", "category"), ("annotations", "annotation"))
    }
    images = {id: _height(image) for id, image in reader.images.index(parts["images"]).items()}
    classes = classes_of(map(reader.category, parts["categories"]), used=())
    categories = {id: entry.data["name"] for id, entry in classes.entries.items() if id == entry.data["id"]}
    grouped = partial(_grouped, reader=reader, images=images, classes=classes)
    targets = grouped(parts["annotations"])
    predictions = grouped(records_of(read_json(prediction), prediction, "prediction"))
    rules = rules or Omni3DFilter()
    scores = Omni3DAP(list(categories.values()), proximity)
    cells = sorted(targets.keys() | predictions.keys())
    with collected(notes) as noted:
        for entry, reason in classes.notes:
            noted.add(entry, reason)
        for image, category in progress(cells):
            annotated = [
                _target(each, images[image], rules, boxes, noted) for each in targets.get((image, category), ())
            ]
            predicted = [_predicted(each) for each in predictions.get((image, category), ())]
            scores.update(categories[category], _objects(annotated), _objects(predicted))
        averages = scores.result()
        if math.isnan(averages["3D"]["AP"]):
            noted.add(ground_truth, f"has no object that counts; {NOTHING}")
    return averages


def read_kind(name: str) -> Boxes2D:
    """Check the name of a kind of 2D box.

    Args:
        name: "tight", "trunc" or "proj".

    Returns:
        The kind.

    Raises:
        InputError: There is no such kind.
    """
    for kind in KINDS:
        if kind == name:
            return kind
    raise InputError(f"unknown 2D boxes {name!r}{nearest(name, KINDS)}")


Row = tuple[list[Number], list[list[Number]], Number, bool, Number]
"""Box (xyxy), corners, depth, ignored, score."""


def _height(image: Record) -> float:
    height = image.number("height")
    if height <= 0:
        raise InputError(f"{image}: 'height' must be above 0, not {height:g}")
    return height


def _target(record: Record, height: float, rules: Omni3DFilter, kind: Boxes2D, notes: Notes) -> Row:
    _check(record)
    corners, depth = _corners(record, "bbox3D_cam"), record.numbers("center_cam", 3)[2]
    ignored = is_ignored(record.data, box_of(record.data, kind), height, rules)
    if ignored:
        notes.add(record, "is ignored by the protocol's rules")
    return matched_box(record.data, kind), corners, depth, ignored, 0.0


def _check(record: Record) -> None:
    """Check the fields that decide whether an annotation is ignored; what holds null is missing."""
    for name in [name for name, value in record.data.items() if value is None]:
        record.data.pop(name)
    record.numbers("center_cam", 3)
    for name in ("behind_camera", "valid3D"):
        record.flag(name, required=True)
    for name in ("truncation", "visibility", "depth_error", "lidar_pts", "segmentation_pts"):
        if name in record.data:
            record.number(name)
    if "dimensions" in record.data:
        record.numbers("dimensions", 3)
    boxes = [name for name in (f"bbox2D_{kind}" for kind in KINDS) if name in record.data]
    if not boxes:
        raise InputError(f"{record} has no 2D box; expected one of {', '.join(f'bbox2D_{kind}' for kind in KINDS)}")
    for name in boxes:
        record.numbers(name, 4)


def _corners(record: Record, name: str) -> list[list[Number]]:
    corners = record.get(name)
    if not isinstance(corners, list) or len(corners) != 8 or not all(_are_numbers(corner, 3) for corner in corners):
        raise InputError(f"{record}: {name!r} must be 8 corners of 3 finite numbers, not {brief(corners)}")
    return corners


def _are_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(map(is_number, value))


def box_of(entry: dict[str, Any], kind: Boxes2D) -> list[Any]:
    """Return the 2D box of an annotation.

    Args:
        entry: The annotation.
        kind: "tight", "trunc" or "proj".

    Returns:
        The box of this kind (xyxy pixels), or the next larger one that is annotated; -1 for a missing one.
    """
    known = [entry[f"bbox2D_{other}"] for other in KINDS[KINDS.index(kind) :] if f"bbox2D_{other}" in entry]
    return next((box for box in known if any(value != -1 for value in box)), [-1] * 4)


def matched_box(entry: dict[str, Any], kind: Boxes2D) -> list[Any]:
    """Return the 2D box that detections are compared with.

    Args:
        entry: The annotation.
        kind: "tight", "trunc" or "proj".

    Returns:
        That of `box_of`; where it is missing, that of the visible pixels.
    """
    box = box_of(entry, kind)
    return box if any(value != -1 for value in box) else entry.get("bbox2D_tight", box)


def _predicted(record: Record) -> Row:
    x, y, width, height = record.numbers("bbox", 4)
    if min(width, height) < 0:
        raise InputError(f"{record}: 'bbox' must be x, y, width, height, neither side below 0")
    corners, depth = _corners(record, "bbox3D"), record.number("depth")
    return [x, y, x + width, y + height], corners, depth, False, record.number("score")


def is_ignored(entry: dict[str, Any], box: list[Number], height: Number, rules: Omni3DFilter) -> bool:
    """Return whether an annotation is ignored; -1 stands for unknown values.

    Args:
        entry: The annotation.
        box: Its 2D box (xyxy pixels).
        height: That of the image in pixels.
        rules: The limits.

    Returns:
        Whether it counts neither as matched nor as missed.
    """
    share = (box[3] - box[1]) / height
    return bool(
        entry["behind_camera"]
        or not entry["valid3D"]
        or min(entry.get("dimensions", (1,))) <= 0
        or entry.get("lidar_pts") == 0
        or entry.get("segmentation_pts") == 0
        or entry.get("depth_error", -1) > 0.5
        or entry["center_cam"][2] > rules.max_depth
        or share <= rules.min_height
        or share >= rules.max_height
        or entry.get("truncation", -1) >= rules.truncation
        or 0 <= entry.get("visibility", -1) <= rules.visibility
    )


def _objects(rows: list[Row]) -> Omni3DObjects:
    boxes, corners, depths, ignored, scores = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Omni3DObjects(
        np.array(boxes, dtype=float).reshape(len(rows), 4),
        np.array(corners, dtype=float).reshape(len(rows), 8, 3),
        np.array(depths, dtype=float),
        np.array(ignored, dtype=bool),
        np.array(scores, dtype=float),
    )


def _grouped(
    records: list[Record], reader: CocoReader, images: Collection[int], classes: Classes
) -> dict[Cell, list[Record]]:
    """Group records by image and category."""
    groups: dict[Cell, list[Record]] = {}
    for record in records:
        image = reader.images.reference(record, "image_id", images)
        category = reader.categories.reference(record, "category_id", classes.entries)
        groups.setdefault((image, classes.entries[category].data["id"]), []).append(record)
    return groups
