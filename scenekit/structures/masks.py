"""Instance masks, held run-length encoded.

Letters: N masks, H W image, h w tightest box around a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.errors import InputError
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.tensors import row_numbers


@dataclass(frozen=True, eq=False)
class Masks:
    """Binary masks of one image, run-length encoded."""

    rles: tuple[Mapping[str, Any], ...]
    """COCO's run lengths of each mask (`{"size": [H, W], "counts": bytes}`)."""
    size: Size
    """(height, width) of the image in pixels."""

    def __len__(self) -> int:
        return len(self.rles)

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | Sequence[int]) -> Masks:
        return Masks(tuple(self.rles[row] for row in row_numbers(rows)), self.size)

    @classmethod
    def from_dense(cls, dense: Bool[Tensor, "N H W"] | UInt8[Tensor, "N H W"]) -> Masks:
        """Encode bitmaps.

        Args:
            dense: Bitmaps, in which values above 0 are inside.

        Returns:
            The encoded masks.
        """
        columns = np.asfortranarray(dense.bool().cpu().numpy().view(np.uint8).transpose(1, 2, 0))
        return cls(tuple(coco_mask.encode(columns)), (int(dense.shape[1]), int(dense.shape[2])))

    @property
    def dense(self) -> Bool[Tensor, "N H W"]:
        """Bitmaps of the masks, decoded at each access."""
        if not self.rles:
            return torch.zeros((0, *self.size), dtype=torch.bool)
        bitmaps = coco_mask.decode(list(self.rles))
        return torch.from_numpy(np.ascontiguousarray(bitmaps.transpose(2, 0, 1))).bool()

    def cropped(self, row: int) -> tuple[Bool[Tensor, "h w"], tuple[int, int, int, int]]:
        """Decode one mask within its tightest box.

        Args:
            row: Index of the mask.

        Returns:
            (bitmap of the box, box x0, y0, x1, y1 in pixels).
        """
        rle = self.rles[row]
        x0, y0, width, height = map(int, coco_mask.toBbox(rle))
        bitmap = coco_mask.decode(rle)[y0 : y0 + height, x0 : x0 + width]
        return torch.from_numpy(np.ascontiguousarray(bitmap)).bool(), (x0, y0, x0 + width, y0 + height)

    @property
    def area(self) -> Float[Tensor, " N"]:
        """Number of pixels of each mask."""
        return torch.tensor([float(coco_mask.area(rle)) for rle in self.rles])

    @property
    def boxes(self) -> Float[Tensor, "N 4"]:
        """Tightest box around each mask, xyxy in pixels; zeros where a mask is empty."""
        if not self.rles:
            return torch.zeros((0, 4))
        xywh = torch.from_numpy(coco_mask.toBbox(list(self.rles)).astype(np.float32))
        return torch.cat((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), dim=1)

    def transformed(self, geometry: Geometry) -> Masks:
        """Move the masks with their image (nearest neighbour); decoded once, encoded once.

        Args:
            geometry: How the image is cropped, resized and flipped.

        Returns:
            The masks of the resulting image.
        """
        if not self.rles:
            return Masks((), geometry.size)
        (x0, y0, x1, y1), (height, width) = geometry.window, geometry.size
        # Run lengths go down the columns: as [N W H] nothing is copied, neither from the decoder nor to the encoder.
        columns = torch.from_numpy(coco_mask.decode(list(self.rles)).transpose(2, 1, 0))[:, x0:x1, y0:y1]
        if tuple(columns.shape[1:]) != (width, height):
            columns = tv.resize(columns, [width, height], interpolation=tv.InterpolationMode.NEAREST_EXACT)
        columns = columns.flip(1) if geometry.mirrored else columns.contiguous()
        return Masks(tuple(coco_mask.encode(columns.numpy().transpose(2, 1, 0))), geometry.size)

    def to_json(self) -> list[dict[str, Any]]:
        """Convert to COCO's compressed run lengths.

        Returns:
            One dictionary per mask, counts as text.
        """
        return [{"size": list(rle["size"]), "counts": bytes(rle["counts"]).decode("ascii")} for rle in self.rles]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]], size: Size) -> Masks:
        """Create masks from the result of `to_json`.

        Args:
            data: One dictionary per mask.
            size: (height, width) of the image in pixels.

        Returns:
            The masks.

        Raises:
            InputError: If a mask has another size or invalid run lengths.
        """
        for entry in data:
            if tuple(entry["size"]) != size:
                raise InputError(f"a mask has size {entry['size']}, its image {list(size)} (height, width)")
        rles = tuple({"size": list(entry["size"]), "counts": entry["counts"].encode("ascii")} for entry in data)
        for rle in rles:
            _check_runs(rle)
        return cls(rles, size)

    @classmethod
    def empty(cls, count: int, size: Size) -> Masks:
        """Create masks without pixels.

        Args:
            count: Number of masks.
            size: (height, width) of the image in pixels.

        Returns:
            The masks.
        """
        return cls.from_dense(torch.zeros((count, *size), dtype=torch.bool))


def _check_runs(rle: Mapping[str, Any]) -> None:
    try:
        coco_mask.decode(rle)
    except ValueError:
        runs, size = rle["counts"][:40], rle["size"]
        raise InputError(f"the run lengths {runs!r} are not those of a mask of size {size}") from None
