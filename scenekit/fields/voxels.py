"""Occupancy grids of objects."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.base import Field
from scenekit.fields.frame import Columns, Frame, Issue, Validated, without_rows
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary


class VoxelField(Field[Tensor, Tensor]):
    """Occupancy [N V V V] along width, height and length of each object's own box, bool or a share of each cell.

    Crops and resizes leave it; a flip reflects the width, as it does for the box.
    """

    def __init__(self) -> None:
        super().__init__(dims=4)

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        filled = [item for item in items if len(item)] or items[:1]
        sides = sorted({item.shape[-1] for item in filled})
        if len(sides) > 1:
            listed = " and ".join(map(str, sides))
            raise InputError(f"voxel grids of {listed} cells a side in one batch; give all data sets the same `voxels`")
        return torch.cat(list(filled))

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        return item.flip(1) if geometry.mirrored else item

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the share of its box that each object fills."""
        return [{"shape": list(item.shape[1:]), "filled": share} for share in item.float().mean(dim=(1, 2, 3)).tolist()]

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        return {"voxels filled": [f"{share:.0%}" for share in item.float().mean(dim=(1, 2, 3)).tolist()]}

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        """Encode bool as base64, eight cells a byte, the first in the highest bit; other values number by number."""
        if item.dtype != torch.bool:
            return super().encode(item, vocabulary)
        packed = np.packbits(item.flatten(1).cpu().numpy(), axis=1)
        return [{"side": item.shape[-1], "bits": base64.b64encode(row.tobytes()).decode()} for row in packed]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        if not data or isinstance(data[0], list):
            decoded: Tensor = super().decode(data, size, vocabulary)
            return decoded
        side = int(data[0]["side"])
        packed = np.stack([np.frombuffer(base64.b64decode(row["bits"]), dtype=np.uint8) for row in data])
        cells = np.unpackbits(packed, axis=1, count=side**3).astype(bool)
        return torch.from_numpy(cells.reshape(-1, side, side, side))

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Drop grids without a full cell, and those with values outside 0 to 1."""
        return without_rows(item, frame, _impossible(item))


def _impossible(grids: Tensor) -> Iterator[Issue]:
    cells = grids.flatten(1)
    if cells.dtype == torch.bool and bool(cells.any(dim=1).all()):  # the usual case, without a copy as floats
        return
    wrong = (~((cells >= 0) & (cells <= 1))).sum(dim=1)
    for row in row_numbers((wrong > 0) | ~cells.any(dim=1)):
        if wrong[row]:
            message = f"{int(wrong[row])} of {cells.shape[1]} cells do not hold a number from 0 to 1"
            yield Issue("voxel grids with values that are not from 0 to 1", message, row=row)
        else:
            yield Issue("empty voxel grids", f"none of its {cells.shape[1]} cells is full", row=row)
