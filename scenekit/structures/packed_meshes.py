"""Packed meshes under pytorch3d's names. Letters: N meshes, O = N + 1, V vertices, F faces, E edges of all of them,
W vertices of the largest mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.ops.triangles import face_areas_normals, vertex_normals
from scenekit.structures.topology import Topology


@dataclass(frozen=True, eq=False)
class PackedMeshes:
    """`verts` and `faces` of all meshes one after the other; `faces` index into each mesh's own vertices.

    Mesh n owns verts[verts_offset[n]:verts_offset[n + 1]] and faces[faces_offset[n]:faces_offset[n + 1]]. The methods
    have the names and meanings of `pytorch3d.structures.Meshes`; what they say of edges is computed once.
    """

    verts: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]
    verts_offset: Int[Tensor, " O"]
    faces_offset: Int[Tensor, " O"]

    def __len__(self) -> int:
        return int(self.verts_offset.shape[0]) - 1

    @cached_property
    def topology(self) -> Topology:
        """What the faces say of edges and neighbors."""
        return Topology(self.faces, self.verts_offset, self.faces_offset)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.verts.device

    def isempty(self) -> bool:
        """Whether no mesh has a face."""
        return len(self.faces) == 0

    def verts_packed(self) -> Float[Tensor, "V 3"]:
        """Vertices of all meshes."""
        return self.verts

    def faces_packed(self) -> Int[Tensor, "F 3"]:
        """Faces of all meshes, indexing into `verts_packed()`."""
        return self.topology.faces_packed

    def edges_packed(self) -> Int[Tensor, "E 2"]:
        """Each undirected edge once, (low, high) in `verts_packed()`, in lexicographic order."""
        return self.topology.edges

    def faces_packed_to_edges_packed(self) -> Int[Tensor, "F 3"]:
        """For each face the rows of `edges_packed()` that are opposite to its three vertices."""
        return self.topology.edges_of_faces

    def verts_packed_to_mesh_idx(self) -> Int[Tensor, " V"]:
        """The mesh of each vertex."""
        return self.topology.mesh_of_verts

    def faces_packed_to_mesh_idx(self) -> Int[Tensor, " F"]:
        """The mesh of each face."""
        return self.topology.mesh_of_faces

    def edges_packed_to_mesh_idx(self) -> Int[Tensor, " E"]:
        """The mesh of each edge."""
        return self.topology.mesh_of_edges

    def mesh_to_verts_packed_first_idx(self) -> Int[Tensor, " N"]:
        """Where the vertices of each mesh begin."""
        return self.verts_offset[:-1]

    def mesh_to_faces_packed_first_idx(self) -> Int[Tensor, " N"]:
        """Where the faces of each mesh begin."""
        return self.faces_offset[:-1]

    def num_verts_per_mesh(self) -> Int[Tensor, " N"]:
        """How many vertices each mesh has."""
        return self.verts_offset.diff()

    def num_faces_per_mesh(self) -> Int[Tensor, " N"]:
        """How many faces each mesh has."""
        return self.faces_offset.diff()

    def num_edges_per_mesh(self) -> Int[Tensor, " N"]:
        """How many edges each mesh has."""
        return torch.bincount(self.topology.mesh_of_edges, minlength=len(self))

    def verts_list(self) -> list[Float[Tensor, "_ 3"]]:
        """The vertices of each mesh."""
        return list(torch.split(self.verts, self.num_verts_per_mesh().tolist()))

    def faces_list(self) -> list[Int[Tensor, "_ 3"]]:
        """The faces of each mesh, indexing into its own vertices."""
        return list(torch.split(self.faces, self.num_faces_per_mesh().tolist()))

    def verts_mask(self) -> Bool[Tensor, "N W"]:
        """Which rows of `verts_padded()` are vertices."""
        counts = self.num_verts_per_mesh()
        widest = int(counts.max()) if len(self) else 0
        return torch.arange(widest, device=self.device) < counts[:, None]

    def verts_padded(self) -> Float[Tensor, "N W 3"]:
        """The vertices of each mesh, filled up with zeros to those of the largest one."""
        mask = self.verts_mask()
        return self.verts.new_zeros((*mask.shape, 3)).masked_scatter(mask[..., None], self.verts)

    def faces_areas_packed(self) -> Float[Tensor, " F"]:
        """The area of each face."""
        return face_areas_normals(self.verts, self.faces_packed())[0]

    def faces_normals_packed(self) -> Float[Tensor, "F 3"]:
        """The unit normal of each face; 0 where it has no area."""
        return face_areas_normals(self.verts, self.faces_packed())[1]

    def verts_normals_packed(self) -> Float[Tensor, "V 3"]:
        """The unit normal of each vertex, of its faces by area; 0 where it has none."""
        return vertex_normals(self.verts, self.faces_packed())

    def get_bounding_boxes(self) -> Float[Tensor, "N 3 2"]:
        """The (least, greatest) coordinate of each mesh along each axis; (inf, -inf) of a mesh without vertices."""
        rows = self.topology.mesh_of_verts[:, None].expand(-1, 3)
        return torch.stack(
            [
                self.verts.new_full((len(self), 3), start).scatter_reduce(0, rows, self.verts, reduce)
                for start, reduce in ((torch.inf, "amin"), (-torch.inf, "amax"))
            ],
            dim=-1,
        )
