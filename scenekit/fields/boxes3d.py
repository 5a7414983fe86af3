"""Oriented 3D boxes in the camera frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import Field, scattered, scores_of, tensor_of
from scenekit.io.files import plain
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.vocabulary import Vocabulary

BOX_NUMBERS = ("x", "y", "z", "width", "height", "length", "roll", "pitch", "yaw", "distance", "score")
"""What the node of a graph says of a 3D box."""


class Box3DField(Field[Boxes3D, Boxes3D]):
    """Camera-space boxes: resizing leaves them, mirroring reflects them."""

    def scatter(self, item: Boxes3D, rows: Tensor, count: int) -> Boxes3D:
        parts = (item.center, item.size, item.rotation, item.scores)
        return Boxes3D(*(scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Boxes3D], size: Size) -> Boxes3D:
        return Boxes3D(*(torch.cat([getattr(item, name) for item in items]) for name in ("center", "size", "rotation")))

    def transform(self, item: Boxes3D, geometry: Geometry, vocabulary: Vocabulary) -> Boxes3D:
        return item.mirrored() if geometry.mirrored else item

    def encode(self, item: Boxes3D, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        columns = (item.center.tolist(), item.size.tolist(), item.rotation.tolist(), scores)
        names = ("center", "size", "rotation", "score")
        return [dict(zip(names, map(plain, row), strict=True)) for row in zip(*columns, strict=True)]

    def describe(self, item: Boxes3D, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """The nine numbers and the `distance` from the camera, metres and radians, and the `score` if there is one.

        None of boxes that cannot be, as `Boxes3D.valid` has it.
        """
        scores = [] if item.scores is None else [item.scores[:, None]]
        numbers = torch.cat((item.parameters, item.center.norm(dim=1, keepdim=True), *scores), dim=1)
        rows = (dict(zip(BOX_NUMBERS, row, strict=False)) for row in numbers.tolist())
        return [plain(row) if valid else None for row, valid in zip(rows, item.valid.tolist(), strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Boxes3D:
        return Boxes3D(
            tensor_of([row["center"] for row in data], 3),
            tensor_of([row["size"] for row in data], 3),
            tensor_of([row["rotation"] for row in data], 3, 3),
            scores_of([row["score"] for row in data]),
        )
