"""From images of any size to what the network sees; the same for training and inference.

Letters: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.io.images import Pixels
from scenekit.model.modalities import Maps, moved_maps, pack_maps
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
    if config.crop is not None and scale * min(source) >= config.min_size * factor - 0.5:
        shorter = int(config.min_size * factor)  # as torchvision's `Resize`, without an error of rounding
        height, width = (max(1, shorter * side // min(source)) for side in source)
        return height, width
    rounding = 0.0 if config.resampling == "plain" else 0.5
    height, width = (max(1, int(side * scale + rounding)) for side in source)
    return height, width


def centre_window(size: Size, crop: int) -> tuple[int, int, int, int]:
    """Return the square in the middle of an image, cut off where the image is smaller.

    Args:
        size: (height, width) of the image, in pixels.
        crop: Side of the square, in pixels.

    Returns:
        x0, y0, x1, y1 in pixels, half-open.
    """
    top, left = (round((side - crop) / 2) if side > crop else 0 for side in size)
    return left, top, left + min(crop, size[1]), top + min(crop, size[0])


def resize(image: Pixels, size: Size, resampling: str = "antialiased") -> Pixels:
    """Resize an image.

    Args:
        image: Values in 0..255.
        size: (height, width) in pixels.
        resampling: As `InputConfig.resampling`.

    Returns:
        The image, of the same type.
    """
    if tuple(image.shape[1:]) == size:
        return image
    mode = tv.InterpolationMode.BICUBIC if resampling == "bicubic" else tv.InterpolationMode.BILINEAR
    return torch.as_tensor(tv.resize(image, list(size), interpolation=mode, antialias=resampling != "plain"))


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
    inputs: Sequence[Maps] | None = None,
) -> ImageBatch:
    """Resize, normalize and pad images into one batch.

    Args:
        images: RGB values in 0..255.
        config: How images enter the network.
        cameras: Cameras in pixels of the images, where they are known.
        original_sizes: (height, width) that results are in; by default those of the images.
        seeds: One number per image, from which its regions are sampled.
        inputs: Maps in pixels of the images, of modalities that they come with.

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
    small = [resize(image, size, config.resampling) for image, size in zip(images, sizes, strict=True)]
    originals = original_sizes or list(map(_size, images))
    if inputs is not None:
        resizes = (Geometry.resize(_size(image), size) for image, size in zip(images, sizes, strict=True))
        inputs = [moved_maps(maps, resize) for maps, resize in zip(inputs, resizes, strict=True)]
    if config.crop is None:
        return pack(small, config, cameras=cameras, original_sizes=originals, seeds=seeds, inputs=inputs)
    windows = [centre_window(size, config.crop) for size in sizes]
    cut = [image[:, y0:y1, x0:x1] for image, (x0, y0, x1, y1) in zip(small, windows, strict=True)]
    if cameras is not None:
        cameras = [
            None if camera is None else camera.transformed(Geometry.crop(size, window))
            for camera, size, window in zip(cameras, sizes, windows, strict=True)
        ]
    if inputs is not None:
        crops = map(Geometry.crop, sizes, windows)
        inputs = [moved_maps(maps, crop) for maps, crop in zip(inputs, crops, strict=True)]
    batch = pack(cut, config, cameras=cameras, original_sizes=originals, seeds=seeds, inputs=inputs)
    # Where the whole image lies, seen from the crop.
    wholes = tuple((-x0, -y0, w - x0, h - y0) for (h, w), (x0, y0, _, _) in zip(sizes, windows, strict=True))
    return replace(batch, wholes=wholes)


def pack(
    images: Sequence[Pixels],
    config: InputConfig,
    *,
    cameras: Sequence[Camera | None] | None = None,
    original_sizes: Sequence[Size] | None = None,
    seeds: Sequence[int] | None = None,
    inputs: Sequence[Maps] | None = None,
    names: Collection[str] | None = None,
) -> ImageBatch:
    """Normalize and pad images of network size into one batch.

    Zeros fill up after normalizing, so that padding looks like the mean color.

    Args:
        images: RGB values in 0..255.
        config: How images enter the network.
        cameras: Cameras in pixels of the images, where they are known.
        original_sizes: (height, width) that results are in; by default those of the images.
        seeds: One number per image, from which its regions are sampled.
        inputs: Maps of network size, of modalities that the images come with.
        names: The modalities to pack; by default those that some image has.

    Returns:
        The batch.
    """
    sizes = tuple(map(_size, images))
    pixels = pad_batch([normalize(image, config) for image in images], config.divisor)
    return ImageBatch(
        pixels=pixels,
        inputs={} if inputs is None else pack_maps(inputs, _size(pixels[0]), names),
        sizes=sizes,
        original_sizes=sizes if original_sizes is None else tuple(original_sizes),
        cameras=None if cameras is None else tuple(cameras),
        seeds=None if seeds is None else tuple(seeds),
        divisor=config.divisor,
    )


def _size(image: Tensor) -> Size:
    return int(image.shape[1]), int(image.shape[2])
