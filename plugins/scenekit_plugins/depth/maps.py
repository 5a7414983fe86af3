"""Depth maps of an image.

Letters: H W pixels, C channels, h w resized.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from scenekit.config import Config
from scenekit.errors import InputError, warn_once
from scenekit.fields.maps import transform_map
from scenekit.hooks import InputImage
from scenekit.structures import Geometry
from scenekit_plugins.depth.files import load_array

_log = logging.getLogger(__name__)

MILLIMETRES = 0.001
"""Metres in a unit of most depth cameras' files."""

LIKE_MILLIMETRES = (500.0, 10_000.0)
"""Medians that depth in millimetres has, and depth in metres does not."""


class DepthOptions(Config):
    """Options of depth maps."""

    scale: float | None = Field(default=None, gt=0)
    """Metres in a unit of the values; if null, floats are metres, and integers need it."""


def read_depth(value: Any, options: DepthOptions, image: InputImage) -> Float[Tensor, "1 H W"]:
    """Read a depth map that is aligned with its image.

    Args:
        value: Array or tensor [H W] (or with one channel), or a file: 16-bit PNG or TIFF, or .npy.
        options: The unit of its values.
        image: The image.

    Returns:
        Metres along the optical axis, NaN where unknown.

    Raises:
        InputError: It has another size than the image, values that cannot be depth, or another unit.
    """
    values = load_array(value, "depth", image)
    if values.dim() == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values.squeeze(0 if values.shape[0] == 1 else -1)
    if tuple(values.shape) != image.size:
        height, width = image.size
        shape = " x ".join(map(str, values.shape))
        raise InputError(
            f"{image.name}: depth has {shape} pixels and the image {height} x {width}; align depth with the image,"
            " or resize it by nearest neighbor"
        )
    depth = values.float() * _scale(values, options, image)
    nothing = values == 0
    return _checked(depth.masked_fill(nothing, torch.nan), image)[None]


def _scale(values: Tensor, options: DepthOptions, image: InputImage) -> float:
    """Return the metres of a unit; InputError where it is not stated and not metres."""
    scale = 1.0 if options.scale is None else options.scale
    known = values[values > 0].float()
    known = known[known.isfinite()]
    middle = float(known.median()) if len(known) else 0.0
    low, high = LIKE_MILLIMETRES
    if low <= middle * scale <= high:
        raise InputError(
            f"{image.name}: depth has a median of {middle * scale:.0f} and should be metres; it looks like millimetres,"
            f" pass depth_scale={MILLIMETRES}"
        )
    if options.scale is None and not values.is_floating_point() and middle:
        raise InputError(
            f"{image.name}: depth in whole numbers (median {middle:.0f}) needs its unit; pass depth_scale, the metres"
            f" in a unit: {MILLIMETRES} for millimetres"
        )
    return scale


def _checked(depth: Float[Tensor, "H W"], image: InputImage) -> Float[Tensor, "H W"]:
    for kind, where in (("infinite", depth.isinf()), ("negative", depth < 0)):
        if bool(where.any()):
            raise InputError(
                f"{image.name}: depth is {kind} at {int(where.sum())} of {depth.numel()} pixels; expected metres above"
                " 0, and 0 or NaN for none"
            )
    if bool(depth.isnan().all()):
        warn_once(_log, f"{image.name}: depth has no value at any pixel; the prediction is that without depth")
    return depth


def resized_depth(depth: Float[Tensor, "C _ _"], geometry: Geometry) -> Float[Tensor, "C h w"]:
    """Move depth with its image.

    Each pixel gets the nearest value; where that is none, the least of the pixels that it covers, so that scattered
    points are not lost where an image becomes smaller.

    Args:
        depth: Metres, NaN for none.
        geometry: The change, in pixels of the image.

    Returns:
        Depth of the resulting image.
    """
    nearest = torch.stack([transform_map(layer, geometry) for layer in depth])
    x0, y0, x1, y1 = geometry.window
    cut = depth[:, y0:y1, x0:x1]
    holes: Bool[Tensor, "C h w"] = nearest.isnan()
    if min(geometry.scale) >= 1 or not bool(holes.any()):
        return nearest
    least = -F.adaptive_max_pool2d(-cut.nan_to_num(nan=torch.inf), geometry.size)
    least = least.flip(-1) if geometry.mirrored else least
    return torch.where(holes & least.isfinite(), least, nearest)
