"""Triangle meshes in the camera frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import Columns, Field, Frame, Shape, rows_in, tensor_of
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.meshes import Meshes
from scenekit.structures.vocabulary import Vocabulary


class MeshField(Field[Meshes, Meshes]):
    """Camera-space meshes: resizing leaves them, mirroring reflects them."""

    def scatter(self, item: Meshes, rows: Tensor, count: int) -> Meshes:
        blank = Meshes.from_lists([item.verts[:0]], [item.faces[:0]])
        places = torch.full((count,), len(item), device=rows.device)
        places[rows] = torch.arange(len(item), device=rows.device)
        return Meshes.cat([item, blank])[places]

    def collate(self, items: Sequence[Meshes], size: Size) -> Meshes:
        return Meshes.cat(items)

    def transform(self, item: Meshes, geometry: Geometry, vocabulary: Vocabulary) -> Meshes:
        return item.mirrored() if geometry.mirrored else item

    def describe(self, item: Meshes, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """How large they are; the mesh itself stays in the scene, at the row that is the node's number."""
        return [{"verts": len(item.verts_of(i)), "faces": len(item.faces_of(i))} for i in range(len(item))]

    def columns(self, item: Meshes, frame: Frame) -> Columns:
        """Nothing of objects whose mesh is empty."""
        counts = [(len(item.verts_of(i)), len(item.faces_of(i))) for i in range(len(item))]
        return {"mesh": [f"{verts:,} vertices, {faces:,} faces" if faces else "" for verts, faces in counts]}

    def example(self, frame: Frame, shape: Shape = None) -> Meshes:
        """A tetrahedron for each."""
        verts = torch.tensor([[0.0, 0.0, 2.0], [0.5, 0.0, 2.0], [0.0, 0.5, 2.0], [0.0, 0.0, 2.5]])
        faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        count = len(rows_in(frame))
        return Meshes.from_lists([verts] * count, [faces] * count)

    def solids(self, item: Meshes) -> Meshes:
        return item

    def encode(self, item: Meshes, vocabulary: Vocabulary) -> Any:
        parts = ((item.verts_of(i).tolist(), item.faces_of(i).tolist()) for i in range(len(item)))
        return [{"verts": plain(verts), "faces": faces} for verts, faces in parts]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Meshes:
        verts = [tensor_of(row["verts"], 3) for row in data]
        return Meshes.from_lists(verts, [torch.tensor(row["faces"], dtype=torch.int64).reshape(-1, 3) for row in data])
