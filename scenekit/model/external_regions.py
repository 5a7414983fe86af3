"""Regions from outside: what somebody else knows of an image, in its own pixels, as regions for one pass.

Letters: N regions of one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.keys import OBJECTS, PROPOSALS, Key, Stream
from scenekit.scene import Objects, Scene, find_faults
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary, translation

Given = Scene | Mapping[Any, Any]
"""Of one image, in its pixels: a scene, which stands for its objects, or regions by key.

Regions are Objects, which have labels, or boxes alone: [N 4] as an array, a tensor or lists, rows x0 y0 x1 y1.
"""


def as_given(given: object) -> Given:
    """`given` itself; InputError unless it is a scene or says which regions its boxes are."""
    if not isinstance(given, Scene | Mapping):
        raise InputError(f"given: a Scene or {{sk.OBJECTS: boxes}} is expected, got {type(given).__name__}")
    return given


def given_regions(given: Given, images: ImageBatch, vocabulary: Vocabulary) -> dict[Key[Any, Any], Regions]:
    """What is given for the only image of a batch, clipped and in network pixels; one row each, in the same order.

    What has no score counts as certain. Raises InputError for keys that are no regions, wrong shapes, boxes that are
    faulty or outside the image, labels that `vocabulary` lacks, and a scene of another size.
    """
    (size,) = images.original_sizes
    by_key = {OBJECTS: _objects_of(given, size, vocabulary)} if isinstance(given, Scene) else given
    return {key: _regions(key, value, images, vocabulary) for key, value in by_key.items()}


def _objects_of(scene: Scene, size: Size, vocabulary: Vocabulary) -> Objects:
    """A scene's objects in the words of `vocabulary`."""
    if scene.size != size:
        raise InputError(f"given: the scene is of an image of {list(scene.size)} pixels, this one has {list(size)}")
    labels = translation(scene.vocabulary.things, vocabulary.things)[scene.objects.labels]
    if (unknown := (labels < 0).nonzero()[:, 0]).numel():
        name = scene.names()[int(unknown[0])]
        raise InputError(f"given: the model has no label {name!r}{nearest(name, vocabulary.things)}")
    return replace(scene.objects, labels=labels)


def _regions(key: Any, value: Any, images: ImageBatch, vocabulary: Vocabulary) -> Regions:
    if not (isinstance(key, Stream) or key == PROPOSALS):
        name = repr(key.name if isinstance(key, Key) else key)
        what = f"{name} are no regions" if isinstance(key, Key) else f"{type(key).__name__} {name} is no key"
        raise InputError(f"given: {what}; boxes are expected by a stream, such as sk.OBJECTS")
    (source,), (size,) = images.original_sizes, images.sizes
    labelled = isinstance(value, Objects)
    regions = value if labelled else _unlabelled(key, value)
    _check(key, regions, source, len(vocabulary.things) if labelled and key == OBJECTS else None)
    limits = regions.boxes.new_tensor([source[1], source[0]] * 2)
    boxes = Geometry.resize(source, size).boxes(torch.minimum(regions.boxes.clamp(min=0), limits))
    certain = torch.ones(len(regions)) if labelled or key != OBJECTS else None
    device = images.pixels.device
    return Regions(
        boxes.to(device),
        torch.zeros(len(regions), dtype=torch.int64, device=device),
        labels=regions.labels.to(device) if labelled else None,
        scores=_on(device, certain if regions.scores is None else regions.scores),
    )


def _unlabelled(key: Key[Any, Any], boxes: Any) -> Objects:
    """Boxes as regions whose labels nobody reads."""
    try:
        rows = torch.as_tensor(boxes if isinstance(boxes, Tensor) else np.asarray(boxes), dtype=torch.float32)
    except (TypeError, ValueError):
        raise InputError(f"given {key.name}: Objects or boxes [N, 4] expected, got {type(boxes).__name__}") from None
    rows = rows.reshape(0, 4) if rows.numel() == 0 else rows
    if rows.dim() != 2 or rows.shape[1] != 4:
        raise InputError(f"given {key.name}: boxes [N, 4] expected, rows x0 y0 x1 y1, got shape {list(rows.shape)}")
    return Objects(rows, torch.zeros(len(rows), dtype=torch.int64))


def _check(key: Key[Any, Any], regions: Objects, size: Size, things: int | None) -> None:
    faults = find_faults(regions, size, things)
    for row, fault in sorted(faults.items()):
        label = f" with label {int(regions.labels[row])}" if things is not None else ""
        box = ", ".join(f"{value:g}" for value in regions.boxes[row].tolist())
        limits = f"x0 < x1 <= {size[1]}, y0 < y1 <= {size[0]}" + ("" if things is None else f", labels below {things}")
        raise InputError(f"given {key.name}: box {row} [{box}]{label} is {fault}; expected {limits}")


def _on(device: torch.device, column: Tensor | None) -> Tensor | None:
    return None if column is None else column.to(device)
