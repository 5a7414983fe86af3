"""A batch of images as the network reads it."""

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
    """Normalized images, padded at the right and bottom to one size."""

    pixels: Float[Tensor, "B 3 H W"]
    """Normalized pixels."""
    sizes: tuple[Size, ...]
    """(height, width) of each image without the padding, in network pixels."""
    original_sizes: tuple[Size, ...]
    """(height, width) of each image before resizing."""
    cameras: tuple[Camera | None, ...] | None = None
    """Cameras in network pixels, None for images without one."""
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    """Further modalities by name, such as depth [B 1 H W]."""
    seeds: tuple[int, ...] | None = None
    """Seed of each image, from which all its sampling is drawn."""

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def padded_size(self) -> Size:
        """(H, W) of the pixels, padding included."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[3])

    def camera(self, index: int) -> Camera:
        """Return the camera of an image, or the assumed one where the image has none.

        Args:
            index: Index of the image in the batch.

        Returns:
            The camera in network pixels.
        """
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
        """Which images have a camera of their own."""
        known = [self.cameras is not None and self.cameras[index] is not None for index in range(len(self))]
        return torch.tensor(known, dtype=torch.bool, device=self.pixels.device)

    def to_original(self, index: int) -> Geometry:
        """Return the geometry that leads from network pixels to those of the original image.

        Args:
            index: Index of the image in the batch.

        Returns:
            A resize.
        """
        return Geometry.resize(self.sizes[index], self.original_sizes[index])

    def part(self, images: Sequence[int], size: Size) -> ImageBatch:
        """Select images and crop their padding.

        Args:
            images: The images, by their places in the batch.
            size: Height and width of the padded result, in pixels.

        Returns:
            The batch of these images; this one where nothing changes.
        """
        if size == self.padded_size and tuple(images) == tuple(range(len(self))):
            return self
        rows, whole = list(images), self.padded_size
        cropped = {
            name: value[rows][..., : size[0], : size[1]] if tuple(value.shape[-2:]) == whole else value[rows]
            for name, value in self.inputs.items()
        }
        return ImageBatch(
            pixels=self.pixels[rows][..., : size[0], : size[1]].contiguous(),
            sizes=tuple(self.sizes[image] for image in images),
            original_sizes=tuple(self.original_sizes[image] for image in images),
            cameras=None if self.cameras is None else tuple(self.cameras[image] for image in images),
            inputs=cropped,
            seeds=None if self.seeds is None else tuple(self.seeds[image] for image in images),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ImageBatch:
        """Move the batch to another device.

        Args:
            device: The device.
            dtype: Type of the pixels; by default it stays.

        Returns:
            The batch on that device.
        """
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return replace(self, pixels=self.pixels.to(device, dtype), inputs=inputs)


def pad_batch(images: Sequence[Float[Tensor, "C _ _"]], divisor: int) -> Float[Tensor, "B C H W"]:
    """Stack images of different sizes, padded with zeros at the right and bottom.

    Args:
        images: Images with the same number of channels.
        divisor: The padded height and width are multiples of it.

    Returns:
        The padded images.
    """
    height, width = (max(int(image.shape[axis]) for image in images) for axis in (1, 2))
    height, width = (-(-side // divisor) * divisor for side in (height, width))
    batch = images[0].new_zeros((len(images), images[0].shape[0], height, width))
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return batch
