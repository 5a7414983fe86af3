"""Attributes of objects."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.fields.base import Columns, Field, Frame, Shape, rows_in, tensor_of
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary

MOST_SHOWN, LIKELY = 6, 0.5
"""Attributes that a table shows of an object, and the least probability of each."""


class AttributeField(Field[Tensor, Tensor]):
    """A number per attribute of the vocabulary [N A]."""

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Those that are likely, by name."""
        rows = (zip(vocabulary.attributes, row, strict=True) for row in item.tolist())
        return [{name: p for name, p in row if p >= threshold} for row in rows]

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """The likely ones, the likeliest first, with their probability where it is not 1."""
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
