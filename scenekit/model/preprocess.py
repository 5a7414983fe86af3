"""From images of any size to what the network sees; the same for training and inference.

Letters: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.io.images import Pixels
from scenekit.recipe import InputConfig
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.images import ImageBatch, pad_batch


def resized(source: Size, config: InputConfig, factor: float = 1.0) -> Size:
    """Return the network size of an image: shorter side `min_size`, longer side at most `max_size`, or `fixed_size`.

    Args:
        source: (height, width) of the image, in pixels.
        config: The limits.
        factor: What these sizes are multiplied by.

    Returns:
        (height, width) in pixels, at least 1 each.
    """
    if config.fixed_size is not None:
        height, width = (max(1, round(side * factor)) for side in config.fixed_size)
        return height, width
    scale = min(config.min_size * factor / min(source), config.max_size * factor / max(source))
    rounding = 0.5 if config.resampling == "antialiased" else 0.0
    height, width = (max(1, int(side * scale + rounding)) for side in source)
    return height, width


def resize(image: Pixels, size: Size, antialias: bool = True) -> Pixels:
    """Resize an image bilinearly.

    Args:
        image: Values in 0..255.
        size: (height, width) in pixels.
        antialias: Whether a result pixel averages what it covers.

    Returns:
        The image, of the same type.
    """
    if tuple(image.shape[1:]) == size:
        return image
    bilinear = tv.InterpolationMode.BILINEAR
    return torch.as_tensor(tv.resize(image, list(size), interpolation=bilinear, antialias=antialias))


def normalize(image: Pixels, config: InputConfig) -> Float[Tensor, "3 _ _"]:
    """Compute (value / 255 - mean) / std per channel, in BGR order where the configuration says so.

    Args:
        image: RGB values in 0..255.
        config: `mean` and `std`, in the order of the channels that the network gets.

    Returns:
        The normalized image.
    """
    channels = image.flip(0) if config.bgr else image
    mean, std = (torch.tensor(values, device=image.device).view(3, 1, 1) for values in (config.mean, config.std))
    return (channels.float() / 255 - mean) / std


def make_batch(
    images: Sequence[Pixels],
    config: InputConfig,
    *,
    cameras: Sequence[Camera | None] | None = None,
    original_sizes: Sequence[Size] | None = None,
    seeds: Sequence[int] | None = None,
) -> ImageBatch:
    """Resize, normalize and pad images into one batch.

    Args:
        images: RGB values in 0..255.
        config: How images enter the network.
        cameras: Cameras in pixels of the images, where they are known.
        original_sizes: (height, width) that results are in; by default those of the images.
        seeds: One number per image, from which its regions are sampled.

    Returns:
        The batch.

    Raises:
        InputError: Cameras are relative to the size of the images.
    """
    sizes = [resized(_size(image), config) for image in images]
    if cameras is not None:
        for camera, image in zip(cameras, images, strict=True):
            if camera is not None:
                camera.check(_size(image))
        cameras = [
            None if camera is None else camera.transformed(Geometry.resize(_size(image), size))
            for camera, image, size in zip(cameras, images, sizes, strict=True)
        ]
    if config.resampling == "plain":  # without averaging there is no rounding to eight bits either
        images = [image.float() for image in images]
    antialias = config.resampling == "antialiased"
    small = [resize(image, size, antialias) for image, size in zip(images, sizes, strict=True)]
    return pack(small, config, cameras=cameras, original_sizes=original_sizes or list(map(_size, images)), seeds=seeds)


def pack(
    images: Sequence[Pixels],
    config: InputConfig,
    *,
    cameras: Sequence[Camera | None] | None = None,
    original_sizes: Sequence[Size] | None = None,
    seeds: Sequence[int] | None = None,
) -> ImageBatch:
    """Normalize and pad images of network size into one batch.

    Zeros fill up after normalizing, so that padding looks like the mean color.

    Args:
        images: RGB values in 0..255.
        config: How images enter the network.
        cameras: Cameras in pixels of the images, where they are known.
        original_sizes: (height, width) that results are in; by default those of the images.
        seeds: One number per image, from which its regions are sampled.

    Returns:
        The batch.
    """
    sizes = tuple(map(_size, images))
    return ImageBatch(
        pixels=pad_batch([normalize(image, config) for image in images], config.divisor),
        sizes=sizes,
        original_sizes=sizes if original_sizes is None else tuple(original_sizes),
        cameras=None if cameras is None else tuple(cameras),
        seeds=None if seeds is None else tuple(seeds),
        divisor=config.divisor,
    )


def _size(image: Tensor) -> Size:
    return int(image.shape[1]), int(image.shape[2])
