"""A batch of images as the network sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Geometry, Size


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Normalized images, padded at the right and bottom to one size.

    `pixels` [B 3 H W]; `sizes` (height, width) of each image inside the padding, in network pixels;
    `original_sizes` before resizing; `cameras` in network pixels, None where none is known; `inputs` holds further
    modalities by name (such as depth [B 1 H W]); `seeds` one number per image from which all sampling of that image
    is drawn.
    """

    pixels: Float[Tensor, "B 3 H W"]
    sizes: tuple[Size, ...]
    original_sizes: tuple[Size, ...]
    cameras: tuple[Camera | None, ...] | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def padded_size(self) -> Size:
        """(H, W) of the pixels, padding included."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[3])

    def camera(self, index: int) -> Camera:
        """The camera of image `index`, in network pixels; the assumed one where none came with the image."""
        known = None if self.cameras is None else self.cameras[index]
        if known is not None:
            return known
        source = self.original_sizes[index]
        return Camera.default(*source).transformed(Geometry.resize(source, self.sizes[index]))

    @property
    def intrinsics(self) -> Float[Tensor, "B 3 3"]:
        """K of each `camera`, on the device of the pixels."""
        matrices = [self.camera(index).matrix for index in range(len(self))]
        return torch.stack(matrices).to(self.pixels.device, torch.float32)

    @property
    def has_camera(self) -> Bool[Tensor, " B"]:
        """Which images came with a camera."""
        known = [self.cameras is not None and self.cameras[index] is not None for index in range(len(self))]
        return torch.tensor(known, dtype=torch.bool, device=self.pixels.device)

    def to_original(self, index: int) -> Geometry:
        """From network pixels of image `index` to those of the original."""
        return Geometry.resize(self.sizes[index], self.original_sizes[index])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ImageBatch:
        """The same batch on another device; `dtype` applies to the pixels."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return replace(self, pixels=self.pixels.to(device, dtype), inputs=inputs)


def pad_batch(images: Sequence[Float[Tensor, "C _ _"]], divisor: int, value: float = 0.0) -> Float[Tensor, "B C H W"]:
    """Stack images of different sizes, padded at the right and bottom to a common multiple of `divisor`."""
    height, width = (max(int(image.shape[axis]) for image in images) for axis in (1, 2))
    height, width = (-(-side // divisor) * divisor for side in (height, width))
    batch = images[0].new_full((len(images), images[0].shape[0], height, width), value)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return batch
