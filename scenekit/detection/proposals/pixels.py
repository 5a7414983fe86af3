"""The pixels of the images of a batch, as they were before they were normalized."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor

from scenekit.recipe import InputConfig
from scenekit.structures.images import ImageBatch


def image_pixels(images: ImageBatch, index: int, config: InputConfig) -> UInt8[Tensor, "3 h w"]:
    """Return an image of a batch, without its padding, as RGB values of eight bits.

    Args:
        images: The batch.
        index: Index of the image in it.
        config: How the images were normalized.

    Returns:
        The image in network pixels, on the CPU. In half precision values may be off by one.
    """
    height, width = images.sizes[index]
    image = images.pixels[index, :, :height, :width].detach().cpu().float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config.mean, config.std))
    channels = ((image * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return (channels.flip(0) if config.bgr else channels).contiguous()
