"""Labelled images without a data set, and the regions that a good detector would find on them.

Letters: N regions of one image, H W pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from scenekit.data.sample import Sample, Supervision
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.model.plan import streams_of
from scenekit.model.targets import StreamTruth
from scenekit.scene import Objects, Scene
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Skeleton, Vocabulary

SIZES: tuple[Size, ...] = ((64, 96), (96, 64), (72, 80))
"""Of the first, second and third image."""

_SKELETON = Skeleton(("head", "left_foot", "right_foot"), mirror=(("left_foot", "right_foot"),), sigmas=(0.1,) * 3)
VOCABULARY = Vocabulary(
    things=("cup", "person", "table"),
    stuff=("floor", "wall"),
    predicates=("left of", "right of", "on"),
    attributes=("red", "wooden"),
    skeletons={"person": _SKELETON},
    mirror_predicates=(("left of", "right of"),),
    mirror_words=(("left", "right"),),
)
"""What labels mean on the images, unless the caller knows better."""


def made_up(
    number: int, labels: Sequence[int], keys: Collection[Key[Any, Any]], vocabulary: Vocabulary, labelled: bool
) -> Sample:
    """Make image `number` up: objects of `labels` side by side, with ground truth for `keys`.

    Streams among the keys, and those that the others follow, have the regions of the objects in another order, and one
    more around them all.
    """
    size = SIZES[number % len(SIZES)]
    streams = {OBJECTS, *streams_of(keys)}
    boxes = _side_by_side(size, len(labels))
    regions = dict.fromkeys(streams, _without_classes(boxes))
    regions[OBJECTS] = Objects(boxes, torch.tensor(labels, dtype=torch.int64))
    scene = Scene(size, vocabulary, regions, camera=Camera.default(*size))
    values = {key: example(key, scene) for key in keys if not isinstance(key, Stream)}
    supervised = frozenset(streams) if labelled else frozenset()
    teaches = Supervision(frozenset(values) if labelled else frozenset(), streams=supervised, exhaustive=supervised)
    return Sample(_image(scene, number), replace(scene, values=values), teaches, number)


def example(key: Key[Any, Any], scene: Scene) -> Any:
    """Make up ground truth for a key.

    Args:
        key: The key; its own `example` is asked first, then its field.
        scene: An image that has regions and nothing else.

    Returns:
        What an annotator might write for `key` there.
    """
    frame = scene.frame(key)
    return key.field.example(frame, key.shape) if key.example is None else key.example(frame)


def detected(stream: Stream, target: StreamTruth, vocabulary: Vocabulary, learning: bool) -> Regions:
    """Return the detections of a good detector: the ground truth half a pixel off, matched to it while learning."""
    count, classes = len(target.regions), len(vocabulary.things)
    regions = replace(target.regions, boxes=target.regions.boxes + 0.5, scores=torch.linspace(0.9, 0.6, count))
    if stream == OBJECTS and regions.labels is not None:
        logits = 4.0 * F.one_hot(regions.labels, classes + 1).float()
        regions = replace(regions, class_logits=logits, class_boxes=regions.boxes[:, None].repeat(1, classes, 1))
    if learning:
        supervised = target.supervised[regions.image_index]
        regions = replace(regions, matched=torch.arange(count).where(supervised, torch.tensor(-1)))
    return regions


def _without_classes(boxes: Float[Tensor, "N 4"]) -> Objects:
    around = torch.cat((boxes[:, :2].amin(0), boxes[:, 2:].amax(0)))[None] if len(boxes) else boxes
    regions = torch.cat((boxes.flip(0), around))
    return Objects(regions, torch.zeros(len(regions), dtype=torch.int64))


def _side_by_side(size: Size, count: int) -> Float[Tensor, "N 4"]:
    """Return one box in each of `count` columns of the image."""
    height, width = size
    edges = torch.linspace(0, width, count + 1) if count else torch.zeros(1)
    rows = torch.tensor([9.0, height - 7.0]).repeat(count, 1)
    return torch.stack((edges[:-1] + 3, rows[:, 0], edges[1:] - 3, rows[:, 1]), dim=1).round()


def _image(scene: Scene, number: int) -> UInt8[Tensor, "3 H W"]:
    """Return an image of objects in the color of their label, before noise that differs between images."""
    noise = torch.randint(0, 120, (3, *scene.size), generator=torch.Generator().manual_seed(number))
    for (x0, y0, x1, y1), label in zip(scene.objects.boxes.long().tolist(), scene.objects.labels.tolist(), strict=True):
        noise[label % 3, y0:y1, x0:x1] += 120
    return noise.to(torch.uint8)
