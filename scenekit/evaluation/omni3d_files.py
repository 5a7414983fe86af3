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
from scenekit.evaluation.omni3d import Omni3DAP, Omni3DFilter, Omni3DObjects
from scenekit.evaluation.reading import read_json

Boxes2D = Literal["tight", "trunc", "proj"]
"""Which 2D box of an annotation is taken: of the visible pixels, or the projected corners, cut off or not."""

KINDS: tuple[Boxes2D, ...] = get_args(Boxes2D)

Number = float | int

Cell = tuple[int, int]
"""A picture and a category."""

Progress = Callable[[Iterable[Cell]], Iterable[Cell]]


def score_omni3d_files(
    truth: Path,
    prediction: Path,
    rules: Omni3DFilter | None = None,
    boxes: Boxes2D = "trunc",
    proximity: bool = False,
    progress: Progress = iter,
) -> dict[str, dict[str, Any]]:
    """`Omni3DAP.result` of all pictures and categories of the ground truth.

    Raises InputError naming the file and the entry for what is not in order.
    """
    data, found = read_json(truth), read_json(prediction)
    if not isinstance(found, list):
        raise InputError(f"{prediction}: expected a list of predictions, got {type(found).__name__}")
    try:
        images = {image["id"]: image["height"] for image in data["images"]}
        categories = {category["id"]: category["name"] for category in data["categories"]}
        annotations = data["annotations"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{truth}: expected images, categories and annotations as Omni3D has them; {error}") from None
    rules = rules or Omni3DFilter()
    wanted = _grouped(annotations, truth, images, categories)
    given = _grouped(found, prediction, images, categories)
    scores = Omni3DAP(list(categories.values()), proximity)
    for image, category in progress(sorted(wanted.keys() | given.keys())):
        true = [_true(entry, truth, images[image], rules, boxes) for entry in wanted.get((image, category), ())]
        predicted = [_predicted(entry, prediction) for entry in given.get((image, category), ())]
        scores.update(categories[category], _objects(true, truth), _objects(predicted, prediction))
    return scores.result()


def read_kind(name: str) -> Boxes2D:
    """`name` as a kind of 2D box; InputError for any other."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise InputError(f"unknown 2D boxes {name!r}{nearest(name, KINDS)}")


Row = tuple[list[Number], Any, Any, bool, Any]
"""Box (xyxy), corners, depth, ignored, score."""


def _true(entry: dict[str, Any], path: Path, height: Number, rules: Omni3DFilter, kind: Boxes2D) -> Row:
    try:
        box = box_of(entry, kind)
        depth = entry["center_cam"][2]
        return box, entry["bbox3D_cam"], depth, is_ignored(entry, box, height, rules), 0.0
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: annotation {entry.get('id')} is not as Omni3D has them; missing {error}") from None


def box_of(entry: dict[str, Any], kind: Boxes2D) -> list[Number]:
    """The 2D box (xyxy) of this kind, or the next larger one that is there; -1 stands for one that is not."""
    known = [entry[f"bbox2D_{other}"] for other in KINDS[KINDS.index(kind) :] if f"bbox2D_{other}" in entry]
    return next((box for box in known if any(value != -1 for value in box)), known[-1])


def _predicted(entry: dict[str, Any], path: Path) -> Row:
    try:
        x, y, width, height = entry["bbox"]
        return [x, y, x + width, y + height], entry["bbox3D"], entry["depth"], False, entry["score"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected bbox, score, depth and bbox3D in every prediction; {error!r} in {str(entry)[:80]}"
        ) from None


def is_ignored(entry: dict[str, Any], box: list[Number], height: Number, rules: Omni3DFilter) -> bool:
    """Whether an annotation counts neither way; -1 stands for what is not known of it."""
    share = (box[3] - box[1]) / height
    return bool(
        entry["behind_camera"]
        or not entry["valid3D"]
        or entry.get("lidar_pts") == 0
        or entry.get("segmentation_pts") == 0
        or entry.get("depth_error", -1) > 0.5
        or entry["center_cam"][2] > rules.max_depth
        or share <= rules.min_height
        or share >= rules.max_height
        or entry.get("truncation", -1) >= rules.truncation
        or 0 <= entry.get("visibility", -1) <= rules.visibility
    )


def _objects(rows: list[Row], path: Path) -> Omni3DObjects:
    boxes, corners, depths, ignored, scores = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    try:
        return Omni3DObjects(
            np.array(boxes, dtype=float).reshape(len(rows), 4),
            np.array(corners, dtype=float).reshape(len(rows), 8, 3),
            np.array(depths, dtype=float),
            np.array(ignored, dtype=bool),
            np.array(scores, dtype=float),
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected 4 numbers a 2D box and 8 corners of 3 a 3D box; {error}") from None


def _grouped(
    entries: list[dict[str, Any]], path: Path, images: Collection[int], categories: Collection[int]
) -> dict[Cell, list[dict[str, Any]]]:
    """By picture and category."""
    groups: dict[Cell, list[dict[str, Any]]] = {}
    for i, entry in enumerate(entries):
        image: Any = entry.get("image_id")
        category: Any = entry.get("category_id")
        if image not in images or category not in categories:
            raise InputError(f"{path}: entry number {i} names image {image} and category {category}, not both listed")
        groups.setdefault((image, category), []).append(entry)
    return groups
