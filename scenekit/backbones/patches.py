"""Images of any size for networks that cut them into patches.

Letters: B images, C channels, H W input pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class PatchGrid:
    """How an image is padded to whole patches, and on which grid the maps of a network are returned.

    The network sees the pixels as they are: its patches have the size with which it was trained. Where cells of
    another stride are wanted, its maps are interpolated at their centers.
    """

    patch: int
    """Side of a patch in pixels: the stride of the network's maps."""
    stride: int
    """Stride of the returned maps, at least that of the patches."""
    unit: int
    """The padded sides are multiples of it: of a patch, or of a window of patches."""

    def padded(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 _ _"]:
        """Pad images with zeros at the right and bottom, so that patches cover every cell that is returned.

        Args:
            pixels: Normalized images.

        Returns:
            The padded images.
        """
        height, width = (
            -(-max(side, self.stride * -(-side // self.stride)) // self.unit) * self.unit for side in pixels.shape[2:]
        )
        return F.pad(pixels, (0, width - pixels.shape[3], 0, height - pixels.shape[2]))

    def returned(
        self, maps: Sequence[Float[Tensor, "B _ _ _"]], pixels: Float[Tensor, "B 3 H W"]
    ) -> list[Float[Tensor, "B _ _ _"]]:
        """Return maps on the grid, cropped to the images without padding.

        Args:
            maps: Maps of the padded images.
            pixels: The images.

        Returns:
            One map of ceil(side / stride) cells for each of `maps`.
        """
        height, width = (-(-side // self.stride) for side in pixels.shape[2:])
        return [self._moved(features)[:, :, :height, :width] for features in maps]

    def _moved(self, features: Float[Tensor, "B C _ _"]) -> Float[Tensor, "B C _ _"]:
        if self.patch == self.stride:
            return features
        factor = self.patch / self.stride
        # The factor, and not the rounded size, decides where the centers lie.
        return F.interpolate(features, scale_factor=factor, mode="bilinear", recompute_scale_factor=False)
