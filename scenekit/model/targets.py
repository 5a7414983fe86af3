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
    """Ground-truth regions of one stream."""

    regions: Regions
    """Regions in network pixels, with labels."""
    crowd: Bool[Tensor, " G"]
    """Groups: never positives, and regions that overlap them are not negatives."""
    supervised: Bool[Tensor, " B"]
    """Images that are annotated for the stream."""
    exhaustive: Bool[Tensor, " B"]
    """Images in which every instance of the covered classes is annotated, so that the rest is background."""
    covered: Bool[Tensor, "B C"]
    """The classes that each image covers; a single column (all or none) for streams other than OBJECTS."""

    def to(self, device: torch.device | str) -> StreamTruth:
        """Move the regions to another device.

        Args:
            device: The device.

        Returns:
            The regions there.
        """
        moved: StreamTruth = map_tensors(lambda tensor: tensor.to(device), self)
        return moved


@dataclass(frozen=True, eq=False)
class Targets:
    """Packed ground truth of a batch.

    A head gets targets that are `aligned` with its own rows: there `targets[KEY]` has one row per region of the head,
    and rows without a match are blank (NaN, 0, empty).
    """

    streams: Mapping[Stream, StreamTruth] = field(default_factory=dict)
    """Ground-truth regions by stream."""
    values: Mapping[Key[Any, Any], Any] = field(default_factory=dict)
    """Packed values by key."""
    valid: Mapping[Key[Any, Any], Bool[Tensor, " _"]] = field(default_factory=dict)
    """What is annotated, by key: rows of the key's stream, or images."""
    covered: Mapping[Key[Any, Any], Bool[Tensor, "B _"]] = field(default_factory=dict)
    """Of label maps, by key: the things and stuff that each image covers; all of them where a key is missing."""
    matched: Mapping[Stream, Int[Tensor, " _"]] = field(default_factory=dict)
    """The row of the ground truth of each region of a head, by stream; -1 without a match."""

    def __contains__(self, key: Key[Any, Any]) -> bool:
        return key in self.values and bool(self.valid[key].any())

    def __getitem__(self, key: Key[Any, Any]) -> Any:
        value, rows = self.packed(key)
        if rows is None:
            return value
        matched = (rows >= 0).nonzero()[:, 0]
        picked = key.field.select(value, rows[matched])
        return picked if len(matched) == len(rows) else key.field.scatter(picked, matched, len(rows))

    def packed(self, key: Key[Any, Any]) -> tuple[Any, Int[Tensor, " N"] | None]:
        """Return a value as packed over the batch, for what is too large to copy once per region, such as bitmaps.

        Args:
            key: The key.

        Returns:
            The packed value, and which of its rows belongs to each row of the head: -1 where a region has no match;
            None for keys of the image and of streams that the head does not follow.

        Raises:
            InputError: The batch has no ground truth for the key.
        """
        if key not in self.values:
            raise InputError(f"no ground truth for {key.name!r} in this batch; test `key in targets` first")
        return self.values[key], None if key.of is None else self.matched.get(key.of)

    def learnable(self, key: Key[Any, Any], regions: Regions) -> Bool[Tensor, " N"]:
        """Return which regions are matched to ground truth that carries a key.

        Args:
            key: A key that follows the stream of the regions.
            regions: Matched regions.

        Returns:
            True for each such region.
        """
        assert regions.matched is not None, "regions are matched to ground truth before a head learns from them"
        if key not in self.values or len(self.valid[key]) == 0:
            return torch.zeros_like(regions.matched, dtype=torch.bool)
        return (regions.matched >= 0) & self.valid[key][regions.matched.clamp(min=0)]

    def labelled_images(self, keys: Iterable[Key[Any, Any]]) -> set[int]:
        """Return the indices of the images that are annotated with any of the keys.

        Args:
            keys: Of images, or of streams; streams themselves, and keys of clips, are skipped.

        Returns:
            Indices into the batch.
        """
        images: set[int] = set()
        for key in keys:
            if key in self.values and not key.of_clip:
                rows = self.valid[key].nonzero()[:, 0]
                images.update((rows if key.of is None else self.streams[key.of].regions.image_index[rows]).tolist())
        return images

    def aligned(self, regions: Mapping[Stream, Regions]) -> Targets:
        """Align the targets with the rows of a head.

        Args:
            regions: The rows of the head by stream.

        Returns:
            Targets with one row per region.
        """
        matched = {stream: rows.matched for stream, rows in regions.items() if rows.matched is not None}
        return replace(self, matched=matched)

    def to(self, device: torch.device | str) -> Targets:
        """Move the targets to another device.

        Args:
            device: The device.

        Returns:
            The targets there.
        """
        moved: Targets = map_tensors(lambda tensor: tensor.to(device), self)
        return moved
