"""From the numbers of the network to boxes in metres, and back (Brazil et al., Omni3D, CVPR 2023, section 4).

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
"""Sizes, and depths that are relative to the box, are at most exp(5) times what the prior says."""

FARTHEST = 100.0
"""Of depths that a sigmoid gives."""

SPREAD = 3.0
"""Standard deviations around the mean of a class within which a sigmoid holds its sizes and depths."""


@dataclass(frozen=True, eq=False)
class RegionPriors:
    """What is known of the class of each region: its size in metres, and where there are bins, for each of them the
    scale of boxes in pixels, and mean and deviation of the depth as the network counts it.
    """

    size_mean: Float[Tensor, "N 3"]
    size_std: Float[Tensor, "N 3"]
    scales: Float[Tensor, "N B"] | None = None
    depth_mean: Float[Tensor, "N B"] | None = None
    depth_std: Float[Tensor, "N B"] | None = None

    def __getitem__(self, rows: Int[Tensor, " M"]) -> RegionPriors:
        values: dict[str, Any] = {name: None if value is None else value[rows] for name, value in vars(self).items()}
        return RegionPriors(**values)


@dataclass(frozen=True, eq=False)
class Views:
    """The regions, the cameras that see them and the heights of the images, all in network pixels."""

    boxes: Float[Tensor, "N 4"]
    K: Float[Tensor, "N 3 3"]
    heights: Float[Tensor, " N"]

    @classmethod
    def of(cls, images: ImageBatch, regions: Regions) -> Views:
        """Of the regions of a batch; an image without a camera has the assumed one."""
        boxes = regions.boxes.float()
        heights = boxes.new_tensor([height for height, _ in images.sizes])
        return cls(boxes, images.intrinsics[regions.image_index], heights[regions.image_index])

    def __getitem__(self, rows: Int[Tensor, " M"]) -> Views:
        return Views(self.boxes[rows], self.K[rows], self.heights[rows])

    @property
    def centers(self) -> Float[Tensor, "N 2"]:
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def sides(self) -> Float[Tensor, "N 2"]:
        """Width and height of the boxes."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @property
    def positions(self) -> Float[Tensor, "N 5"]:
        """Center of the box, logarithms of its sides, and its lower edge, from the principal point in focal lengths;
        the same at any resolution.
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
    """Boxes by where their centers are seen: `pixels` in the image of camera `K`, `depth` in metres along z."""

    pixels: Float[Tensor, "N 2"]
    depth: Float[Tensor, " N"]
    size: Float[Tensor, "N 3"]
    rotation: Float[Tensor, "N 3 3"]
    K: Float[Tensor, "N 3 3"]

    @property
    def center(self) -> Float[Tensor, "N 3"]:
        """In metres, in the camera frame."""
        return unproject(self.pixels, self.depth, self.K)

    @property
    def corners(self) -> Float[Tensor, "N 8 3"]:
        """In the order of `Boxes3D.corners`."""
        return self.boxes().corners

    @classmethod
    def seen(cls, boxes: Boxes3D, views: Views) -> Cubes:
        """Boxes in front of the cameras that see them."""
        return cls(project(boxes.center, views.K), boxes.center[:, 2], boxes.size, boxes.rotation, views.K)

    def boxes(self, scores: Float[Tensor, " N"] | None = None) -> Boxes3D:
        """The same as boxes in the camera frame."""
        return Boxes3D(self.center, self.size, self.rotation, scores)

    def taking(self, other: Cubes, *names: str) -> Cubes:
        """These boxes with some of the numbers of `other` ones."""
        values: dict[str, Any] = {name: getattr(other, name) for name in names}
        return replace(self, **values)


def decode_cubes(numbers: Numbers, views: Views, priors: RegionPriors, config: CodeConfig) -> Cubes:
    """The boxes that the numbers mean, seen by these cameras.

    The gradient of the rotation does not reach the pixels that an allocentric one refers to.
    """
    pixels = views.centers + numbers.deltas * views.sides
    rotation = rotation_of(numbers.pose, config.pose)
    if config.frame == "allocentric":
        rotation = allocentric_to_egocentric(rotation, pixels.detach(), views.K)
    depth = decode_depth(numbers, views, priors, config)
    return Cubes(pixels, depth, decode_size(numbers.size, priors, config.size), rotation, views.K)


def rotation_of(pose: Float[Tensor, "*N P"], kind: PoseNumbers) -> Float[Tensor, "*N 3 3"]:
    """Rotation matrices of the numbers of the network; Euler angles are those of the convention "XYZ"."""
    if kind == "6d":
        return rotation_6d_to_matrix(pose)
    return quaternion_to_matrix(pose) if kind == "quaternion" else euler_angles_to_matrix(pose, "XYZ")


def decode_size(numbers: Float[Tensor, "N 3"], priors: RegionPriors, code: SizeCode) -> Float[Tensor, "N 3"]:
    """Width, height and length in metres."""
    if code == "sigmoid":
        return around(numbers, priors.size_mean, priors.size_std)
    factor = numbers.clamp(max=LARGEST_LOG).exp()
    return factor if code == "plain" else factor * priors.size_mean


def decode_depth(numbers: Numbers, views: Views, priors: RegionPriors, config: CodeConfig) -> Float[Tensor, " N"]:
    """Metres along z."""
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
    """Metres at which a line as long as the diagonal of the mean box of the class has the length of the region's."""
    length: Tensor = torch.linalg.vector_norm(priors.size_mean, dim=1)
    return length * views.K[:, 1, 1] / views.scales.clamp(min=1)


def around(number: Float[Tensor, "*N"], mean: Float[Tensor, "*N"], std: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """A sigmoid from `SPREAD` deviations below the mean, but never below 0, to as many above it."""
    low = (mean - SPREAD * std).clamp(min=0)
    return low + (mean + SPREAD * std - low) * number.sigmoid()


def nearest_bin(views: Views, priors: RegionPriors) -> Int[Tensor, " N"]:
    """The bin of the class whose scale is nearest to that of the region; there is one only where nothing is known."""
    if priors.scales is None:
        return torch.zeros(len(views.boxes), dtype=torch.int64, device=views.boxes.device)
    return (priors.scales - views.scales[:, None]).abs().argmin(dim=1)


def metres_per_depth(views: Views, config: CodeConfig) -> Float[Tensor, " N"]:
    """What a depth of 1 of the virtual camera is in metres; the height of its image is that of the network's."""
    focal = views.K[:, 1, 1]  # that of the vertical axis, as Cube R-CNN takes it
    return torch.ones_like(focal) if config.virtual_focal is None else focal / config.virtual_focal
