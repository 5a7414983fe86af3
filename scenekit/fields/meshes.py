"""Triangle meshes in the camera frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.base import Field, Shape
from scenekit.fields.conversion import scores_of, tensor_of
from scenekit.fields.frame import Columns, Frame, Issue, Validated, rows_in, without_rows
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.meshes import Meshes
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary

ASTRAY = "meshes whose faces name vertices that do not exist"

LEAST_SCORE = 0.55
"""A predicted mesh that scores less is in the scene, but neither drawn nor written as a solid."""


class MeshField(Field[Meshes, Meshes]):
    """Meshes in the camera frame: resizing leaves them, flipping reflects them."""

    def scatter(self, item: Meshes, rows: Tensor, count: int) -> Meshes:
        blank = Meshes.from_lists([item.verts[:0]], [item.faces[:0]])
        if item.scores is not None:
            blank = replace(blank, scores=item.scores.new_full((1,), torch.nan))
        places = torch.full((count,), len(item), device=rows.device)
        places[rows] = torch.arange(len(item), device=rows.device)
        return Meshes.cat([item, blank])[places]

    def collate(self, items: Sequence[Meshes], size: Size) -> Meshes:
        return Meshes.cat(items)

    def transform(self, item: Meshes, geometry: Geometry, vocabulary: Vocabulary) -> Meshes:
        return item.mirrored() if geometry.mirrored else item

    def describe(self, item: Meshes, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the number of vertices and faces, and the score; the mesh itself stays in the scene."""
        rows = [{"verts": len(item.verts_of(i)), "faces": len(item.faces_of(i))} for i in range(len(item))]
        return [{**row, **score} for row, score in zip(rows, _scores(item), strict=True)]

    def columns(self, item: Meshes, frame: Frame) -> Columns:
        """Return the number of vertices and faces, and the score; empty cells for an empty mesh."""
        counts = [(len(item.verts_of(i)), len(item.faces_of(i))) for i in range(len(item))]
        mesh = [f"{verts:,} vertices, {faces:,} faces" if faces else "" for verts, faces in counts]
        if item.scores is None:
            return {"mesh": mesh}
        scores = [
            f"{score:.2f}" if faces else "" for score, (_, faces) in zip(item.scores.tolist(), counts, strict=True)
        ]
        return {"mesh": mesh, "mesh score": scores}

    def example(self, frame: Frame, shape: Shape = None) -> Meshes:
        """Return a tetrahedron for each object."""
        verts = torch.tensor([[0.0, 0.0, 2.0], [0.5, 0.0, 2.0], [0.0, 0.5, 2.0], [0.0, 0.0, 2.5]])
        faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        count = len(rows_in(frame))
        return Meshes.from_lists([verts] * count, [faces] * count)

    def solids(self, item: Meshes) -> Meshes:
        """Return the meshes that are worth showing, empty ones in the rows of the others."""
        if item.scores is None:
            return item
        rows = torch.arange(len(item), device=item.device)[~(item.scores < LEAST_SCORE)]
        return self.scatter(item[rows], rows, len(item))

    def encode(self, item: Meshes, vocabulary: Vocabulary) -> Any:
        parts = ((item.verts_of(i).tolist(), item.faces_of(i).tolist()) for i in range(len(item)))
        rows = [{"verts": plain(verts), "faces": faces} for verts, faces in parts]
        return [{**row, **score} for row, score in zip(rows, _scores(item), strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Meshes:
        verts = [tensor_of(row["verts"], 3) for row in data]
        meshes = Meshes.from_lists(
            verts, [torch.tensor(row["faces"], dtype=torch.int64).reshape(-1, 3) for row in data]
        )
        astray = next((issue for issue in _impossible(meshes) if issue.kind == ASTRAY), None)
        if astray is not None:
            raise InputError(f"row {astray.row}: {astray.message}")
        return replace(meshes, scores=scores_of([row.get("score") for row in data]))

    def validate(self, item: Meshes, frame: Frame) -> Validated:
        """Drop meshes without faces, with vertices that are not finite or faces of vertices that do not exist."""
        return without_rows(item, frame, _impossible(item))

    def warnings(self, item: Meshes, frame: Frame) -> Iterator[Issue]:
        """Yield notes on meshes that are not closed."""
        rows = range(len(item)) if frame.valid is None else row_numbers(frame.valid)
        for row in compress(rows, open_meshes(item[list(rows)]).tolist()):
            yield Issue("meshes that are not closed", row=row, note=True)


def _scores(meshes: Meshes) -> list[dict[str, Any]]:
    if meshes.scores is None:
        return [{} for _ in range(len(meshes))]
    return [{"score": score} for score in plain(meshes.scores.tolist())]


def _impossible(meshes: Meshes) -> Iterator[Issue]:
    verts, faces = meshes.num_verts_per_mesh(), meshes.num_faces_per_mesh()
    lost = _per_mesh(~meshes.verts.isfinite().all(dim=1), meshes.verts_offset)
    limit = verts.repeat_interleave(faces)[:, None]
    astray = _per_mesh(((meshes.faces < 0) | (meshes.faces >= limit)).any(dim=1), meshes.faces_offset)
    for row in row_numbers((faces == 0) | (lost > 0) | (astray > 0)):
        if faces[row] == 0:
            yield Issue("meshes without faces", f"it has no faces and {int(verts[row])} vertices", row=row)
        elif astray[row]:
            message = f"{int(astray[row])} of {int(faces[row])} faces name vertices beyond its {int(verts[row])}"
            yield Issue(ASTRAY, message, row=row)
        else:
            message = f"{int(lost[row])} of {int(verts[row])} vertices are not finite"
            yield Issue("meshes with vertices that are not finite", message, row=row)


def open_meshes(meshes: Meshes) -> Bool[Tensor, " N"]:
    """Return which meshes do not enclose a volume: some edge is not of two faces, nor of another even number of them.

    Args:
        meshes: Valid meshes; vertices count as different even where they coincide.

    Returns:
        True for each mesh that is not closed.
    """
    uses = torch.bincount(meshes.faces_packed_to_edges_packed().flatten(), minlength=len(meshes.edges_packed()))
    odd = torch.zeros(len(meshes), dtype=torch.int64, device=meshes.device)
    return odd.index_add(0, meshes.edges_packed_to_mesh_idx(), uses % 2) > 0


def _per_mesh(chosen: Bool[Tensor, " P"], offset: Int[Tensor, " O"]) -> Int[Tensor, " N"]:
    """Return how many of each mesh's vertices or faces are chosen."""
    running = torch.nn.functional.pad(chosen.long().cumsum(0), (1, 0))
    return running[offset[1:]] - running[offset[:-1]]
