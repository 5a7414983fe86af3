"""Boxes corrected by what depth shows of their objects.

Letters: N regions, P samples of a region, G side of the grid of cells in a region, K samples along the side of a cell,
F numbers of a region, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.ops.cameras import project
from scenekit.ops.rotations import rotation_6d_to_matrix
from scenekit.structures import Boxes3D, ImageBatch, Regions
from scenekit_plugins.boxes3d.coding import Cubes, Views
from scenekit_plugins.depth_samples import SIDE, Samples

CELLS = 8
"""Cells along each side of a region (G)."""

NUMBERS = 6 * CELLS**2 + 23
"""Numbers of a region (F): six of each cell, and what `of_the_box` returns."""

FARTHEST = 2.0
"""Limit of depths relative to the center, in diagonals of the box."""

BORDER = 0.01
"""Share of the image's sides within which a region ends at the border of the image."""

PARTS = {"depth": 1, "size": 3, "rotation": 6, "pixels": 2}
"""How many corrections there are of each kind."""

LARGEST = {"depth": 0.5, "size": 0.5, "rotation": 1.0, "pixels": 0.2}
"""Limits of the corrections: depth and pixels in diagonals of the box, logarithms of sizes, entries of a rotation."""


class DepthCorrection(nn.Module):
    """Corrects depth, size, rotation and center of boxes that lie at the depth of the image already.

    It sees the depth of a region's cells relative to the center of its box, and the box; no features of the image, with
    which it learned its training images by heart. The last layer begins with zeros: a new one changes nothing.

    Args:
        classes: Number of classes.
        width: Hidden width.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(NUMBERS, width)
        self.label = nn.Embedding(classes, width)
        self.hidden = nn.Linear(width, width)
        self.corrections = nn.Linear(width, sum(PARTS.values()))
        for parameter in (self.label.weight, self.corrections.weight, self.corrections.bias):
            nn.init.zeros_(parameter)

    def forward(self, boxes: Boxes3D, regions: Regions, images: ImageBatch, samples: Samples) -> Cubes:
        """Return the corrected boxes; those whose samples are not usable have no meaning.

        Args:
            boxes: Boxes in the camera frame, refined by the depth of the image.
            regions: Their regions, in network pixels.
            images: The batch.
            samples: Depth inside of their objects.

        Returns:
            The boxes.
        """
        views = Views.of(images, regions)
        numbers = torch.cat((of_cells(boxes, samples), of_the_box(boxes, views, images.sizes, regions)), dim=1)
        numbers = numbers.nan_to_num(0.0, 0.0, 0.0).to(self.read.weight.dtype)
        hidden = F.relu(self.hidden(F.relu(self.read(numbers) + self.label(regions.labels))))
        return corrected(boxes, views.K, self.corrections(hidden).float())


def of_cells(boxes: Boxes3D, samples: Samples) -> Float[Tensor, "N _"]:
    """Compute what depth says of the cells of each region.

    Args:
        boxes: Boxes in the camera frame.
        samples: Depth inside of their objects.

    Returns:
        Of all cells the median depth of the object, that of all samples and the least one of the object, relative to
        the center in diagonals of the box (0 if unknown); then the share of the object, whether its depth is known, and
        the share of the samples with depth.
    """
    center, diagonal = boxes.center[:, 2:], torch.linalg.vector_norm(boxes.size, dim=1, keepdim=True)
    known = samples.depth > 0
    own = _cells(samples.depth.masked_fill(~samples.counted, torch.nan))
    every = _cells(samples.depth.masked_fill(~known, torch.nan))
    middle, least = own.nanmedian(dim=2).values, own.nan_to_num(torch.inf).amin(dim=2)
    there = middle.isfinite()
    depths = (middle, every.nanmedian(dim=2).values, least.where(there, torch.nan))
    relative = [((z - center) / diagonal).clamp(-FARTHEST, FARTHEST).nan_to_num(0.0) for z in depths]
    shares = (_share(samples.inside), there.float(), _share(known))
    return torch.cat([*relative, *shares], dim=1)


def of_the_box(
    boxes: Boxes3D, views: Views, sizes: Sequence[tuple[int, int]], regions: Regions
) -> Float[Tensor, "N 23"]:
    """Compute what a box and its region say, given the depth of the box.

    Args:
        boxes: Boxes in the camera frame.
        views: Their regions with cameras.
        sizes: Height and width of each image, in network pixels.
        regions: The regions.

    Returns:
        Logarithms of the region's sides in metres, and in diagonals of the box; of the size of the box, and of its
        depth; the ray through the middle of the region; which sides end at the border of the image; and the rotation.
    """
    z, diagonal = boxes.center[:, 2:], torch.linalg.vector_norm(boxes.size, dim=1, keepdim=True)
    focal = views.K.diagonal(dim1=1, dim2=2)[:, :2]
    metres = (views.sides / focal * z).clamp(min=0.01)
    ray = (views.centers - views.K[:, :2, 2]) / focal
    whole = views.boxes.new_tensor([(width, height) for height, width in sizes])[regions.image_index]
    border = torch.cat((views.boxes[:, :2] < BORDER * whole, views.boxes[:, 2:] > (1 - BORDER) * whole), dim=1)
    logs = (metres.log(), (metres / diagonal).log(), boxes.size.log(), z.log())
    return torch.cat([*logs, ray, border.float(), boxes.rotation.flatten(1)], dim=1)


def corrected(boxes: Boxes3D, K: Float[Tensor, "N 3 3"], corrections: Float[Tensor, "N 12"]) -> Cubes:
    """Apply corrections to boxes.

    Args:
        boxes: Boxes in the camera frame.
        K: Intrinsics of each camera.
        corrections: Those of `PARTS`, one after the other, before their limits.

    Returns:
        The boxes.
    """
    parts = dict(zip(PARTS, torch.split(corrections, list(PARTS.values()), dim=1), strict=True))
    step = {name: LARGEST[name] * part.tanh() for name, part in parts.items()}
    diagonal = torch.linalg.vector_norm(boxes.size, dim=1)
    pixels = diagonal[:, None] / boxes.center[:, 2:] * K.diagonal(dim1=1, dim2=2)[:, :2]
    return Cubes(
        pixels=project(boxes.center, K) + step["pixels"] * pixels,
        depth=boxes.center[:, 2] + step["depth"][:, 0] * diagonal,
        size=boxes.size * step["size"].exp(),
        rotation=rotation_6d_to_matrix(boxes.rotation[:, :2].flatten(1) + step["rotation"]),
        K=K,
    )


def placed_by(cubes: Cubes, boxes: Boxes3D, rows: Bool[Tensor, " N"]) -> Boxes3D:
    """Return corrected boxes in some rows, and the boxes as they are in the others.

    Args:
        cubes: The corrected boxes.
        boxes: The boxes.
        rows: Which rows are corrected.

    Returns:
        The boxes, with their scores.
    """
    center = torch.where(rows[:, None], cubes.center, boxes.center)
    size = torch.where(rows[:, None], cubes.size, boxes.size)
    return replace(
        boxes, center=center, size=size, rotation=torch.where(rows[:, None, None], cubes.rotation, boxes.rotation)
    )


def _cells(values: Float[Tensor, "N P"]) -> Float[Tensor, "N _ _"]:
    """Return the samples of each cell [N G*G K*K]."""
    side = SIDE // CELLS
    parts = values.reshape(-1, CELLS, side, CELLS, side).transpose(2, 3)
    return parts.reshape(-1, CELLS**2, side**2)


def _share(marked: Bool[Tensor, "N P"]) -> Float[Tensor, "N _"]:
    return _cells(marked.float()).mean(dim=2)
