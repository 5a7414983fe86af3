"""External regions: boxes of an image from another source, in its own pixels, as regions for one pass.

Letters: N regions of one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenekit.errors import InputError, PluginError, nearest
from scenekit.keys import OBJECTS, PROPOSALS, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.images import ImageBatch
from scenekit.structures.objects import invalid_boxes
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary, translation

MOVED = 1e-2
"""By how many network pixels a stage may move an external box: rounding, not a correction."""

Given = Scene | Mapping[Any, Any]
"""External regions of one image, in its pixels: a scene, which stands for its objects, or regions by key.

Regions are a Scene or Objects, which have labels, or boxes alone: [N 4] as an array, a tensor or lists, rows
x0 y0 x1 y1.
"""


def complete_keys(given: Mapping[Key[Any, Any], Any]) -> list[Key[Any, Any]]:
    """Return the keys that need no provider.

    Args:
        given: External values by key.

    Returns:
        The keys, streams first, without objects that have no labels, which are still to be classified.
    """
    complete = [key for key, value in given.items() if not (key == OBJECTS and value.labels is None)]
    return sorted(complete, key=lambda key: not isinstance(key, Stream))


def as_given(given: object) -> Given:
    """Return external regions as they are.

    Args:
        given: A scene, or regions by key.

    Returns:
        The same.

    Raises:
        InputError: It is neither.
    """
    if not isinstance(given, Scene | Mapping):
        raise InputError(f"given: expected a Scene or {{sk.OBJECTS: boxes}}, got {type(given).__name__}")
    return given


def given_regions(given: Given, images: ImageBatch, vocabulary: Vocabulary) -> dict[Key[Any, Any], Regions]:
    """Convert the external regions of the only image of a batch to network pixels, clipped to the image.

    Args:
        given: A scene, or regions by key, in original pixels.
        images: The batch.
        vocabulary: The model's; labels of a scene are translated by name.

    Returns:
        Regions by key, in the same rows; those with labels and without scores have the score 1.

    Raises:
        InputError: A key does not hold regions, a shape is wrong, a box is invalid or outside the image, a label is not
            in the vocabulary, or a scene has another size.
    """
    by_key = {OBJECTS: given} if isinstance(given, Scene) else given
    return {key: _regions(key, value, images, vocabulary) for key, value in by_key.items()}


def check_kept(name: str, key: Key[Any, Any], given: Regions, made: Regions) -> None:
    """Check that a stage kept external regions as they are, row by row.

    Args:
        name: The stage.
        key: The key whose regions are external.
        given: The external regions.
        made: What the stage put on the board.

    Raises:
        PluginError: Rows were added, dropped, reordered or moved.
    """
    same_rows = torch.equal(made.image_index, given.image_index)
    if not (same_rows and torch.allclose(made.boxes, given.boxes.to(made.boxes), atol=MOVED)):
        changed = "with other boxes" if same_rows else "in other rows"
        raise PluginError(
            f"stage {name!r} put {len(made)} regions of {key.name!r} {changed} on the board for {len(given)} external "
            "ones; a provider keeps `board.given[key]` row by row and only labels and scores it"
        )


def _regions_of(scene: Scene, key: Key[Any, Any], size: Size, vocabulary: Vocabulary) -> Objects:
    """Return a scene's regions of a stream, objects with the labels of `vocabulary`; its objects as PROPOSALS."""
    if scene.size != size:
        raise InputError(
            f"given: the scene is of an image of {list(scene.size)} pixels (height, width), this image has "
            f"{list(size)}; give a scene of this image"
        )
    if key != OBJECTS:
        return scene.regions(key) if isinstance(key, Stream) else scene.objects
    labels = translation(scene.vocabulary.things, vocabulary.things)[scene.objects.labels]
    if (unknown := (labels < 0).nonzero()[:, 0]).numel():
        name = scene.names()[int(unknown[0])]
        raise InputError(f"given: the model has no label {name!r}{nearest(name, vocabulary.things)}")
    return replace(scene.objects, labels=labels)


def _regions(key: Any, value: Any, images: ImageBatch, vocabulary: Vocabulary) -> Regions:
    if not (isinstance(key, Stream) or key == PROPOSALS):
        name = repr(key.name if isinstance(key, Key) else key)
        what = f"{name} does not hold regions" if isinstance(key, Key) else f"{type(key).__name__} {name} is not a key"
        raise InputError(f"given: {what}; expected a stream key such as sk.OBJECTS")
    (source,), (size,) = images.original_sizes, images.sizes
    if isinstance(value, Scene):
        value = _regions_of(value, key, source, vocabulary)
    labelled = isinstance(value, Objects)
    regions = value if labelled else _unlabelled(key, value)
    _check(key, regions, source, len(vocabulary.things) if labelled and key == OBJECTS else None)
    limits = regions.boxes.new_tensor([source[1], source[0]] * 2)
    boxes = Geometry.resize(source, size).boxes(torch.minimum(regions.boxes.clamp(min=0), limits))
    scores = regions.scores
    if scores is None and (labelled or key != OBJECTS):
        scores = torch.ones(len(regions))
    device = images.pixels.device
    return Regions(
        boxes.to(device),
        torch.zeros(len(regions), dtype=torch.int64, device=device),
        labels=regions.labels.to(device) if labelled else None,
        scores=None if scores is None else scores.to(device),
    )


def _unlabelled(key: Key[Any, Any], boxes: Any) -> Objects:
    """Return boxes as regions whose labels are not read."""
    try:
        rows = torch.as_tensor(boxes if isinstance(boxes, Tensor) else np.asarray(boxes), dtype=torch.float32)
    except (TypeError, ValueError):
        raise InputError(
            f"given {key.name}: expected a Scene, Objects or boxes [N, 4], got {type(boxes).__name__}"
        ) from None
    rows = rows.reshape(0, 4) if rows.numel() == 0 else rows
    if rows.dim() != 2 or rows.shape[1] != 4:
        raise InputError(f"given {key.name}: boxes [N, 4] expected, rows x0 y0 x1 y1, got shape {list(rows.shape)}")
    return Objects(rows, torch.zeros(len(rows), dtype=torch.int64))


def _check(key: Key[Any, Any], regions: Objects, size: Size, things: int | None) -> None:
    invalid = invalid_boxes(regions, size, things)
    for row, problem in sorted(invalid.items()):
        label = f" with label {int(regions.labels[row])}" if things is not None else ""
        box = ", ".join(f"{value:g}" for value in regions.boxes[row].tolist())
        limits = f"x0 < x1 <= {size[1]}, y0 < y1 <= {size[0]}" + ("" if things is None else f", labels below {things}")
        raise InputError(f"given {key.name}: box {row} [{box}]{label} is {problem}; expected {limits}")
