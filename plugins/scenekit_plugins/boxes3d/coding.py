"""Decoding of the network's numbers to boxes in metres (Brazil et al., Omni3D, CVPR 2023, section 4).

Letters: N regions, B depth bins, P numbers of a pose, G images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.ops.cameras import allocentric_to_egocentric, project, unproject
from scenekit.ops.rotations import euler_angles_to_matrix, quaternion_to_matrix, rotation_6d_to_matrix
from scenekit.structures import Boxes3D, ImageBatch, Regions
from scenekit_plugins.boxes3d.config import CodeConfig, PoseNumbers, SizeCode
from scenekit_plugins.boxes3d.network import Numbers

LARGEST_LOG = 5.0
"""Sizes, and depths relative to the box, are at most exp(5) times the prior."""

FARTHEST = 100.0
"""Upper limit of depths that a sigmoid predicts, in metres."""

SPREAD = 3.0
"""Standard deviations around the mean of a class within which a sigmoid predicts its sizes and depths."""


@dataclass(frozen=True, eq=False)
class RegionPriors:
    """Priors of the class of each region."""

    size_mean: Float[Tensor, "N 3"]
    """Mean of the sides, in metres."""
    size_std: Float[Tensor, "N 3"]
    """Standard deviation of the sides, in metres."""
    scales: Float[Tensor, "N B"] | None = None
    """Scale of boxes in each depth bin, in pixels."""
    depth_mean: Float[Tensor, "N B"] | None = None
    """Mean depth in each bin, in the network's unit."""
    depth_std: Float[Tensor, "N B"] | None = None
    """Standard deviation of the depth in each bin."""

    def __getitem__(self, rows: Int[Tensor, " M"]) -> RegionPriors:
        values: dict[str, Any] = {name: None if value is None else value[rows] for name, value in vars(self).items()}
        return RegionPriors(**values)


@dataclass(frozen=True, eq=False)
class Views:
    """Regions with their cameras, in network pixels."""

    boxes: Float[Tensor, "N 4"]
    """Boxes of the regions."""
    K: Float[Tensor, "N 3 3"]
    """Intrinsics of the camera of each region."""
    heights: Float[Tensor, " N"]
    """Height of the image of each region."""

    @classmethod
    def of(cls, images: ImageBatch, regions: Regions) -> Views:
        """Return the views of the regions of a batch; an image without a camera has the assumed one.

        Args:
            images: Images of the batch.
            regions: The regions.

        Returns:
            The views.
        """
        boxes = regions.boxes.float()
        heights = boxes.new_tensor([height for height, _ in images.sizes])
        return cls(boxes, images.intrinsics[regions.image_index], heights[regions.image_index])

    def __getitem__(self, rows: Int[Tensor, " M"]) -> Views:
        return Views(self.boxes[rows], self.K[rows], self.heights[rows])

    @property
    def centers(self) -> Float[Tensor, "N 2"]:
        """Centers of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def sides(self) -> Float[Tensor, "N 2"]:
        """Width and height of the boxes."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @property
    def positions(self) -> Float[Tensor, "N 5"]:
        """Center of the box, logarithms of its sides, and its lower edge, from the principal point in focal lengths.

        They are the same at any resolution.
        """
        focal = self.K.diagonal(dim1=1, dim2=2)[:, :2]
        center, sides = (self.centers - self.K[:, :2, 2]) / focal, self.sides.clamp(min=1) / focal
        return torch.cat([center, sides.log(), center[:, 1:] + sides[:, 1:] / 2], dim=1)

    @property
    def scales(self) -> Float[Tensor, " N"]:
        """Diagonals of the boxes."""
        diagonal: Tensor = torch.linalg.vector_norm(self.sides, dim=1)
        return diagonal


@dataclass(frozen=True, eq=False)
class Cubes:
    """Boxes by the projections of their centers."""

    pixels: Float[Tensor, "N 2"]
    """Projection of the center in the image of camera `K`."""
    depth: Float[Tensor, " N"]
    """Depth of the center, in metres along z."""
    size: Float[Tensor, "N 3"]
    """Width, height and length, in metres."""
    rotation: Float[Tensor, "N 3 3"]
    """Rotation in the camera frame."""
    K: Float[Tensor, "N 3 3"]
    """Intrinsics of the camera."""

    def __getitem__(self, rows: Int[Tensor, " M"]) -> Cubes:
        return Cubes(**{name: value[rows] for name, value in vars(self).items()})

    @property
    def center(self) -> Float[Tensor, "N 3"]:
        """Center in the camera frame, in metres."""
        return unproject(self.pixels, self.depth, self.K)

    @property
    def corners(self) -> Float[Tensor, "N 8 3"]:
        """Corners in the order of `Boxes3D.corners`, in metres."""
        return self.boxes().corners

    @classmethod
    def projected(cls, boxes: Boxes3D, views: Views) -> Cubes:
        """Project boxes in front of their cameras.

        Args:
            boxes: Boxes in the camera frame.
            views: Their cameras.

        Returns:
            The same boxes with projected centers.
        """
        return cls(project(boxes.center, views.K), boxes.center[:, 2], boxes.size, boxes.rotation, views.K)

    def boxes(self, scores: Float[Tensor, " N"] | None = None) -> Boxes3D:
        """Return the boxes in the camera frame.

        Args:
            scores: Scores of the boxes.

        Returns:
            The boxes.
        """
        return Boxes3D(self.center, self.size, self.rotation, scores)

    def replaced(self, other: Cubes, *names: str) -> Cubes:
        """Return these boxes with some of the numbers of other ones.

        Args:
            other: As many boxes.
            names: Names of the numbers.

        Returns:
            The boxes.
        """
        values: dict[str, Any] = {name: getattr(other, name) for name in names}
        return replace(self, **values)


def decode_cubes(numbers: Numbers, views: Views, priors: RegionPriors, config: CodeConfig) -> Cubes:
    """Decode the numbers of the network.

    The gradient of the rotation does not reach the pixels that an allocentric one refers to.

    Args:
        numbers: Predicted numbers.
        views: Regions and cameras.
        priors: Priors of the regions' classes.
        config: Meaning of the numbers.

    Returns:
        The boxes.
    """
    pixels = views.centers + numbers.deltas * views.sides
    rotation = rotation_of(numbers.pose, config.pose)
    if config.frame == "allocentric":
        rotation = allocentric_to_egocentric(rotation, pixels.detach(), views.K)
    depth = decode_depth(numbers, views, priors, config)
    return Cubes(pixels, depth, decode_size(numbers.size, priors, config.size), rotation, views.K)


def rotation_of(pose: Float[Tensor, "*N P"], kind: PoseNumbers) -> Float[Tensor, "*N 3 3"]:
    """Convert predicted numbers to rotation matrices; Euler angles have the convention "XYZ".

    Args:
        pose: Predicted numbers.
        kind: Their parametrization.

    Returns:
        Rotation matrices.
    """
    if kind == "6d":
        return rotation_6d_to_matrix(pose)
    return quaternion_to_matrix(pose) if kind == "quaternion" else euler_angles_to_matrix(pose, "XYZ")


def decode_size(numbers: Float[Tensor, "N 3"], priors: RegionPriors, code: SizeCode) -> Float[Tensor, "N 3"]:
    """Decode sizes.

    Args:
        numbers: Predicted numbers.
        priors: Priors of the regions' classes.
        code: Meaning of the numbers.

    Returns:
        Width, height and length, in metres.
    """
    if code == "sigmoid":
        return around(numbers, priors.size_mean, priors.size_std)
    factor = numbers.clamp(max=LARGEST_LOG).exp()
    return factor if code == "plain" else factor * priors.size_mean


def decode_depth(numbers: Numbers, views: Views, priors: RegionPriors, config: CodeConfig) -> Float[Tensor, " N"]:
    """Decode depths.

    Args:
        numbers: Predicted numbers.
        views: Regions and cameras.
        priors: Priors of the regions' classes.
        config: Meaning of the numbers.

    Returns:
        Depths, in metres along z.
    """
    row, place = torch.arange(len(views.boxes), device=views.boxes.device), nearest_bin(views, priors)
    number = numbers.depth[row, place]
    if config.depth == "box":
        return number.clamp(max=LARGEST_LOG).exp() * depth_by_scale(views, priors)
    if config.depth == "clusters":
        assert priors.depth_mean is not None and priors.depth_std is not None, "clusters need priors of depth"
        number = around(number, priors.depth_mean[row, place], priors.depth_std[row, place])
    elif config.depth == "log":
        number = number.exp()
    elif config.depth == "sigmoid":
        number = number.sigmoid() * FARTHEST
    return number * metres_per_depth(views, config)


def depth_by_scale(views: Views, priors: RegionPriors) -> Float[Tensor, " N"]:
    """Compute the depth at which the diagonal of the mean box of the class is as long as the region's.

    Args:
        views: Regions and cameras.
        priors: Priors of the regions' classes.

    Returns:
        Depths, in metres along z.
    """
    length: Tensor = torch.linalg.vector_norm(priors.size_mean, dim=1)
    return length * views.K[:, 1, 1] / views.scales.clamp(min=1)


def around(number: Float[Tensor, "*N"], mean: Float[Tensor, "*N"], std: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """Compute a sigmoid from `SPREAD` deviations below the mean, but never below 0, to as many above it.

    Args:
        number: Predicted numbers.
        mean: Means.
        std: Standard deviations.

    Returns:
        Values around the means.
    """
    low = (mean - SPREAD * std).clamp(min=0)
    return low + (mean + SPREAD * std - low) * number.sigmoid()


def nearest_bin(views: Views, priors: RegionPriors) -> Int[Tensor, " N"]:
    """Return the bin of the class whose scale is nearest to the region's; 0 without bins.

    Args:
        views: Regions and cameras.
        priors: Priors of the regions' classes.

    Returns:
        Index of the bin.
    """
    if priors.scales is None:
        return torch.zeros(len(views.boxes), dtype=torch.int64, device=views.boxes.device)
    return (priors.scales - views.scales[:, None]).abs().argmin(dim=1)


def metres_per_depth(views: Views, config: CodeConfig) -> Float[Tensor, " N"]:
    """Compute the metres of a depth of 1 of the virtual camera, whose image is as high as the network's.

    Args:
        views: Regions and cameras.
        config: Meaning of the numbers.

    Returns:
        Factor of each region.
    """
    focal = views.K[:, 1, 1]  # of the vertical axis, as in Cube R-CNN
    return torch.ones_like(focal) if config.virtual_focal is None else focal / config.virtual_focal
