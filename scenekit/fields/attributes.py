"""Attributes of objects."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from scenekit.fields.base import Field, tensor_of
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary


class AttributeField(Field[Tensor, Tensor]):
    """A number per attribute of the vocabulary [N A]."""

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Those that are likely, by name."""
        rows = (zip(vocabulary.attributes, row, strict=True) for row in item.tolist())
        return [{name: p for name, p in row if p >= threshold} for row in rows]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        return tensor_of(data, len(vocabulary.attributes))
