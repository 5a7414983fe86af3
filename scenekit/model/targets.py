"""Ground truth of a batch, packed, with what it supervises.

Letters: G ground-truth regions of all images, B images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.keys import Key, Stream
from scenekit.structures.regions import Regions
from scenekit.structures.tensors import map_tensors


@dataclass(frozen=True, eq=False)
class StreamTruth:
    """Ground-truth regions of one stream.

    `regions` in network pixels, with labels; `crowd` marks groups (they never are positives, and what overlaps them is
    no negative); `supervised` the images that say anything about the stream; `exhaustive` those that label every
    instance of the classes they cover, so that the rest is background; `covered` which things an image covers, in one
    column (all or nothing) for streams other than OBJECTS.
    """

    regions: Regions
    crowd: Bool[Tensor, " G"]
    supervised: Bool[Tensor, " B"]
    exhaustive: Bool[Tensor, " B"]
    covered: Bool[Tensor, "B C"]

    def to(self, device: torch.device | str) -> StreamTruth:
        """The same on another device."""
        moved: StreamTruth = map_tensors(lambda tensor: tensor.to(device), self)
        return moved


@dataclass(frozen=True, eq=False)
class Targets:
    """Packed labels: `streams` of ground-truth regions, `values` by key.

    `valid[key]` says per row of the key's stream (or per image) what is really labelled. A head gets targets that are
    `aligned` with its own rows: there `targets[KEY]` has one row per region of the head, and rows without a match are
    blank (NaN, 0, empty).
    """

    streams: Mapping[Stream, StreamTruth] = field(default_factory=dict)
    values: Mapping[Key[Any, Any], Any] = field(default_factory=dict)
    valid: Mapping[Key[Any, Any], Bool[Tensor, " _"]] = field(default_factory=dict)
    matched: Mapping[Stream, Int[Tensor, " _"]] = field(default_factory=dict)

    def __contains__(self, key: Key[Any, Any]) -> bool:
        return key in self.values and bool(self.valid[key].any())

    def __getitem__(self, key: Key[Any, Any]) -> Any:
        value, rows = self.packed(key)
        if rows is None:
            return value
        there = (rows >= 0).nonzero()[:, 0]
        picked = key.field.select(value, rows[there])
        return picked if len(there) == len(rows) else key.field.scatter(picked, there, len(rows))

    def packed(self, key: Key[Any, Any]) -> tuple[Any, Int[Tensor, " N"] | None]:
        """The value as packed over the batch, and which of its rows belongs to each row of the head.

        For what is too large to copy once per region, such as bitmaps. Rows are -1 where a region has no match; all of
        them are None for keys of the image and of streams that the head does not follow.
        """
        if key not in self.values:
            raise InputError(f"no ground truth for {key.name!r} in this batch; ask `key in targets` first")
        return self.values[key], None if key.of is None else self.matched.get(key.of)

    def learnable(self, key: Key[Any, Any], regions: Regions) -> Bool[Tensor, " N"]:
        """Which regions are matched to ground truth that carries `key`."""
        assert regions.matched is not None, "regions are matched to ground truth before anybody learns from them"
        if key not in self.values or len(self.valid[key]) == 0:
            return torch.zeros_like(regions.matched, dtype=torch.bool)
        return (regions.matched >= 0) & self.valid[key][regions.matched.clamp(min=0)]

    def labelled_images(self, keys: Iterable[Key[Any, Any]]) -> set[int]:
        """Return the indices of the images that are annotated with any of the keys.

        Args:
            keys: Of images, or of streams; streams themselves are skipped.

        Returns:
            Indices into the batch.
        """
        images: set[int] = set()
        for key in keys:
            if key in self.values:
                rows = self.valid[key].nonzero()[:, 0]
                images.update((rows if key.of is None else self.streams[key.of].regions.image_index[rows]).tolist())
        return images

    def aligned(self, regions: Mapping[Stream, Regions]) -> Targets:
        """The same targets as a head sees them whose rows are `regions`."""
        matched = {stream: rows.matched for stream, rows in regions.items() if rows.matched is not None}
        return replace(self, matched=matched)

    def to(self, device: torch.device | str) -> Targets:
        """The same on another device."""
        moved: Targets = map_tensors(lambda tensor: tensor.to(device), self)
        return moved
