"""Semantic label maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from scenekit.fields.base import ImageField, Shape
from scenekit.fields.frame import Columns, Frame, Issue, Swatch, Validated, bitmaps_of, rows_in
from scenekit.fields.maps import label_columns, other_size, pad_maps, shares_of, transform_map
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.masks import Masks
from scenekit.structures.vocabulary import (
    Vocabulary,
    flip_labels,
    names_if_any,
    one_sided_names,
)

IGNORE = -1
"""Label of a pixel that losses and metrics ignore."""


class SemanticField(ImageField[Tensor, Tensor]):
    """Labels [H W] int64, `IGNORE` where the label is unknown; packed as [B H W].

    Args:
        names: The list of the vocabulary that the labels index: all labels, or a list that a plugin brings.
    """

    def __init__(self, names: str = "labels") -> None:
        super().__init__(dims=2)
        self.names = names
        self.lists = ("things", "stuff") if names == "labels" else (names,)

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        return pad_maps(items, size, IGNORE)

    def absent(self, size: Size) -> Tensor:
        return torch.full(size, IGNORE)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        moved = transform_map(item, geometry)
        return flip_labels(moved, self.names, vocabulary) if geometry.mirrored else moved

    def one_sided(self, item: Tensor, frame: Frame) -> Iterator[str]:
        """Yield class names without a counterpart."""
        yield from one_sided_names(item, self.names, frame.vocabulary)

    def occurrences(self, item: Tensor, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield the name of each label that any pixel has."""
        names = names_if_any(frame.vocabulary, self.names)
        yield from ((self.names, names[label]) for label in torch.unique(item).tolist() if 0 <= label < len(names))

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """Return the labels with their share of the image, the largest first."""
        names = names_if_any(frame.vocabulary, self.names)
        shares = sorted(shares_of(item).items(), key=lambda entry: -entry[1])
        shown = [(Swatch(names[label], label), share) for label, share in shares if 0 <= label < len(names)]
        columns = label_columns(shown, frame.vocabulary)
        return columns if self.names == "labels" else {title: columns[title] for title in ("label", "of image")}

    def example(self, frame: Frame, shape: Shape = None) -> Int[Tensor, "H W"]:
        """Return the label of each object in its box; what is left is the last kind of stuff."""
        count = len(names_if_any(frame.vocabulary, self.names))
        labels = torch.full(frame.size, count - 1)
        for bitmap, label in zip(bitmaps_of(frame), rows_in(frame).labels.tolist(), strict=True):
            labels[bitmap] = min(label, count - 1)
        return labels

    def misplaced(self, item: Tensor, frame: Frame) -> str | None:
        return other_size(item, frame.size)

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        present = [label for label in torch.unique(item).tolist() if label != IGNORE]
        masks = Masks.from_dense(torch.stack([item == label for label in present])) if present else None
        rles = [] if masks is None else masks.to_json()
        labels = vocabulary.names(self.names)
        return [{"label": n, "name": labels[n], "mask": rle} for n, rle in zip(present, rles, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        labels = torch.full(size, IGNORE)
        for entry in data:
            labels[Masks.from_json([entry["mask"]], size).dense[0]] = entry["label"]
        return labels

    def relabel(self, item: Tensor, labels: LabelMap) -> Tensor:
        """Return the map with the new labels, `IGNORE` where there is none."""
        return labels.apply(self.names, item)

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Ignore pixels with an unknown label."""
        count = len(frame.vocabulary.names(self.names))
        if int(item.min()) >= IGNORE and int(item.max()) < count:
            return Validated(item)
        unknown = (item >= count) | (item < IGNORE)
        first = int(item[unknown][0])
        message = f"{int(unknown.sum())} pixels are of unknown labels such as {first}; the vocabulary has {count}"
        return Validated(torch.where(unknown, IGNORE, item), None, [Issue("maps with an unknown label", message)])

    def statistics(self, item: Tensor, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield how much of the image has a label."""
        yield "share with a label", (item != IGNORE).float().mean()[None]
