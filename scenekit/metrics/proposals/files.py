"""Recall of a file of proposals against ground truth in COCO's layout.

Letters: G objects of one image.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from scenekit.errors import InputError
from scenekit.io.coco_records import CocoReader, area_of
from scenekit.io.proposal_files import ImageName, ProposalTable, read_proposals
from scenekit.io.records import Record, brief, read_json, read_records
from scenekit.metrics.coco.files import with_ignored
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.proposals.recall import ProposalRecall


def score_proposal_files(ground_truth: Path, proposals: Path, notes: Notes | None = None) -> dict[str, Any]:
    """Compute the recall of a file of proposals; the classes of the objects are not compared.

    The objects of images without proposals are missed. Objects with `ignore` 1, or whose box has no area or is outside
    the image, are ignored.

    Args:
        ground_truth: Ground truth in COCO's layout.
        proposals: The file, as `scenekit.io.proposal_files` describes it.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        See `ProposalRecall.result`.

    Raises:
        InputError: Names the file and the entry that is wrong.
    """
    with collected(notes) as noted:
        images, objects = _read(ground_truth, noted)
        table, recall = read_proposals(proposals), ProposalRecall()
        names = {id: table.name_of(_own_id(image), image.data.get("file_name")) for id, image in images.items()}
        _check_images(table, [name for name in names.values() if name is not None])
        for id, image in images.items():
            if names[id] is None:
                noted.add(proposals, f"has no proposals for some images of {ground_truth}, whose objects are missed")
            _update(recall, image, objects[id], table, names[id])
        if not any(objects.values()):
            noted.add(ground_truth, f"has no object; {NOTHING}")
    return recall.result()


def _read(path: Path, notes: Notes) -> tuple[dict[int, Record], dict[int, list[Record]]]:
    """Return the images by id, and the objects of each."""
    data, reader = read_json(path), CocoReader()
    images = reader.images.index(map(reader.image, read_records(data, path, "images", "image")))
    found = reader.annotations.index(map(reader.annotation, read_records(data, path, "annotations", "annotation")))
    for annotation in found.values():
        reader.images.reference(annotation, "image_id", images)
    objects: dict[int, list[Record]] = {id: [] for id in images}
    for annotation in with_ignored(list(found.values()), images, notes):
        objects[annotation.data["image_id"]].append(annotation)
    return images, objects


def _own_id(image: Record) -> int:
    return int(image.data["id"])


def _check_images(table: ProposalTable, names: Collection[ImageName]) -> None:
    """Raise an error where a proposal is of an image that the ground truth does not list."""
    known = set(names)
    for row, name in enumerate(table.images):
        if name not in known:
            raise InputError(
                f"{table.path}: entry {row}: the ground truth does not list the image {brief(name)}; both files must "
                "be of the same images"
            )


def _update(
    recall: ProposalRecall, image: Record, objects: list[Record], table: ProposalTable, name: ImageName | None
) -> None:
    rows = np.zeros(0, dtype=np.int64) if name is None else table.rows[name]
    boxes = np.array([record.data["bbox"] for record in objects], dtype=np.float64).reshape(-1, 4)  # x y w h
    recall.update(
        _own_id(image),
        (image.data.get("height", 0), image.data.get("width", 0)),  # on which the recall of boxes does not depend
        np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1),
        table.boxes[rows],
        table.scores[rows],
        crowd=[record.flag("iscrowd") for record in objects],
        ignore=[record.flag("ignore") for record in objects],
        area=[area_of(record, None) for record in objects],
    )
