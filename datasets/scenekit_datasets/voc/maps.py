"""Label maps of one image of Pascal VOC: the class and the object of each pixel. Letters: N objects, H W pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torchvision.ops import box_iou

from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.scene import Objects
from scenekit.structures import Masks
from scenekit.structures.geometry import Size
from scenekit_datasets.label_maps import masks_in, read_label_map

VOID = 255
"""Value of pixels at the borders of objects."""

SAME = 0.5
"""IoU from which on a box is that of a mask of its class."""


def semantic_of(path: Path, size: Size, classes: int) -> Int[Tensor, "H W"]:
    """Read the class of each pixel: 0 is background, whose label follows those of the classes, 255 is unknown.

    Args:
        path: The file.
        size: (height, width) of the image in pixels.
        classes: Number of classes.

    Returns:
        Labels.

    Raises:
        InputError: If it cannot be read, has another size or other values.
    """
    table = np.full(VOID + 1, IGNORE - 1)
    table[1 : classes + 1] = np.arange(classes)
    table[[0, VOID]] = classes, IGNORE
    values = read_label_map(path, size)
    labels = table[values.clip(0, VOID)]
    if (unknown := (labels < IGNORE) | (values > VOID)).any():
        value = int(values[unknown][0])
        raise InputError(f"{path}: the value {value} is none of 0, 1 to {classes} of the classes, and {VOID}")
    return torch.from_numpy(labels)


def masks_of(
    path: Path, semantic: Int[Tensor, "H W"], objects: Objects, issues: list[str]
) -> tuple[Masks, Bool[Tensor, " N"]]:
    """Read the object of each pixel; a mask is that of the object of its class whose box is most like its own.

    Args:
        path: The file.
        semantic: The class of each pixel.
        objects: The objects.
        issues: Issues, to which those of masks without an object are added.

    Returns:
        (masks, which objects have one).

    Raises:
        InputError: If it cannot be read or has another size.
    """
    size = (semantic.shape[0], semantic.shape[1])
    ids = read_label_map(path, size)
    numbers = [number for number in np.unique(ids).tolist() if number not in (0, VOID)]
    masks, found = masks_in(ids, numbers), list(Masks.empty(len(objects), size).rles)
    overlaps = box_iou(masks.boxes, objects.boxes)
    there = torch.zeros(len(objects), dtype=torch.bool)
    for row, number in enumerate(numbers):
        label = int(semantic[torch.from_numpy(ids == number)].mode().values)
        of_class = overlaps[row].masked_fill((objects.labels != label) | there, 0.0)
        best = int(of_class.argmax()) if len(objects) else -1
        if best < 0 or of_class[best] < SAME:
            issues.append(f"{path}: object {number} has no box in the annotation")
            continue
        found[best], there[best] = masks.rles[row], True
    return Masks(tuple(found), size), there
