"""What objects look like, as vectors whose cosine says how alike they are.

Letters: N objects, C channels.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError, repr_of
from scenekit.fields.base import FREE, Field, Shape
from scenekit.fields.frame import Columns, Frame, rows_in
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary

STEPS = 127
"""Steps from 0 to the largest channel of a vector."""


def unit_vectors(vectors: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """Return vectors of length 1 whose channels are whole steps of the largest one, so that they fit a byte each.

    Args:
        vectors: Any vectors; one of zeros stays one.

    Returns:
        Directions; their cosines differ from the exact ones by about 0.001.
    """
    return F.normalize(_steps(vectors), dim=1)


def _steps(vectors: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    if not vectors.numel():  # objects without channels have no largest one
        return vectors
    largest = vectors.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)
    return (vectors / largest * STEPS).round()


class AppearanceField(Field[Tensor, Tensor]):
    """Unit vectors [N C]; in JSON a text per object, its bytes in base 64."""

    def __init__(self) -> None:
        super().__init__(dims=2)

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        rows = _steps(item.detach().cpu().float()).to(torch.int8)
        return [base64.b64encode(row.numpy().tobytes()).decode() for row in rows]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        rows = [_bytes_of(text) for text in data]
        if len({len(row) for row in rows}) > 1:
            raise InputError("vectors of one image must have as many channels each")
        if not rows:
            return torch.zeros(0, 0)
        steps = torch.stack([torch.frombuffer(bytearray(row), dtype=torch.int8).float() for row in rows])
        return F.normalize(steps, dim=1)

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the length of the vectors alone."""
        return [{"shape": [item.shape[1]]} for _ in item]

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """Return no column: the numbers mean nothing by themselves."""
        return {}

    def example(self, frame: Frame, shape: Shape = None) -> Float[Tensor, "N C"]:
        count = len(rows_in(frame))
        return unit_vectors(torch.linspace(-1, 1, count * FREE).reshape(count, FREE) + 0.1)


def _bytes_of(text: Any) -> bytes:
    """Return the bytes of an entry; a row without a value has none."""
    if text is None:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InputError(f"expected bytes in base 64, got {repr_of(text)}") from None
