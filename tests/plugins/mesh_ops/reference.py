"""What pytorch3d gave, and meshes made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenekit.structures import Meshes

FOLDER = Path(__file__).parents[2] / "reference" / "mesh3d"


def load(name: str) -> dict[str, Tensor]:
    """All arrays of one file by `case/array`."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if key != "meta"}


def cases(arrays: dict[str, Tensor], start: str) -> list[str]:
    """The names of the cases that begin like this."""
    return sorted({key.partition("/")[0] for key in arrays if key.startswith(start)})


def packed(verts: Tensor, faces: Tensor, num_verts: Tensor, num_faces: Tensor) -> Meshes:
    """Meshes of packed vertices and faces, and how many of them each has."""
    offsets = [torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0))) for counts in (num_verts, num_faces)]
    return Meshes(verts, faces, *offsets)


def meshes_of(arrays: dict[str, Tensor], case: str) -> Meshes:
    """The meshes of a case, whose vertices ask for gradients."""
    verts, *rest = (arrays[f"{case}/{name}"] for name in ("verts", "faces", "num_verts", "num_faces"))
    return packed(verts.clone().requires_grad_(), *rest)


def options(case: str) -> dict[str, str]:
    """`b=1,c=2` after the first bar of a case's name."""
    return dict(pair.split("=") for pair in case.partition("|")[2].split(","))
