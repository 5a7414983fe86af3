"""A batch of images as the network reads it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Geometry, Size


@dataclass(frozen=True)
class ImageOrigin:
    """Which image one of a batch is, and how it was changed on the way there."""

    geometry: Geometry
    """From the pixels of the image as it is stored to network pixels."""
    id: int | None = None
    """Its id within its data set; None for an image of no data set."""
    path: str | None = None
    """Its file, where it has one."""

    def __str__(self) -> str:
        names = [] if self.id is None else [f"id {self.id}"]
        names += [] if self.path is None else [self.path]
        return f"image ({', '.join(names)})" if names else "an image without a name"


@dataclass(frozen=True)
class ClipFrames:
    """Consecutive images of a batch that are the frames of one clip."""

    first: int
    """Place of the first frame in the batch."""
    times: tuple[float, ...]
    """Seconds of each frame on the clock of the clip, in order."""

    def __post_init__(self) -> None:
        if not self.times or any(after <= before for before, after in pairwise(self.times)):
            raise InputError("a clip has at least one frame, and the times of its frames rise")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def places(self) -> slice:
        """The places of the frames in the batch."""
        return slice(self.first, self.first + len(self.times))


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
    """Further modalities by name, such as depth [B 1 H W]; NaN where an image has nothing, and in the padding."""
    seeds: tuple[int, ...] | None = None
    """Seed of each image, from which all its sampling is drawn."""
    divisor: int = 32
    """Multiples of it are what the sides of an image are padded to on its own, in pixels."""
    origins: tuple[ImageOrigin, ...] | None = None
    """Which image each one is; None where that is unknown."""
    wholes: tuple[tuple[int, int, int, int], ...] | None = None
    """Of cropped images, where the whole image lies: x0, y0, x1, y1 in pixels of the crop; None without crops."""
    clips: tuple[ClipFrames, ...] | None = None
    """Which images are the frames of clips; None where that is unknown, as in a part of a batch."""

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
        if self.wholes is None:
            return Camera.default(*source).transformed(Geometry.resize(source, self.sizes[index]))
        x0, y0, x1, y1 = self.wholes[index]
        height, width = self.sizes[index]
        whole = Geometry.resize(source, (y1 - y0, x1 - x0))
        return (
            Camera.default(*source)
            .transformed(whole)
            .transformed(Geometry.crop(whole.size, (-x0, -y0, width - x0, height - y0)))
        )

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
            A resize; of a cropped image, its window reaches beyond the crop.
        """
        if self.wholes is not None:
            return Geometry(self.sizes[index], self.wholes[index], self.original_sizes[index])
        return Geometry.resize(self.sizes[index], self.original_sizes[index])

    def named(self, paths: Sequence[str | None], ids: Sequence[int | None] | None = None) -> ImageBatch:
        """Return the batch with the names of images that were resized alone.

        Args:
            paths: The file of each image, None where it has none.
            ids: Their ids within their data set.

        Returns:
            The batch.
        """
        resizes = map(Geometry.resize, self.original_sizes, self.sizes)
        names = zip(resizes, ids or [None] * len(self), paths, strict=True)
        return replace(self, origins=tuple(ImageOrigin(*parts) for parts in names))

    @property
    def groups(self) -> dict[Size, tuple[int, ...]]:
        """Images by the (height, width) that each would be padded to on its own, at most `padded_size`."""
        groups: dict[Size, tuple[int, ...]] = {}
        for image, size in enumerate(self.sizes):
            height, width = (
                min(-(-side // self.divisor) * self.divisor, most)
                for side, most in zip(size, self.padded_size, strict=True)
            )
            groups[height, width] = (*groups.get((height, width), ()), image)
        return groups

    def without_pixels(self) -> ImageBatch:
        """Return the batch without its pixels and inputs, for steps that read what others made of them.

        Returns:
            The batch with pixels [B 3 0 0].
        """
        return replace(self, pixels=self.pixels.new_zeros((len(self), 3, 0, 0)), inputs={})

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
            divisor=self.divisor,
            origins=None if self.origins is None else tuple(self.origins[image] for image in images),
            wholes=None if self.wholes is None else tuple(self.wholes[image] for image in images),
        )

    @staticmethod
    def cat(batches: Sequence[ImageBatch]) -> ImageBatch:
        """Concatenate batches of one padded size and divisor.

        Images without an input that others have get NaN. Of cameras, seeds, origins and wholes those are kept that
        every batch has.

        Args:
            batches: Batches, at least one.

        Returns:
            All images in order.

        Raises:
            InputError: Padded sizes or divisors differ.
        """
        if len(batches) == 1:
            return batches[0]
        for what, of in _ALIKE.items():
            if len(found := dict.fromkeys(map(of, batches))) > 1:
                raise InputError(f"expected batches of one {what}, got {', '.join(map(str, found))}")
        names = ("sizes", "original_sizes", "cameras", "seeds", "origins", "wholes")
        columns = {name: [getattr(batch, name) for batch in batches] for name in names}
        joined: dict[str, Any] = {
            name: None if any(part is None for part in column) else tuple(chain.from_iterable(column))
            for name, column in columns.items()
        }
        return ImageBatch(
            pixels=torch.cat([batch.pixels for batch in batches]),
            inputs={
                name: _with_absent(batches, name) for name in sorted({n for batch in batches for n in batch.inputs})
            },
            divisor=batches[0].divisor,
            **joined,
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


_ALIKE: Mapping[str, Callable[[ImageBatch], Hashable]] = {
    "padded size": lambda batch: batch.padded_size,
    "divisor": lambda batch: batch.divisor,
}
"""What batches must share to be concatenated."""


def _with_absent(batches: Sequence[ImageBatch], name: str) -> Float[Tensor, "B C H W"]:
    """Concatenate an input of several batches; NaN for those without it."""
    like = next(batch.inputs[name] for batch in batches if name in batch.inputs)
    absent = (like.new_full((len(batch), *like.shape[1:]), torch.nan) for batch in batches)
    return torch.cat([batch.inputs.get(name, blank) for batch, blank in zip(batches, absent, strict=True)])


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


def by_size(
    function: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    maps: Sequence[Float[Tensor, "B _ _ _"]],
    images: ImageBatch,
) -> tuple[Float[Tensor, "B _ _ _"], ...]:
    """Apply a network to the maps of images of each padded size, so that it does not see the padding of the batch.

    ```python
    (logits,) = by_size(lambda levels: [self.net(levels[0])], board[sk.FEATURES].maps, board.images)
    ```

    Args:
        function: The network, from maps to maps.
        maps: Maps of the whole batch; each spans the padded images.
        images: The batch.

    Returns:
        The maps of the whole batch, padded with zeros.
    """
    if torch.compiler.is_exporting() or set(images.groups) == {images.padded_size}:  # a program is for one size
        return tuple(function(maps))
    parts = [
        function([cropped(level[list(rows)], size, images.padded_size) for level in maps])
        for size, rows in images.groups.items()
    ]
    order = torch.tensor([row for rows in images.groups.values() for row in rows]).argsort()
    return tuple(stacked(level)[order.to(level[0].device)] for level in zip(*parts, strict=True))


def cropped(maps: Float[Tensor, "B C _ _"], size: Size, padded: Size) -> Float[Tensor, "B C _ _"]:
    """Crop maps to the share that a part of the padded images has.

    Args:
        maps: Maps that span the padded images.
        size: (height, width) of the part, in pixels.
        padded: (height, width) of the padded images, in pixels.

    Returns:
        The maps of the part.
    """
    h, w = (-(-cells * own // whole) for cells, own, whole in zip(maps.shape[2:], size, padded, strict=True))
    return maps[:, :, :h, :w]


def stacked(values: Sequence[Tensor], blank: float = 0.0) -> Tensor:
    """Concatenate along the first axis, padded at the end of every other one.

    Args:
        values: Tensors with the same number of dimensions.
        blank: The value of the padding.

    Returns:
        All rows.
    """
    sides = torch.tensor([value.shape for value in values]).amax(dim=0)
    padded = []
    for value in values:
        missing = (sides - torch.tensor(value.shape))[1:].flip(0)  # F.pad begins with the last axis
        both = torch.stack((torch.zeros_like(missing), missing), dim=1).flatten().tolist()
        padded.append(F.pad(value, both, value=blank) if any(both) else value)
    return torch.cat(padded)
