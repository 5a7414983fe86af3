"""Meshes and occupancy grids that cannot be right, and meshes that are not closed.

Letters: N rows of one image, V vertices and F faces of all meshes, O = N + 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.meshes import Meshes

RowFaults = Mapping[int, tuple[str, str]]
"""For each row that is wrong: the kind of fault, a phrase in the plural, and what is wrong there."""


def mesh_faults(meshes: Meshes) -> RowFaults:
    """Meshes without faces, with vertices that are not finite, with faces that name vertices which are not there."""
    verts, faces = meshes.num_verts_per_mesh(), meshes.num_faces_per_mesh()
    lost = _per_mesh(~meshes.verts.isfinite().all(dim=1), meshes.verts_offset)
    limit = verts.repeat_interleave(faces)[:, None]
    astray = _per_mesh(((meshes.faces < 0) | (meshes.faces >= limit)).any(dim=1), meshes.faces_offset)
    found: dict[int, tuple[str, str]] = {}
    for row in ((faces == 0) | (lost > 0) | (astray > 0)).nonzero()[:, 0].tolist():
        if faces[row] == 0:
            found[row] = "meshes without faces", f"it has no faces and {int(verts[row])} vertices"
        elif astray[row]:
            told = f"{int(astray[row])} of {int(faces[row])} faces name vertices beyond its {int(verts[row])}"
            found[row] = "meshes whose faces name vertices that are not there", told
        else:
            told = f"{int(lost[row])} of {int(verts[row])} vertices are not finite"
            found[row] = "meshes with vertices that are not finite", told
    return found


def open_meshes(meshes: Meshes) -> Bool[Tensor, " N"]:
    """Which meshes do not enclose a volume: some edge is not of two faces, nor of another even number of them.

    Vertices count as different even where they coincide. The meshes must be free of faults.
    """
    uses = torch.bincount(meshes.faces_packed_to_edges_packed().flatten(), minlength=len(meshes.edges_packed()))
    odd = torch.zeros(len(meshes), dtype=torch.int64, device=meshes.device)
    return odd.index_add(0, meshes.edges_packed_to_mesh_idx(), uses % 2) > 0


def voxel_faults(grids: Bool[Tensor, "N V V V"] | Float[Tensor, "N V V V"]) -> RowFaults:
    """Grids without a full cell, and with values that are no share of a cell."""
    cells = grids.flatten(1).float()
    wrong = (~((cells >= 0) & (cells <= 1))).sum(dim=1)
    found: dict[int, tuple[str, str]] = {}
    for row in ((wrong > 0) | ~cells.any(dim=1)).nonzero()[:, 0].tolist():
        if wrong[row]:
            told = f"{int(wrong[row])} of {cells.shape[1]} cells hold no number from 0 to 1"
            found[row] = "voxel grids with values that are not from 0 to 1", told
        else:
            found[row] = "empty voxel grids", f"none of its {cells.shape[1]} cells is full"
    return found


def _per_mesh(chosen: Bool[Tensor, " P"], offset: Int[Tensor, " O"]) -> Int[Tensor, " N"]:
    """How many of each mesh's vertices or faces are chosen."""
    running = torch.nn.functional.pad(chosen.long().cumsum(0), (1, 0))
    return running[offset[1:]] - running[offset[:-1]]
