"""Arrays of depth and points, from memory or files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.hooks import InputImage

EXPECTED = "an array or tensor, or the path of a file"


SCAN_COLUMNS = 4
"""Numbers of a point in a .bin file, as KITTI has them: x, y, z and reflectance as float32."""


def load_array(value: Any, what: str, image: InputImage) -> Tensor:
    """Return numbers that an image comes with.

    Args:
        value: Array or tensor, a PIL image, or the path of a file.
        what: What it is, for messages.
        image: The image.

    Returns:
        Float32, float64, or int64.

    Raises:
        InputError: The file cannot be read, or it is no array of numbers.
    """
    title = f"{image.name}: {what}"
    if isinstance(value, str | os.PathLike):
        title = f"{what} {os.fspath(value)}"
        value = _from_file(Path(value), title)
    if isinstance(value, Image.Image):
        value = np.asarray(value)
    if isinstance(value, Tensor):
        own: Tensor = value.detach().cpu()
        return own if own.is_floating_point() else own.to(torch.int64)
    if not isinstance(value, np.ndarray):
        raise InputError(f"{title}: expected {EXPECTED}, got {type(value).__name__}")
    if value.dtype.kind not in "uif":
        raise InputError(f"{title}: expected numbers, got an array of {value.dtype}")
    kind = np.int64 if value.dtype.kind in "ui" else np.float64 if value.dtype == np.float64 else np.float32
    return torch.from_numpy(value.astype(kind))


def _from_file(path: Path, title: str) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{title}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _opened(path)
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise InputError(f"{title}: cannot be read ({one_line(error)}); expected PNG or TIFF, .npy, or .bin") from None


def _opened(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        array: np.ndarray = np.load(path, allow_pickle=False)
        return array
    if path.suffix.lower() == ".bin":
        return np.fromfile(path, dtype="<f4").reshape(-1, SCAN_COLUMNS)
    with Image.open(path) as stored:
        if len(stored.getbands()) > 1:
            raise ValueError(f"it is an image of {len(stored.getbands())} channels; depth has one of 16 bits")
        return np.asarray(stored)
