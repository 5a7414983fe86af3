"""Models and their poses, converted to our frames.

Pix3D's camera frame has x left, y up, z forward; ours is rotated by 180 degrees about z. Models have y up and face -z.
Letters: V cells along the side of a grid, n those of the file along one dimension.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.io.mesh_files import load_mesh
from scenekit.structures import Boxes3D, Meshes
from scenekit.structures.voxels import voxelize, with_thin_parts

OURS_FROM_THEIRS = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
"""Rotation between the camera frames."""

MODEL_FROM_BOX = torch.tensor([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)
"""The box faces the model's -z, has down along its -y, and its width along -x."""

KEPT = 128
"""Models in memory: Pix3D has 395, each in 25 images on average."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model in its own frame."""

    mesh: Meshes
    """Its mesh."""
    box: Boxes3D
    """Its box."""
    voxels: Bool[Tensor, "1 V V V"]
    """Its occupancy of the box."""


@functools.lru_cache(maxsize=KEPT)
def load_model(path: Path, voxels: Path | None, side: int) -> Model:
    """Load a model and its occupancy grid.

    Args:
        path: The mesh file.
        voxels: The file of its grid; None to voxelize the mesh.
        side: Cells along each side of the grid.

    Returns:
        The model.

    Raises:
        InputError: If a file is damaged; the message names it.
    """
    mesh = load_mesh(path)
    low, high = mesh.verts.amin(dim=0), mesh.verts.amax(dim=0)
    # Width, height and length of the box are along the model's x, y and z.
    box = Boxes3D(((low + high) / 2)[None], (high - low)[None], MODEL_FROM_BOX.float()[None])
    grid = voxelize(mesh, box, side) if voxels is None else with_thin_parts(read_grid(voxels, side)[None], mesh, box)
    return Model(mesh, box, grid)


def in_camera(model: Model, rotation: Float[Tensor, "3 3"], translation: Float[Tensor, " 3"]) -> tuple[Meshes, Boxes3D]:
    """Transform a model to our camera frame.

    Args:
        model: The model.
        rotation: Rotation in Pix3D's convention.
        translation: Translation in Pix3D's convention.

    Returns:
        (mesh, 3D box).
    """
    turn, shift = (OURS_FROM_THEIRS @ part for part in (rotation, translation))
    center = model.box.center.double() @ turn.T + shift
    placed = Boxes3D(center.float(), model.box.size, (turn @ MODEL_FROM_BOX).float()[None])
    return model.mesh.with_verts((model.mesh.verts.double() @ turn.T + shift).float()), placed


def read_grid(path: Path, side: int) -> Bool[Tensor, "V V V"]:
    """Read voxel.mat as a grid along width, height and length of the model's box.

    Dimensions of the file are along the model's x, -z and y. The occupied block is scaled to the box; a cell is full
    where at least half of it is occupied.

    Args:
        path: The file.
        side: Cells along each side of the grid.

    Returns:
        The occupancy.

    Raises:
        InputError: If the file is damaged or empty.
    """
    try:
        grid = scipy.io.loadmat(path)["voxel"]
    except KeyError:
        raise InputError(f"{path} has no variable 'voxel', as the files of Pix3D have") from None
    except Exception as error:  # scipy raises errors of many types
        raise InputError(f"{path} cannot be read as a MATLAB file: {one_line(error)}") from None
    if grid.ndim != 3:
        raise InputError(f"{path}: expected a grid of three dimensions, got shape {list(grid.shape)}")
    filled = grid[::-1, :, ::-1].transpose(0, 2, 1) > 0
    if not filled.any():
        raise InputError(f"{path}: its voxel grid is empty")
    occupied = tuple(slice(int(places.min()), int(places.max()) + 1) for places in filled.nonzero())
    share = filled[occupied].astype(np.float32)
    for _ in range(3):  # each time the dimension in front goes to the end
        share = np.tensordot(share, _overlaps(len(share), side), axes=(0, 1))
    return torch.from_numpy(share >= 0.5)


def _overlaps(count: int, side: int) -> Float[np.ndarray, "V n"]:
    """Return the part of each of `side` cells along an axis that each of `count` cells of the same length covers."""
    edges = np.arange(side)[:, None] * (count / side)
    cells = np.arange(count)
    shared = (np.minimum(edges + count / side, cells + 1) - np.maximum(edges, cells)).clip(min=0)
    out: Float[np.ndarray, "V n"] = (shared * (side / count)).astype(np.float32)
    return out
