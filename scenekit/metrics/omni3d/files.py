"""Average precision of files in Omni3D's JSON layout.

Ground truth is Omni3D's: images, categories, and annotations with `bbox3D_cam` (eight corners, metres), 2D boxes (xyxy)
and what decides whether an object is ignored. Predictions are a list of {image_id, category_id, bbox (x, y, width,
height), score, depth, bbox3D}.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from scenekit.errors import InputError, nearest
from scenekit.io.records import Record, brief, by_id, is_number, read_json, read_records, records_of
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
) -> dict[str, dict[str, Any]]:
    """Compute Omni3D's AP of files.

    Args:
        ground_truth: Ground truth in Omni3D's layout.
        prediction: Detections, see above.
        rules: Which objects are ignored.
        boxes: The 2D box of the ground truth.
        proximity: Leave out detections that are close to no object.
        progress: May wrap the loop over images and categories.

    Returns:
        See `Omni3DAP.result`.

    Raises:
        InputError: Names the file and the entry that is wrong.
    """
    data = read_json(ground_truth)
    images = {id: _height(image) for id, image in by_id(read_records(data, ground_truth, "images", "image")).items()}
    listed = by_id(read_records(data, ground_truth, "categories", "category"))
    categories = {id: category.text("name") for id, category in listed.items()}
    targets = _grouped(read_records(data, ground_truth, "annotations", "annotation"), images, categories)
    predictions = _grouped(records_of(read_json(prediction), prediction, "prediction"), images, categories)
    rules = rules or Omni3DFilter()
    scores = Omni3DAP(list(categories.values()), proximity)
    for image, category in progress(sorted(targets.keys() | predictions.keys())):
        annotated = [_target(record, images[image], rules, boxes) for record in targets.get((image, category), ())]
        predicted = [_predicted(record) for record in predictions.get((image, category), ())]
        scores.update(categories[category], _objects(annotated), _objects(predicted))
    return scores.result()


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


def _target(record: Record, height: float, rules: Omni3DFilter, kind: Boxes2D) -> Row:
    corners, depth = _corners(record, "bbox3D_cam"), record.numbers("center_cam", 3)[2]
    try:
        box = matched_box(record.data, kind)
        ignored = is_ignored(record.data, box_of(record.data, kind), height, rules)
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"{record}: not an annotation in Omni3D's layout ({error!r})") from None
    if not _are_numbers(box, 4):
        raise InputError(f"{record}: a 2D box must be 4 finite numbers, not {brief(box)}")
    return box, corners, depth, ignored, 0.0


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
    return next((box for box in known if any(value != -1 for value in box)), known[-1])


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


def _grouped(records: list[Record], images: Collection[int], categories: Collection[int]) -> dict[Cell, list[Record]]:
    """Group records by image and category."""
    groups: dict[Cell, list[Record]] = {}
    for record in records:
        cell = record.reference("image_id", images), record.reference("category_id", categories)
        groups.setdefault(cell, []).append(record)
    return groups
