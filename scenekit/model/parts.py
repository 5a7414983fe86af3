"""The images of a batch in groups of one size, so that no image depends on the padding that a larger one needs.

Letters: B images, N rows of a stream, C channels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from scenekit.keys import IMAGES, OBJECTS, Key, Stream
from scenekit.model.board import Board
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.geometry import Size
from scenekit.structures.images import ImageBatch, cropped, stacked
from scenekit.structures.regions import Regions
from scenekit.structures.tensors import index_map


@dataclass(frozen=True, eq=False)
class Part:
    """Images of a batch that one pass runs together, and the board of that pass."""

    images: tuple[int, ...]
    """Their places in the batch."""
    board: Board
    """The values of the pass, in which the images are numbered from 0."""


def given_for(
    given: Mapping[Key[Any, Any], Any], images: Sequence[int], size: Size, batch: ImageBatch
) -> dict[Key[Any, Any], Any]:
    """Select the external values of some images.

    Args:
        given: External values by key.
        images: The images, by their places in the batch.
        size: Height and width of the part, in pixels.
        batch: The whole batch.

    Returns:
        The values of these images.
    """
    if size == batch.padded_size and len(images) == len(batch):
        return dict(given)
    selected: dict[Key[Any, Any], Any] = {}
    for key, value in given.items():
        if key.of is not None and key.of in given:
            rows = _rows_of(given[key.of], images)
            selected[key] = key.field.remap(key.field.select(value, rows), index_map(rows, len(given[key.of])))
        elif isinstance(value, Regions):
            selected[key] = _regions_of(value, images)
        else:
            selected[key] = _images_of(value, images, size, batch.padded_size)
    return selected


def _rows_of(regions: Regions, images: Sequence[int]) -> Tensor:
    return torch.isin(regions.image_index, regions.image_index.new_tensor(images)).nonzero()[:, 0]


def _regions_of(regions: Regions, images: Sequence[int]) -> Regions:
    own = regions.subset(_rows_of(regions, images))
    number = index_map(own.image_index.new_tensor(images), max(images) + 1)
    return replace(own, image_index=number[own.image_index], parent=None, rows=None)


def _images_of(value: Any, images: Sequence[int], size: Size, padded: Size) -> Any:
    """Select and crop a value of the images: a pyramid, a tensor [B ...] or a list."""
    if isinstance(value, FeaturePyramid):
        return replace(value, maps=tuple(cropped(level[list(images)], size, padded) for level in value.maps))
    if isinstance(value, Tensor):
        return cropped(value[list(images)], size, padded) if value.dim() == 4 else value[list(images)]
    return [value[image] for image in images] if isinstance(value, list | tuple) else value


class _NotJoinedError(Exception):
    """A value is of a type whose rows or images cannot be concatenated."""


def merged(parts: Sequence[Part], batch: ImageBatch, given: Mapping[Key[Any, Any], Any]) -> Board:
    """Merge the boards of the parts of a batch into one to read from: images in order, maps padded with zeros.

    Args:
        parts: The parts, which hold the same keys.
        batch: The whole batch.
        given: External values of the whole batch, whose regions keep their rows.

    Returns:
        The board; without values whose type cannot be concatenated.
    """
    board = Board(batch, parts[0].board.pooler, given)
    merger = _Merger(parts, board)
    keys = [key for key in parts[0].board.keys if key != IMAGES]
    for key in sorted(keys, key=lambda key: key.of is not None):  # streams and values of the image before their rows
        merger.put(key)
    return board


@dataclass(frozen=True, eq=False)
class _Merger:
    parts: Sequence[Part]
    board: Board
    places: dict[Key[Any, Any], list[Tensor]] = dataclasses.field(default_factory=dict)
    """By key of a stream, the new row of each row of each part."""

    def put(self, key: Key[Any, Any]) -> None:
        values = [part.board[key] for part in self.parts]
        try:
            if isinstance(values[0], Regions):
                self.board.put(key, self._regions(key, values))
            elif key.of is None:
                self.board.put(key, self._images(key, values))
            else:
                self._rows(key, key.of, values)
        except _NotJoinedError:  # a type of a plugin's own, which the parts still hold
            return

    def _regions(self, key: Key[Any, Any], values: Sequence[Regions]) -> Regions:
        numbered = [
            replace(regions, image_index=regions.image_index.new_tensor(part.images)[regions.image_index])
            for part, regions in zip(self.parts, values, strict=True)
        ]
        whole = Regions.cat(numbered)
        order = self._order(key, whole)
        back = order.argsort()
        self.places[key] = list(torch.split(back, [len(regions) for regions in values]))
        return replace(whole.subset(order), parent=None, rows=None)

    def _order(self, key: Key[Any, Any], whole: Regions) -> Tensor:
        external = self.board.given.get(key)
        if not isinstance(external, Regions) or len(external) != len(whole):
            return whole.image_index.argsort(stable=True)
        return torch.cat([_rows_of(external, part.images) for part in self.parts]).argsort()

    def _rows(self, key: Key[Any, Any], stream: Stream, values: Sequence[Any]) -> None:
        rows = []
        for part, places in zip(self.parts, self.places[stream], strict=True):
            regions: Regions = part.board[stream]
            where = index_map(regions.root_rows, len(regions.root))
            rows.append(places[where[part.board.rows_of(key).root_rows]])
        named = [key.field.remap(*pair) for pair in zip(values, self.places[stream], strict=True)]
        order = torch.cat(rows).argsort()
        own = self.board[stream].subset(torch.cat(rows)[order])
        self.board.put(key, key.field.select(_joined(named), order), own)

    def _images(self, key: Key[Any, Any], values: Sequence[Any]) -> Any:
        images = [image for part in self.parts for image in part.images]
        order = torch.tensor(images).argsort()
        if isinstance(values[0], FeaturePyramid):
            levels = zip(*(value.maps for value in values), strict=True)
            return replace(values[0], maps=tuple(stacked(level)[order.to(level[0].device)] for level in levels))
        if isinstance(values[0], Tensor):
            whole = stacked(values)
            return whole if images == sorted(images) else whole[order.to(whole.device)]  # long videos have no room
        if not all(isinstance(value, list | tuple) for value in values):
            raise _NotJoinedError(type(values[0]).__name__)
        places = self.places.get(OBJECTS, [])
        if places:
            values = [
                [None if item is None else key.field.remap(item, own) for item in items]
                for items, own in zip(values, places, strict=True)
            ]
        items = list(chain.from_iterable(values))
        return [items[image] for image in order.tolist()]


def _joined(values: Sequence[Any]) -> Any:
    """Concatenate the rows of packed values of one type."""
    first = values[0]
    if isinstance(first, Tensor):
        return stacked(values, math.nan if first.is_floating_point() else 0.0)
    if hasattr(type(first), "cat"):
        return type(first).cat(values)
    if isinstance(first, list | tuple):
        return type(first)(chain.from_iterable(values))
    if not dataclasses.is_dataclass(first) or isinstance(first, type):
        if all(value == first for value in values):
            return first
        raise _NotJoinedError(type(first).__name__)
    names = [field.name for field in dataclasses.fields(first)]
    return replace(first, **{name: _joined([getattr(value, name) for value in values]) for name in names})
