"""Mesh R-CNN's own numbers, brought to our conventions."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenekit.structures import Meshes

FOLDER = Path(__file__).parents[2] / "reference" / "mesh3d"
TURN = torch.tensor([-1.0, -1.0, 1.0])
"""Between their camera frame, x left and y up, and ours."""


@cache
def numbers(name: str) -> dict[str, Any]:
    """All arrays of a file as tensors, and `meta`."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        loaded = {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "meta"}
        return {**loaded, "meta": json.loads(str(arrays["meta"]))}


def case(name: str, which: str) -> dict[str, Tensor]:
    """The arrays of one case."""
    return {key.removeprefix(f"{which}/"): value for key, value in numbers(name).items() if key.startswith(f"{which}/")}


def meshes_of(arrays: dict[str, Tensor], prefix: str = "", verts: str = "verts") -> Meshes:
    """Packed meshes under their names."""
    offsets = [
        torch.cat((torch.zeros(1, dtype=torch.int64), arrays[f"{prefix}num_{what}"].cumsum(0)))
        for what in ("verts", "faces")
    ]
    return Meshes(arrays[f"{prefix}{verts}"], arrays[f"{prefix}faces"].long(), *offsets)


def ruled(name: str, shape: tuple[int, ...], scale: float = 0.02) -> Tensor:
    """The values that the rule of the reference gives a parameter (or, with its scale, an input) of that name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy((generator.standard_normal(shape) * scale).astype(np.float32))


def camera_of(K: Tensor) -> Tensor:
    """Our intrinsics [N 3 3] of their (f, px, py): u = W - 1 - (f X / Z + px), where W = 2 px."""
    matrix = torch.eye(3).repeat(len(K), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = K[:, 0]
    matrix[:, :2, 2] = K[:, 1:] - 1
    return matrix
