"""Attributes of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.fields.base import Field, Shape
from scenekit.fields.conversion import tensor_of
from scenekit.fields.frame import Blending, Columns, Frame, Issue, Validated, rows_in, without_rows
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary, one_sided_names

MOST_SHOWN, LIKELY = 6, 0.5
"""Attributes that a table shows of an object, and the least probability of each."""


class AttributeField(Field[Tensor, Tensor]):
    """A probability per attribute of the vocabulary [N A], NaN where it is unknown."""

    lists = ("attributes",)

    def __init__(self) -> None:
        super().__init__(dims=2, nan_is_unknown=True)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        """Exchange the columns of names with a side in a flip; one without a counterpart is unknown then."""
        names = vocabulary.flipped("attributes")
        if not geometry.mirrored or item.shape[1] != len(names.order):
            return item
        item = item[:, list(names.order)]
        item[:, sorted(names.one_sided)] = torch.nan
        return item

    def one_sided(self, item: Tensor, frame: Frame) -> Iterator[str]:
        """Yield attributes without a counterpart that an object has."""
        held = row_numbers((item >= LIKELY).any(dim=0))
        yield from one_sided_names(torch.tensor(held, dtype=torch.int64), "attributes", frame.vocabulary)

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the likely attributes by name, with their probabilities."""
        rows = (zip(vocabulary.attributes, row, strict=True) for row in item.tolist())
        return [{name: p for name, p in row if p >= threshold} for row in rows]

    def votes(self, item: Tensor, vocabulary: Vocabulary) -> list[Mapping[str, float]] | None:
        """Return the known probabilities by name."""
        rows = (zip(vocabulary.attributes, row, strict=True) for row in item.tolist())
        return [{name: p for name, p in row if p > 0} for row in rows]  # NaN is not above 0

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """Return the likely attributes, the likeliest first, with their probability where it is not 1."""
        names, cells = frame.vocabulary.attributes, []
        for row in item.tolist():
            likely = sorted((-p, name) for p, name in zip(row, names, strict=True) if p >= LIKELY)[:MOST_SHOWN]
            cells.append(", ".join(name if p == -1 else f"{name} {-p:.2f}" for p, name in likely))
        return {"": cells}

    def example(self, frame: Frame, shape: Shape = None) -> Float[Tensor, "N A"]:
        count, attributes = len(rows_in(frame)), len(frame.vocabulary.attributes)
        return ((torch.arange(count)[:, None] + torch.arange(attributes)) % 2).float()

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        return tensor_of(data, len(vocabulary.attributes))

    def relabel(self, item: Tensor, labels: LabelMap) -> Tensor:
        """Return the columns of the new vocabulary; attributes that the old one lacks are unknown."""
        return labels.held("attributes", item)

    def blend(self, before: Tensor, now: Tensor, blending: Blending) -> Tensor:
        """Return mean probabilities."""
        return blending.mean(before, now)

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Drop rows with a number that is not a probability, and a table of another width."""
        names = frame.vocabulary.attributes
        if item.dim() != 2 or item.shape[1] != len(names):
            message = f"the shape is {list(item.shape)}; expected {len(names)} columns, one for each attribute"
            return Validated(None, None, [Issue("attributes of another width", message)])
        return without_rows(item, frame, _improbable(item, names))


def _improbable(item: Tensor, names: tuple[str, ...]) -> Iterator[Issue]:
    beyond = (item < 0) | (item > 1)
    for row in row_numbers(beyond.any(dim=1)):
        place = row_numbers(beyond[row])[0]
        message = f"{names[place]!r} is {float(item[row, place]):g}; expected 0 to 1, or NaN for unknown"
        yield Issue("attributes that are not probabilities", message, row=row)
