"""Packed meshes with pytorch3d's names.

Letters: N meshes, O = N + 1, V vertices, F faces, E edges of all of them, W vertices of the largest mesh.
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
    """Vertices and faces of several meshes, concatenated.

    Mesh n owns verts[verts_offset[n]:verts_offset[n + 1]] and faces[faces_offset[n]:faces_offset[n + 1]]. The methods
    have the names and meanings of `pytorch3d.structures.Meshes`; what concerns edges is computed once.
    """

    verts: Float[Tensor, "V 3"]
    """Vertices of all meshes."""
    faces: Int[Tensor, "F 3"]
    """Faces of all meshes, which index the vertices of their own mesh."""
    verts_offset: Int[Tensor, " O"]
    """Where the vertices of each mesh begin, and the total."""
    faces_offset: Int[Tensor, " O"]
    """Where the faces of each mesh begin, and the total."""

    def __len__(self) -> int:
        return int(self.verts_offset.shape[0]) - 1

    @cached_property
    def topology(self) -> Topology:
        """Edges and neighbors, as the faces define them."""
        return Topology(self.faces, self.verts_offset, self.faces_offset)

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.verts.device

    def isempty(self) -> bool:
        """Return whether no mesh has a face.

        Returns:
            True without faces.
        """
        return len(self.faces) == 0

    def verts_packed(self) -> Float[Tensor, "V 3"]:
        """Return the vertices of all meshes.

        Returns:
            Vertices.
        """
        return self.verts

    def faces_packed(self) -> Int[Tensor, "F 3"]:
        """Return the faces of all meshes.

        Returns:
            Faces, which index `verts_packed()`.
        """
        return self.topology.faces_packed

    def edges_packed(self) -> Int[Tensor, "E 2"]:
        """Return each undirected edge once.

        Returns:
            (low, high) indices into `verts_packed()`, in lexicographic order.
        """
        return self.topology.edges

    def faces_packed_to_edges_packed(self) -> Int[Tensor, "F 3"]:
        """Return the edges of each face.

        Returns:
            Rows of `edges_packed()` that are opposite to the three vertices.
        """
        return self.topology.edges_of_faces

    def verts_packed_to_mesh_idx(self) -> Int[Tensor, " V"]:
        """Return the mesh of each vertex.

        Returns:
            Indices of meshes.
        """
        return self.topology.mesh_of_verts

    def faces_packed_to_mesh_idx(self) -> Int[Tensor, " F"]:
        """Return the mesh of each face.

        Returns:
            Indices of meshes.
        """
        return self.topology.mesh_of_faces

    def edges_packed_to_mesh_idx(self) -> Int[Tensor, " E"]:
        """Return the mesh of each edge.

        Returns:
            Indices of meshes.
        """
        return self.topology.mesh_of_edges

    def mesh_to_verts_packed_first_idx(self) -> Int[Tensor, " N"]:
        """Return where the vertices of each mesh begin.

        Returns:
            Indices into `verts_packed()`.
        """
        return self.verts_offset[:-1]

    def mesh_to_faces_packed_first_idx(self) -> Int[Tensor, " N"]:
        """Return where the faces of each mesh begin.

        Returns:
            Indices into `faces_packed()`.
        """
        return self.faces_offset[:-1]

    def num_verts_per_mesh(self) -> Int[Tensor, " N"]:
        """Return the number of vertices of each mesh.

        Returns:
            Counts.
        """
        return self.verts_offset.diff()

    def num_faces_per_mesh(self) -> Int[Tensor, " N"]:
        """Return the number of faces of each mesh.

        Returns:
            Counts.
        """
        return self.faces_offset.diff()

    def num_edges_per_mesh(self) -> Int[Tensor, " N"]:
        """Return the number of edges of each mesh.

        Returns:
            Counts.
        """
        return torch.bincount(self.topology.mesh_of_edges, minlength=len(self))

    def verts_list(self) -> list[Float[Tensor, "_ 3"]]:
        """Return the vertices of each mesh.

        Returns:
            One tensor per mesh.
        """
        return list(torch.split(self.verts, self.num_verts_per_mesh().tolist()))

    def faces_list(self) -> list[Int[Tensor, "_ 3"]]:
        """Return the faces of each mesh.

        Returns:
            One tensor per mesh, which indexes its own vertices.
        """
        return list(torch.split(self.faces, self.num_faces_per_mesh().tolist()))

    def verts_mask(self) -> Bool[Tensor, "N W"]:
        """Return which rows of `verts_padded()` are vertices.

        Returns:
            False for padding.
        """
        counts = self.num_verts_per_mesh()
        widest = int(counts.max()) if len(self) else 0
        return torch.arange(widest, device=self.device) < counts[:, None]

    def verts_padded(self) -> Float[Tensor, "N W 3"]:
        """Return the vertices of each mesh, padded with zeros to those of the largest mesh.

        Returns:
            Padded vertices.
        """
        mask = self.verts_mask()
        return self.verts.new_zeros((*mask.shape, 3)).masked_scatter(mask[..., None], self.verts)

    def faces_areas_packed(self) -> Float[Tensor, " F"]:
        """Compute the area of each face.

        Returns:
            Areas.
        """
        return face_areas_normals(self.verts, self.faces_packed())[0]

    def faces_normals_packed(self) -> Float[Tensor, "F 3"]:
        """Compute the unit normal of each face.

        Returns:
            Normals, 0 for a face without area.
        """
        return face_areas_normals(self.verts, self.faces_packed())[1]

    def verts_normals_packed(self) -> Float[Tensor, "V 3"]:
        """Compute the unit normal of each vertex, the area-weighted mean of its faces' normals.

        Returns:
            Normals, 0 for a vertex without faces.
        """
        return vertex_normals(self.verts, self.faces_packed())

    def get_bounding_boxes(self) -> Float[Tensor, "N 3 2"]:
        """Compute the axis-aligned bounding box of each mesh.

        Returns:
            (least, greatest) coordinate along each axis; (inf, -inf) for a mesh without vertices.
        """
        rows = self.topology.mesh_of_verts[:, None].expand(-1, 3)
        return torch.stack(
            [
                self.verts.new_full((len(self), 3), start).scatter_reduce(0, rows, self.verts, reduce)
                for start, reduce in ((torch.inf, "amin"), (-torch.inf, "amax"))
            ],
            dim=-1,
        )
