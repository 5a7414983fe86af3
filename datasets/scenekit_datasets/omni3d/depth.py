"""Depth images beside the color images of SUN RGB-D.

Letters: H W pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.structures.geometry import Size

FOLDERS = ("depth_bfx", "depth")
"""Folders of depth images beside the folder `image`: holes filled by the authors, and as measured."""

FARTHEST = 8.0
"""Depth beyond it is not measured, in metres: the authors' toolbox cuts it off there."""


def depth_file(image: Path) -> Path | None:
    """Return the depth image of a color image in SUN RGB-D's layout.

    Args:
        image: The color image, in a folder `image`.

    Returns:
        The file in a folder beside it; None where there is none.
    """
    if image.parent.name != "image":
        return None
    for folder in FOLDERS:
        if files := sorted((image.parent.parent / folder).glob("*.png")):
            return files[0]
    return None


def read_depth(path: Path, size: Size) -> Float[Tensor, "H W"]:
    """Read a depth image: 16 bits, millimetres whose lowest three bits are stored as the highest.

    Args:
        path: The file.
        size: (height, width) of the color image, in pixels.

    Returns:
        Metres, NaN where unknown.

    Raises:
        InputError: If the file cannot be read, or has another size.
    """
    try:
        with Image.open(path) as stored:
            values = np.asarray(stored).astype(np.uint16)
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise InputError(f"{path}: cannot be read as a depth image ({one_line(error)}); download it again") from None
    if values.shape != size:
        raise InputError(f"{path} has {list(values.shape)} pixels, and its image {list(size)}; omit depth with keys=")
    millimetres = (values >> 3) | (values << 13)
    metres = torch.from_numpy(millimetres.astype(np.float32) / 1000)
    return metres.masked_fill((metres == 0) | (metres > FARTHEST), torch.nan)
