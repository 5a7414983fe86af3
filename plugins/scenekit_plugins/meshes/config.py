"""Options of the task, and the record that they make. Defaults are those of Mesh R-CNN on Pix3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.errors import InputError, nearest
from scenekit.hooks import TaskSpec
from scenekit.keys import BOXES3D, MESHES, VOXELS
from scenekit.structures import Vocabulary


class VoxelConfig(Config):
    """`pooled` RoIAlign side; the grid has twice as many cells a side. `convs` of `channels`, each with group norm of
    `norm_groups` groups if any, before the deconvolution; one grid for all classes if `agnostic`.

    Cells of at least `threshold` are solid; of a grid that has none of these, those at least half as likely as its best
    one. `align` as in `cubify`: with "corner" the cells fill the cube, with "topleft" (Mesh R-CNN's own) they reach
    beyond it at the far sides.
    """

    pooled: int = Field(default=12, ge=1)
    convs: int = Field(default=4, ge=0)
    channels: int = Field(default=256, ge=1)
    norm_groups: int | None = Field(default=None, ge=1)
    agnostic: bool = True
    threshold: float = Field(default=0.2, gt=0, lt=1)
    align: Literal["corner", "topleft"] = "corner"

    @model_validator(mode="after")
    def _divisible(self) -> VoxelConfig:
        if self.norm_groups is not None and self.channels % self.norm_groups:
            raise ValueError(f"channels must be a multiple of norm_groups, got {self.channels} and {self.norm_groups}")
        return self


class ExtentConfig(Config):
    """How deep the object is: RoI features of side `pooled`, fully connected layers `fcs` of these widths, and a number
    for all classes if `agnostic`, else one for each. `beta` is that of the smooth L1 loss.
    """

    pooled: int = Field(default=7, ge=1)
    fcs: tuple[int, ...] = (1024, 1024)
    agnostic: bool = False
    beta: float = Field(default=0.0, ge=0)


class RefinementConfig(Config):
    """`stages` that move the vertices, each by `convs` graph convolutions of `channels` on RoI features of side
    `pooled`.

    With `subdivide` faces are split in four between stages (as Pixel2Mesh), which makes vertices four times as many
    with each stage after the first. Losses compare `samples` points on each surface. While learning at most `regions` a
    image are refined, those of different objects first; None for all.
    """

    pooled: int = Field(default=14, ge=1)
    stages: int = Field(default=3, ge=0)
    convs: int = Field(default=3, ge=1)
    channels: int = Field(default=128, ge=1)
    subdivide: bool = False
    samples: int = Field(default=5000, ge=1)
    regions: int | None = Field(default=None, ge=1)


class MeshConfig(Config):
    """Meshes start from predicted voxels, or from a `sphere` of that many subdivisions; then they are refined.

    At most `max_regions` an image get a mesh, of the things named in `classes` (all, if None). No mesh starts with
    more than `max_verts` vertices: where the voxels of an object would, its grid is halved until they do not.
    Without 3D boxes the depth is a guess: what it would be if the box were `assumed_height` metres high.
    Objects of which a part lies more than `max_coordinate` half sides from the middle of the box, as where little of
    them is in sight, teach the voxels and the extent only.

    Mesh R-CNN's variants: voxels alone have `refinement: {stages: 0}`, "sphere init" `sphere: 4`, and Pixel2Mesh
    `sphere: 2` with `refinement: {subdivide: true}`.
    """

    voxels: VoxelConfig = VoxelConfig()
    extent: ExtentConfig = ExtentConfig()
    refinement: RefinementConfig = RefinementConfig()
    sphere: int | None = Field(default=None, ge=0, le=6)
    classes: tuple[str, ...] | None = None
    max_regions: int = Field(default=100, ge=1)
    max_verts: int = Field(default=10_000, ge=8)
    assumed_height: float = Field(default=1.0, gt=0)
    max_coordinate: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _spheres_have_few_vertices(self) -> MeshConfig:
        if self.sphere is not None and (count := 10 * 4**self.sphere + 2) > self.max_verts:
            raise ValueError(f"meshes.sphere {self.sphere} has {count} vertices, more than max_verts {self.max_verts}")
        return self


def configured(spec: TaskSpec, config: MeshConfig) -> TaskSpec:
    """The record with the classes that have shapes, and without VOXELS where nothing starts from them."""
    keys = (MESHES, VOXELS, BOXES3D) if config.sphere is None else (MESHES, BOXES3D)
    applies = spec.applies_to if config.classes is None else partial(labels_of, config.classes)
    return replace(spec, learns_from=keys, applies_to=applies, max_regions=config.max_regions)


def labels_of(classes: Sequence[str], vocabulary: Vocabulary) -> tuple[int, ...]:
    """Labels of the things of these names; InputError for one that the vocabulary lacks."""
    for name in classes:
        if name not in vocabulary.things:
            raise InputError(f"meshes.classes: there is no thing {name!r}{nearest(name, vocabulary.things)}")
    return tuple(vocabulary.things.index(name) for name in classes)
