"""The label maps of one image.

Letters: H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.structures import Panoptic, Segment
from scenekit.structures.geometry import Size
from scenekit_datasets.ade20k.classes import Classes
from scenekit_datasets.ade20k.layout import Image
from scenekit_datasets.label_maps import read_label_map, read_pixels

FIRST = 1000
"""Segments of objects have this number plus that of the instance, those of stuff the number of their label plus one."""


@dataclass(frozen=True, eq=False)
class Segments:
    """The maps of one image."""

    semantic: Int[np.ndarray, "H W"] | None
    """The label of each pixel; None without a map of classes."""
    instances: Int[np.ndarray, "H W"] | None
    """The instance of each pixel, 0 for none; None without a map of instances."""
    labels: Mapping[int, int]
    """The label of each instance that is an object."""

    def panoptic(self, things: int) -> Panoptic | None:
        """Return stuff with the objects over it; pixels of things without an instance are void.

        Args:
            things: Number of labels of things.

        Returns:
            The panoptic segmentation; None where one of the maps is missing.
        """
        if self.semantic is None or self.instances is None:
            return None
        ids = np.where(self.semantic >= things, self.semantic + 1, 0)
        there = np.isin(self.instances, list(self.labels))
        ids = np.where(there, self.instances + FIRST, ids)
        stuff = [Segment(id, id - 1, is_thing=False) for id in np.unique(ids).tolist() if 0 < id < FIRST]
        objects = [
            Segment(id + FIRST, label, is_thing=True, object=row) for row, (id, label) in enumerate(self.labels.items())
        ]
        return Panoptic(torch.from_numpy(ids), (*stuff, *objects))


def read_segments(files: Image, size: Size, classes: Classes) -> Segments:
    """Read the maps that an image has.

    Args:
        files: Files of the image.
        size: (height, width) of the image in pixels.
        classes: The classes.

    Returns:
        The maps.

    Raises:
        InputError: If a file cannot be read, has another size, or numbers of no class.
    """
    if files.full is not None:
        return _of_full_release(files.full, size, classes)
    semantic = None if files.maps is None else _labels(read_label_map(files.maps, size), classes.maps, files.maps)
    if files.instances is None:
        return Segments(semantic, None, {})
    numbers, instances = _channels(files.instances, size)[:2]
    values, first = np.unique(instances, return_index=True)
    of_instance = dict(zip(values.tolist(), numbers.ravel()[first].tolist(), strict=True))
    named = {id: number for id, number in of_instance.items() if id and number}
    if unknown := sorted(set(named.values()) - set(classes.instances)):
        most = len(classes.instances)
        raise InputError(f"{files.instances} has an instance of the class {unknown[0]}; expected 1 to {most}")
    return Segments(semantic, instances, {id: classes.instances[number] for id, number in named.items()})


def _of_full_release(path: Path, size: Size, classes: Classes) -> Segments:
    """Read classes from red (in tens, times 256) and green, instances of a class from blue."""
    red, green, blue = _channels(path, size)
    index = red // 10 * 256 + green
    table = np.full(65536, IGNORE)
    table[list(classes.full)] = list(classes.full.values())
    semantic = table[index]
    things = len(classes.vocabulary.things)
    instances = np.where((semantic >= 0) & (semantic < things), index * 256 + blue, 0)
    present = [id for id in np.flatnonzero(np.bincount(instances.ravel())).tolist() if id]
    return Segments(semantic, instances, {id: classes.full[id // 256] for id in present})


def _labels(values: Int[np.ndarray, "H W"], labels: Mapping[int, int], path: Path) -> Int[np.ndarray, "H W"]:
    largest = int(values.max())
    if largest > len(labels):
        raise InputError(f"{path} has the number {largest}; expected classes from 1 to {len(labels)}, and 0 for none")
    table = np.array([IGNORE, *(labels[number] for number in range(1, len(labels) + 1))])
    out: Int[np.ndarray, "H W"] = table[values]
    return out


def _channels(path: Path, size: Size) -> tuple[Int[np.ndarray, "H W"], ...]:
    pixels = read_pixels(path)
    if pixels.ndim != 3 or pixels.shape != (*size, 3):
        expected = f"an RGB image of {list(size)} (height, width)"
        raise InputError(f"{path}: expected {expected}; got {list(pixels.shape)}")
    red, green, blue = np.moveaxis(pixels.astype(np.int64), -1, 0)
    return red, green, blue
