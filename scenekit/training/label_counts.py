"""Counts of the labels in the images of a data set, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from scenekit.data import checks
from scenekit.data.inspection import spread
from scenekit.data.loader import Source
from scenekit.data.scenes import scene_of
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Scene

LEAST, MOST, SECONDS = 20, 2000, 3.0
"""Images that are read of each data set at least and at most, and the processor's time after which no more are read."""

Lesson: TypeAlias = tuple[str, Key[Any, Any]]
"""A task, and a key that it learns from."""


@dataclass
class KeyCount:
    """How often a key is labelled in the images that were read of a data set."""

    images: int = 0
    """Images with the key."""
    instances: int | None = None
    """Rows or entries with it; None for maps and other values of a whole image."""
    classes: set[str] = field(default_factory=set)
    """Names of the classes, predicates, ... that occur."""

    def add(self, scene: Scene, key: Key[Any, Any], things: Collection[str] | None = None) -> None:
        """Count one image.

        Args:
            scene: Its ground truth.
            key: The key.
            things: Names of the things whose objects count; None for all.
        """
        if isinstance(key, Stream):
            own = learnable(scene, key, things)
            self._add(len(own.regions(key)), class_names(own) if key == OBJECTS else [])
        elif key in scene.values and (valid := without_faults(scene, key)) is not None:
            valid = learnable(valid, key, things)
            value, frame = valid.values[key], valid.frame(key)
            names = [name for _, name in key.field.occurrences(value, frame)]
            if key.of is not None:
                rows = valid.rows_with(key)
                self._add(int(rows.sum()), class_names(valid, rows) if key.of == OBJECTS and not names else names)
            else:
                self._add(len(value) if isinstance(value, Sized) and not isinstance(value, Tensor) else None, names)

    def _add(self, instances: int | None, names: Sequence[str]) -> None:
        self.images += instances is None or instances > 0
        self.instances = self.instances if instances is None else (self.instances or 0) + instances
        self.classes.update(names)


def counted(
    source: Source, lessons: Mapping[Lesson, Collection[str] | None], limit: int | None, seconds: float
) -> tuple[int, int, dict[Lesson, KeyCount]]:
    """Count the labels of images of a data set.

    Args:
        source: The data set.
        lessons: What tasks learn from, with the things whose objects count; None for all.
        limit: Upper limit of the number of images; None for all.
        seconds: Upper limit of the processor's time, from the first images on.

    Returns:
        How many images were read, how many could not be, and the labels of those that were.
    """
    counts, read, began = {lesson: KeyCount() for lesson in lessons}, 0, time.process_time()
    unreadable = 0
    for index in scattered(spread(len(source.data), limit)):
        try:
            scene = scene_of(source.data, index)
        except Exception:  # whatever the code of a data set raises; the run says so when it reads the image
            unreadable += 1
        else:
            read += 1
            for lesson, count in counts.items():
                count.add(scene, lesson[1], lessons[lesson])
        if read + unreadable >= LEAST and time.process_time() - began > seconds:
            break
    return read, unreadable, counts


def scattered(numbers: Sequence[int]) -> Iterator[int]:
    """Yield numbers so that those up to any place are spread over all of them.

    Args:
        numbers: The numbers, ascending.

    Yields:
        Each of them once: every 2^n-th one, then those halfway between, and so on.
    """
    stride = 1 << max(len(numbers) - 1, 0).bit_length()
    yield from numbers[::stride]
    while stride > 1:
        yield from numbers[stride // 2 :: stride]
        stride //= 2


def without_faults(scene: Scene, key: Key[Any, Any]) -> Scene | None:
    """Return a scene with the valid part of a value; None where nothing of it can be used."""
    value, valid, issues = checks.validated(scene, key)
    if value is None or not issues:
        return None if value is None else scene
    rows = {} if valid is None else {key: valid}
    return replace(scene, values={**scene.values, key: value}, valid={**scene.valid, **rows})


def learnable(scene: Scene, key: Key[Any, Any], things: Collection[str] | None) -> Scene:
    """Return a scene with the regions that a task may learn a key at: no crowds, no ignored ones, and of its things."""
    stream = key if isinstance(key, Stream) else key.of
    if stream is None:
        return scene
    regions = scene.regions(stream)
    kept = ~(regions.crowd | regions.ignore)
    if things is not None and stream == OBJECTS:
        labels = [label for label, name in enumerate(scene.vocabulary.things) if name in things]
        kept &= torch.isin(regions.labels, torch.tensor(labels, dtype=torch.int64))
    own = replace(scene, values={key: scene.values[key]} if key in scene.values else {})
    return own.select(stream, kept)


def class_names(scene: Scene, rows: Tensor | None = None) -> list[str]:
    """Return the class names of objects whose label is one of the vocabulary's."""
    labels = scene.objects.labels if rows is None else scene.objects.labels[rows]
    things = scene.vocabulary.things
    return [things[label] for label in labels.tolist() if 0 <= label < len(things)]
