"""Triangle meshes of several objects, packed. Letters: N meshes, O = N + 1, V vertices and F faces of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.structures.packed_meshes import PackedMeshes
from scenekit.structures.tensors import gathered, row_numbers


@dataclass(frozen=True, eq=False)
class Meshes(PackedMeshes):
    """Triangle meshes of several objects, packed; vertices in the camera frame, in metres.

    Mesh n owns verts[verts_offset[n]:verts_offset[n + 1]] and faces[faces_offset[n]:faces_offset[n + 1]]; faces index
    the vertices of their own mesh.
    """

    scores: Float[Tensor, " N"] | None = None
    """Confidence in each shape, 0 to 1, that of the object included; None in ground truth."""

    @classmethod
    def from_lists(cls, verts: Sequence[Float[Tensor, "_ 3"]], faces: Sequence[Int[Tensor, "_ 3"]]) -> Meshes:
        """Pack meshes.

        Args:
            verts: Vertices of each mesh.
            faces: Vertex indices of each mesh's faces; a mesh may be empty.

        Returns:
            The packed meshes.

        Raises:
            InputError: If the lists differ in length.
        """
        if len(verts) != len(faces):
            raise InputError(f"expected as many tensors of faces as of vertices, got {len(faces)} and {len(verts)}")
        device = verts[0].device if verts else None
        counts = [
            torch.tensor([0] + [len(part) for part in parts], device=device).cumsum(0) for parts in (verts, faces)
        ]
        return cls(
            torch.cat([*verts]) if verts else torch.zeros((0, 3)),
            torch.cat([part.long() for part in faces]) if faces else torch.zeros((0, 3), dtype=torch.int64),
            counts[0],
            counts[1],
        )

    @classmethod
    def from_trimesh(cls, shapes: Sequence[trimesh.Trimesh]) -> Meshes:
        """Pack meshes of trimesh.

        Args:
            shapes: The meshes.

        Returns:
            The packed meshes, float32, vertices and faces in the same order.
        """
        verts = [torch.tensor(shape.vertices.astype(np.float32)) for shape in shapes]
        return cls.from_lists(verts, [torch.tensor(shape.faces.astype(np.int64)) for shape in shapes])

    @classmethod
    def from_pytorch3d(cls, meshes: Any) -> Meshes:
        """Convert meshes of pytorch3d, without textures. Mind that its cameras have x left and y up.

        Args:
            meshes: `pytorch3d.structures.Meshes`.

        Returns:
            The packed meshes, coordinates unchanged.
        """
        lists = (meshes.verts_list(), meshes.faces_list())  # those of empty meshes may have the shape [0]
        return cls.from_lists(*([part.reshape(-1, 3) for part in parts] for parts in lists))

    def to_pytorch3d(self) -> Any:
        """Convert to `pytorch3d.structures.Meshes`.

        Returns:
            The meshes, coordinates unchanged.

        Raises:
            InputError: If pytorch3d cannot be imported.
        """
        try:
            theirs = import_module("pytorch3d.structures")
        except ImportError as error:
            raise InputError(f"to_pytorch3d needs pytorch3d, which cannot be imported: {error}") from None
        return theirs.Meshes(self.verts_list(), self.faces_list())

    def verts_of(self, index: int) -> Float[Tensor, "_ 3"]:
        """Return the vertices of one mesh.

        Args:
            index: Index of the mesh.

        Returns:
            Its vertices.
        """
        return self.verts[int(self.verts_offset[index]) : int(self.verts_offset[index + 1])]

    def faces_of(self, index: int) -> Int[Tensor, "_ 3"]:
        """Return the faces of one mesh.

        Args:
            index: Index of the mesh.

        Returns:
            Its faces, which index its own vertices.
        """
        return self.faces[int(self.faces_offset[index]) : int(self.faces_offset[index + 1])]

    def __getitem__(self, rows: int | slice | Int[Tensor, " M"] | Bool[Tensor, " N"] | Sequence[int]) -> Meshes:
        if isinstance(rows, int | slice):
            chosen = range(len(self))[rows]
            rows = [chosen] if isinstance(chosen, int) else chosen
        groups = torch.tensor(row_numbers(rows), dtype=torch.int64, device=self.verts_offset.device)
        (verts, verts_offset), (faces, faces_offset) = (
            gathered(offset, groups) for offset in (self.verts_offset, self.faces_offset)
        )
        scores = None if self.scores is None else self.scores[groups]
        return Meshes(self.verts[verts], self.faces[faces], verts_offset, faces_offset, scores)

    @classmethod
    def cat(cls, parts: Sequence[Meshes]) -> Meshes:
        """Concatenate meshes.

        Args:
            parts: At least one set of meshes.

        Returns:
            All meshes in order, with scores if all parts have them.
        """
        columns = ([part.verts_offset for part in parts], [part.faces_offset for part in parts])
        verts_offset, faces_offset = (
            F.pad(torch.cat([offset.diff() for offset in column]).cumsum(0), (1, 0)) for column in columns
        )
        known = [part.scores for part in parts if part.scores is not None]
        scores = torch.cat(known) if len(known) == len(parts) else None
        verts, faces = (torch.cat([getattr(part, name) for part in parts]) for name in ("verts", "faces"))
        return cls(verts, faces, verts_offset, faces_offset, scores)

    def with_verts(self, verts: Float[Tensor, "V 3"]) -> Meshes:
        """Replace the vertices; faces and everything computed of the edges are kept.

        Args:
            verts: New positions of all vertices.

        Returns:
            The moved meshes.
        """
        moved = Meshes(verts, self.faces, self.verts_offset, self.faces_offset, self.scores)
        vars(moved)["topology"] = self.topology
        return moved

    def offset_verts(self, vert_offsets_packed: Float[Tensor, "V 3"] | Float[Tensor, " 3"]) -> Meshes:
        """Move vertices.

        Args:
            vert_offsets_packed: One vector per vertex, or one for all.

        Returns:
            The moved meshes.
        """
        return self.with_verts(self.verts + vert_offsets_packed)

    def scale_verts(self, scale: float | Float[Tensor, " N"]) -> Meshes:
        """Scale vertices about the origin.

        Args:
            scale: One factor, or one per mesh.

        Returns:
            The scaled meshes.
        """
        factors = scale[self.verts_packed_to_mesh_idx(), None] if isinstance(scale, Tensor) else scale
        return self.with_verts(self.verts * factors)

    def mirrored(self) -> Meshes:
        """Flip the world left to right, at x = 0; the winding is reversed so that normals still point outwards.

        Returns:
            The flipped meshes.
        """
        reflect = self.verts.new_tensor([-1.0, 1.0, 1.0])
        return Meshes(self.verts * reflect, self.faces.flip(1), self.verts_offset, self.faces_offset, self.scores)

    def to_trimesh(self, index: int) -> trimesh.Trimesh:
        """Convert one mesh to trimesh.

        Args:
            index: Index of the mesh.

        Returns:
            The mesh, vertices and faces unchanged.
        """
        verts, faces = (part.detach().cpu().numpy() for part in (self.verts_of(index), self.faces_of(index)))
        return trimesh.Trimesh(verts, faces, process=False)
