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
    """`verts` in the camera frame, metres; `faces` index into each mesh's own vertices.

    Mesh n owns verts[verts_offset[n]:verts_offset[n + 1]] and faces[faces_offset[n]:faces_offset[n + 1]].
    """

    @classmethod
    def from_lists(cls, verts: Sequence[Float[Tensor, "_ 3"]], faces: Sequence[Int[Tensor, "_ 3"]]) -> Meshes:
        """Pack one tensor of vertices and one of faces per mesh; a mesh may be empty."""
        if len(verts) != len(faces):
            raise InputError(f"as many face lists as vertex lists expected, got {len(faces)} and {len(verts)}")
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
        """One mesh for each of these, float32, vertices and faces untouched."""
        verts = [torch.tensor(shape.vertices.astype(np.float32)) for shape in shapes]
        return cls.from_lists(verts, [torch.tensor(shape.faces.astype(np.int64)) for shape in shapes])

    @classmethod
    def from_pytorch3d(cls, meshes: Any) -> Meshes:
        """Of `pytorch3d.structures.Meshes`, less its textures. Mind its cameras: x left, y up."""
        lists = (meshes.verts_list(), meshes.faces_list())  # those of empty meshes may have the shape [0]
        return cls.from_lists(*([part.reshape(-1, 3) for part in parts] for parts in lists))

    def to_pytorch3d(self) -> Any:
        """As `pytorch3d.structures.Meshes`, coordinates untouched. Raises InputError where pytorch3d is missing."""
        try:
            theirs = import_module("pytorch3d.structures")
        except ImportError as error:
            raise InputError(f"meshes for pytorch3d need pytorch3d, which cannot be imported: {error}") from None
        return theirs.Meshes(self.verts_list(), self.faces_list())

    def verts_of(self, index: int) -> Float[Tensor, "_ 3"]:
        """Vertices of one mesh."""
        return self.verts[int(self.verts_offset[index]) : int(self.verts_offset[index + 1])]

    def faces_of(self, index: int) -> Int[Tensor, "_ 3"]:
        """Faces of one mesh."""
        return self.faces[int(self.faces_offset[index]) : int(self.faces_offset[index + 1])]

    def __getitem__(self, rows: int | slice | Int[Tensor, " M"] | Bool[Tensor, " N"] | Sequence[int]) -> Meshes:
        if isinstance(rows, int | slice):
            chosen = range(len(self))[rows]
            rows = [chosen] if isinstance(chosen, int) else chosen
        picked = torch.tensor(row_numbers(rows), dtype=torch.int64, device=self.verts_offset.device)
        (verts, verts_offset), (faces, faces_offset) = (
            gathered(offset, picked) for offset in (self.verts_offset, self.faces_offset)
        )
        return Meshes(self.verts[verts], self.faces[faces], verts_offset, faces_offset)

    @classmethod
    def cat(cls, parts: Sequence[Meshes]) -> Meshes:
        """All meshes of the parts, of which there is at least one, in order."""
        columns = ([part.verts_offset for part in parts], [part.faces_offset for part in parts])
        offsets = [F.pad(torch.cat([offset.diff() for offset in column]).cumsum(0), (1, 0)) for column in columns]
        return cls(torch.cat([part.verts for part in parts]), torch.cat([part.faces for part in parts]), *offsets)

    def with_verts(self, verts: Float[Tensor, "V 3"]) -> Meshes:
        """The same faces with their vertices elsewhere; what is known of the edges is kept."""
        moved = Meshes(verts, self.faces, self.verts_offset, self.faces_offset)
        vars(moved)["topology"] = self.topology
        return moved

    def offset_verts(self, vert_offsets_packed: Float[Tensor, "V 3"] | Float[Tensor, " 3"]) -> Meshes:
        """Vertices moved, each by its own row or all by one vector."""
        return self.with_verts(self.verts + vert_offsets_packed)

    def scale_verts(self, scale: float | Float[Tensor, " N"]) -> Meshes:
        """Vertices times one number, or times the number of their mesh."""
        factors = scale[self.verts_packed_to_mesh_idx(), None] if isinstance(scale, Tensor) else scale
        return self.with_verts(self.verts * factors)

    def mirrored(self) -> Meshes:
        """The world reflected at x = 0; the winding turns so that normals still point outwards."""
        reflect = self.verts.new_tensor([-1.0, 1.0, 1.0])
        return Meshes(self.verts * reflect, self.faces.flip(1), self.verts_offset, self.faces_offset)

    def to_trimesh(self, index: int) -> trimesh.Trimesh:
        """One mesh as trimesh knows it, vertices and faces untouched."""
        verts, faces = (part.detach().cpu().numpy() for part in (self.verts_of(index), self.faces_of(index)))
        return trimesh.Trimesh(verts, faces, process=False)
