"""The labels of the maps of instances and classes.

A pixel is the id of its class, or 1000 times that id plus the number of the instance. A class with instances without
such a number is a group that could not be divided.

Letters: H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.structures import Masks, Panoptic, Segment
from scenekit.structures.geometry import Size
from scenekit_datasets.cityscapes.classes import LABELS, LAST, PLATE, THINGS
from scenekit_datasets.label_maps import masks_in, read_label_map

INSTANCES = 1000
"""Ids below are those of classes."""


class Instance(NamedTuple):
    """An object or a group of objects."""

    id: int
    """Its number in the map."""
    label: int
    """Its label."""
    crowd: bool
    """Whether it is a group."""


@dataclass(frozen=True, eq=False)
class Segments:
    """A map of instances."""

    values: Int[np.ndarray, "H W"]
    """The number of each pixel."""
    present: tuple[int, ...]
    """The numbers that occur and have a label, ascending."""

    @property
    def instances(self) -> list[Instance]:
        """Objects and groups, by ascending number."""
        named = [(value, class_of(value)) for value in self.present]
        return [Instance(value, LABELS[id], value < INSTANCES) for value, id in named if id in THINGS]

    def masks(self, instances: Sequence[Instance]) -> Masks:
        """Return the mask of each instance.

        Args:
            instances: The instances.

        Returns:
            A mask for each.
        """
        return masks_in(self.values, [instance.id for instance in instances])

    @property
    def semantic(self) -> Int[Tensor, "H W"]:
        """The label of each pixel."""
        table = np.full(max(self.values.max(), *PLATE) + 1, IGNORE)
        table[list(self.present)] = [LABELS[class_of(value)] for value in self.present]
        return torch.from_numpy(table[self.values])

    def panoptic(self, rows: Sequence[int]) -> Panoptic:
        """Return the segments that Cityscapes' own script for panoptic files makes of the map, with the same ids.

        Args:
            rows: Numbers of the instances that are objects, by row.

        Returns:
            The panoptic segmentation.
        """
        place = {value: row for row, value in enumerate(rows)}
        segments = tuple(
            Segment(
                value,
                LABELS[class_of(value)],
                is_thing=class_of(value) in THINGS,
                object=place.get(value),
                crowd=value < INSTANCES and class_of(value) in THINGS,
            )
            for value in self.present
        )
        return Panoptic(torch.from_numpy(np.where(np.isin(self.values, self.present), self.values, 0)), segments)


def class_of(value: int) -> int:
    """Return the class of a number of a map.

    Args:
        value: The number.

    Returns:
        The id of the class.
    """
    return value // INSTANCES if value >= INSTANCES else value


def read_segments(path: Path, size: Size) -> Segments:
    """Read a map of instances, or of classes.

    Args:
        path: The file.
        size: (height, width) of the image in pixels.

    Returns:
        The map.

    Raises:
        InputError: If the file cannot be read, or a number has no meaning.
    """
    values = read_label_map(path, size)
    found = [value for value in np.flatnonzero(np.bincount(values.ravel())).tolist() if value not in PLATE]
    for value in found:
        if class_of(value) > LAST:
            raise InputError(
                f"{path} has the number {value}; expected the id of a class, 0 to {LAST}, or 1000 times one plus the"
                " number of an instance, as the official maps have them"
            )
    return Segments(values, tuple(value for value in found if class_of(value) in LABELS))
