"""Issues of labels that need more than their annotation: the size of the image, the category, the names of the file.

Letters: A annotations.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from scenekit.errors import nearest, warn_once
from scenekit_datasets.coco.columns import Annotations, Images
from scenekit_datasets.coco.validation import fits, is_foreign
from scenekit_datasets.coco.vocabulary import Category

_log = logging.getLogger(__name__)


def label_issues(
    annotations: Annotations, sizes: Int[np.ndarray, "A 2"], categories: Mapping[int, Category]
) -> list[str]:
    """Return issues of masks of another size than their image, and of keypoints.

    Args:
        annotations: Columns of the annotations, with the issues of those that are skipped.
        sizes: (height, width) of their images in pixels.
        categories: Categories by id.

    Returns:
        One message per label.
    """
    masks, points = np.array(annotations.mask_sizes).reshape(-1, 2), np.array(annotations.points).reshape(-1, 3)
    differs = masks.any(axis=1) & (masks != sizes).any(axis=1)
    numbers = {id: len(category.skeleton.points) if category.skeleton else 0 for id, category in categories.items()}
    issues: list[str] = []
    for row in (differs | (points[:, 0] > 0)).nonzero()[0].tolist():
        if row in annotations.issues:
            continue
        where = _where(annotations, row)
        if differs[row]:
            text = f"is of size {masks[row].tolist()}, the image of {sizes[row].tolist()} (height, width)"
            issues.append(f"{where}: 'segmentation' {text}")
        issues += _point_issues(annotations, row, numbers.get(annotations.categories[row], 0), where)
    return issues


def _point_issues(annotations: Annotations, row: int, points: int, where: str) -> list[str]:
    count, used, sound = annotations.points[3 * row : 3 * row + 3]
    if count <= 0:
        return []
    if is_foreign(count, points):
        annotations.foreign.setdefault("keypoints")
        return []
    if not fits(count, used, points):
        text = f"must be x, y, v of the points of its category, {3 * points} numbers, not {count}"
        return [f"{where}: 'keypoints' {text}"]
    return [] if sound else [f"{where}: 'keypoints' must have visibilities of 0, 1 or 2"]


def attribute_issues(annotations: Annotations, names: Sequence[str]) -> list[str]:
    """Return issues of attributes that a file does not list, or that it lists and that have a value other than 0 and 1.

    Args:
        annotations: Columns of the annotations.
        names: Attributes that the file lists.

    Returns:
        One message per attribute, that of its first annotation.
    """
    unknown = {name: row for name, row in annotations.occurring.items() if name not in names}
    odd = {name: row for name, row in annotations.measures.items() if name in names}
    return [
        *(
            f"{_where(annotations, row)}: 'attributes' has {name!r}{nearest(name, names)}"
            for name, row in unknown.items()
        ),
        *(
            f"{_where(annotations, row)}: 'attributes' has a value of {name!r} that is not 0 or 1"
            for name, row in odd.items()
        ),
    ]


def predicate_issues(images: Images, names: Sequence[str]) -> list[str]:
    """Return issues of predicates that a file does not list.

    Args:
        images: Columns of the images.
        names: Predicates that the file lists.

    Returns:
        One message per predicate, that of its first image.
    """
    unknown = {name: row for name, row in images.predicates.items() if name not in names}
    name_of = images.reader.images.name
    return [
        f"{images.path}: image id {name_of(images.ids[row])}: 'relations' has {name!r}{nearest(name, names)}"
        for name, row in unknown.items()
    ]


def segment_issues(images: Images, categories: Mapping[int, Category]) -> list[str]:
    """Return issues of panoptic segments in the entries of images whose category the file does not list.

    Args:
        images: Columns of the images.
        categories: Categories by id.

    Returns:
        One message per image.
    """
    names, ids = images.reader.categories, images.reader.images
    return [
        f"{images.path}: image id {ids.name(images.ids[row])}: a segment's 'category_id' is {names.name(category)},"
        " which 'categories' does not list"
        for row, category in images.segments.unknown(categories).items()
        if row not in images.issues
    ]


def federated_issues(images: Images, categories: Mapping[int, Category]) -> list[str]:
    """Return issues of ids, in the fields of LVIS, of categories that the file does not list.

    Args:
        images: Columns of the images.
        categories: Categories by id.

    Returns:
        One message per id and field, that of its first image.
    """
    return [
        f"{where}: {field!r} has {id}, which 'categories' does not list"
        for (field, id), where in images.federated.items()
        if id not in categories
    ]


def warn_of_foreign(annotations: Annotations) -> None:
    """Warn of fields that have the name of a label and another form.

    Args:
        annotations: Columns of the annotations.
    """
    if annotations.foreign:
        names = ", ".join(map(repr, annotations.foreign))
        warn_once(_log, f"{annotations.path}: fields of another form than labels have here are left out: {names}")


def _where(annotations: Annotations, row: int) -> str:
    return f"{annotations.path}: annotation id {annotations.reader.annotations.name(annotations.ids[row])}"
