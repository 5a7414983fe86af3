"""Options of the task, and the record for them. Defaults are those of Mesh R-CNN on Pix3D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.hooks import TaskSpec
from scenekit.keys import MASKS, MESHES, VOXELS
from scenekit_plugins.class_option import applying_to
from scenekit_plugins.depth_samples import DEPTH_INPUT


class VoxelConfig(Config):
    """Voxels of the initial mesh."""

    pooled: int = Field(default=12, ge=1)
    """Side of the RoI features; the grid has twice as many cells per side."""
    convs: int = Field(default=4, ge=0, le=1000)
    """Number of convolutions before the deconvolution."""
    channels: int = Field(default=256, ge=1)
    """Channels of these convolutions."""
    norm_groups: int | None = Field(default=None, ge=1)
    """Groups of group norm after each convolution; no norm if null."""
    agnostic: bool = True
    """Whether all classes share one grid."""
    threshold: float = Field(default=0.2, gt=0, lt=1)
    """Smallest probability of a solid cell; in a grid without any, cells at least half as likely as its best one are
    solid.
    """
    align: Literal["corner", "topleft"] = "corner"
    """As in `cubify`: with "corner" the cells fill the cube, with "topleft" (Mesh R-CNN's own) they extend beyond it at
    the far sides.
    """
    tidy: bool = True
    """Whether specks are removed and contacts along an edge filled, so that meshes are closed; false is Mesh R-CNN's
    own way.
    """

    @model_validator(mode="after")
    def _divisible(self) -> VoxelConfig:
        if self.norm_groups is not None and self.channels % self.norm_groups:
            raise ValueError(f"channels must be a multiple of norm_groups, got {self.channels} and {self.norm_groups}")
        return self


class ExtentConfig(Config):
    """Depth extent of the object."""

    pooled: int = Field(default=7, ge=1)
    """Side of the RoI features."""
    fcs: tuple[int, ...] = (1024, 1024)
    """Widths of the fully connected layers."""
    agnostic: bool = False
    """Whether all classes share one number."""
    beta: float = Field(default=0.0, ge=0)
    """Where the smooth L1 loss turns from L2 to L1; 0 is L1."""


class RefinementConfig(Config):
    """Refinement of the initial mesh by graph convolutions."""

    pooled: int = Field(default=14, ge=1)
    """Side of the RoI features."""
    stages: int = Field(default=3, ge=0, le=1000)
    """Number of stages that move the vertices."""
    convs: int = Field(default=3, ge=1, le=1000)
    """Graph convolutions per stage."""
    channels: int = Field(default=128, ge=1)
    """Channels of the graph convolutions."""
    subdivide: bool = False
    """Whether faces are split in four between stages, as in Pixel2Mesh; each stage after the first then has four times
    as many vertices.
    """
    samples: int = Field(default=5000, ge=1)
    """Points on each surface that losses compare."""
    regions: int | None = Field(default=None, ge=1)
    """Upper limit of the refined regions per image in training, those of different objects first; null for all."""


class MeshConfig(Config):
    """Options of the mesh head.

    Mesh R-CNN's variants: voxels alone have `refinement: {stages: 0}`, "sphere init" `sphere: 4`, and Pixel2Mesh
    `sphere: 2` with `refinement: {subdivide: true}`.
    """

    voxels: VoxelConfig = VoxelConfig()
    """Voxels of the initial mesh."""
    extent: ExtentConfig = ExtentConfig()
    """Depth extent."""
    refinement: RefinementConfig = RefinementConfig()
    """Refinement of the mesh."""
    depth: Literal["voxels"] | None = None
    """How depth that images come with improves meshes; it has to be trained, on data with `data.inputs: [depth]`, and
    needs 3D boxes. "voxels": a small network corrects the voxels by the visible surface, the mask and the 3D box, in a
    longer frustum; the mesh around them is not refined further. Without depth nothing changes, to the bit.
    """
    depth_width: int = Field(default=64, ge=1)
    """Channels of that network."""
    depth_alone: bool = False
    """Whether this task trains nothing but that network, so that results without depth stay as they are, to the bit."""
    depth_threshold: float = Field(default=0.4, gt=0, lt=1)
    """Smallest probability of a solid cell with depth."""
    sphere: int | None = Field(default=None, ge=0, le=6)
    """Subdivisions of a sphere that is the initial mesh instead of voxels."""
    classes: tuple[str, ...] | None = None
    """Names of the things that get a mesh; all if null."""
    max_regions: int = Field(default=100, ge=1)
    """Upper limit of the meshes per image."""
    max_verts: int = Field(default=10_000, ge=8)
    """Upper limit of the vertices of an initial mesh; a voxel grid with more is halved until it fits."""
    assumed_height: float = Field(default=1.0, gt=0)
    """Height of an object, in metres, from which its depth is estimated without a 3D box."""
    max_coordinate: float = Field(default=5.0, gt=0)
    """Objects of which a part lies more than so many half sides from the center of the box, as where little of them is
    visible, train voxels and extent only.
    """

    @model_validator(mode="after")
    def _depth_corrects_voxels(self) -> MeshConfig:
        if self.depth is not None and self.sphere is not None:
            raise ValueError("meshes.depth corrects voxels, and meshes.sphere has none; set one of them to null")
        if self.depth_alone and self.depth is None:
            raise ValueError("depth_alone trains the network of depth, which is missing; set depth: voxels")
        return self

    @model_validator(mode="after")
    def _spheres_have_few_vertices(self) -> MeshConfig:
        if self.sphere is not None and (count := 10 * 4**self.sphere + 2) > self.max_verts:
            raise ValueError(f"meshes.sphere {self.sphere} has {count} vertices, more than max_verts {self.max_verts}")
        return self


def configured(spec: TaskSpec, config: MeshConfig) -> TaskSpec:
    """Return the record of the task for its options, with the classes that have meshes.

    Args:
        spec: The record.
        config: Options of the task.

    Returns:
        The changed record.
    """
    keys = (MESHES, VOXELS) if config.sphere is None else (MESHES,)
    inputs = {} if config.depth is None else {DEPTH_INPUT: (MASKS,)}
    spec = replace(spec, learns_from=keys, max_regions=config.max_regions, inputs=inputs)
    return applying_to(spec, config.classes)


def relabeled(config: MeshConfig, names: Mapping[str, str]) -> MeshConfig:
    """Return the options with other class names.

    Args:
        config: The options.
        names: New names by old ones.

    Returns:
        The options.
    """
    if config.classes is None:
        return config
    return config.model_copy(update={"classes": tuple(names.get(name, name) for name in config.classes)})
