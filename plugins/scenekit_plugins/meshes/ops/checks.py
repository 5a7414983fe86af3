"""What the operations refuse: one line that says what was expected and what came."""

from __future__ import annotations

import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures import Meshes


def require_shape(value: Tensor, dimensions: int, what: str, expected: str) -> None:
    """Raise unless `value` has this many dimensions."""
    if value.ndim != dimensions:
        raise InputError(f"{what} must be {expected}, got a tensor of shape {list(value.shape)}")


def require_finite(value: Tensor, what: str) -> None:
    """Raise if a number is NaN or infinite."""
    if not bool(torch.isfinite(value).all()):
        rows = int((~torch.isfinite(value)).flatten(end_dim=-2).any(dim=-1).sum())
        raise InputError(f"{what} must be finite, got NaN or infinity in {rows} of them")


def require_usable(meshes: Meshes) -> None:
    """Raise if a vertex is not finite, or a face names a vertex that its mesh does not have."""
    require_finite(meshes.verts, "vertices")
    if len(meshes.faces):
        counts = meshes.num_verts_per_mesh()[meshes.faces_packed_to_mesh_idx()][:, None]
        bad = (meshes.faces < 0) | (meshes.faces >= counts)
        if bool(bad.any()):
            row = int(bad.any(dim=1).nonzero()[0, 0])
            raise InputError(
                f"face {row} names vertices {meshes.faces[row].tolist()}, but its mesh has {int(counts[row])} vertices"
            )


def require_one_of(value: object, choices: tuple[object, ...], what: str) -> None:
    """Raise unless `value` is one of the choices."""
    if value not in choices:
        raise InputError(f"{what} must be one of {', '.join(map(repr, choices))}, got {value!r}")
