"""The head: voxels in the frustum of each region, a mesh around them, and refinement by what the image shows.

Letters: N regions, M refined ones, C channels, S pooled side, K classes (1 where all share one), D cells a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.keys import BOXES3D, MESHES, OBJECTS, VOXELS
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, ParameterNames, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.rng import generator
from scenekit.structures import Boxes3D, ImageBatch, Meshes, Regions
from scenekit_plugins.meshes.config import MeshConfig
from scenekit_plugins.meshes.frustum import NEAREST, Frustums, depth_ranges, extents
from scenekit_plugins.meshes.grids import grids_in_frustums, solid, surfaces
from scenekit_plugins.meshes.losses import extent_loss, mesh_losses, voxel_loss
from scenekit_plugins.meshes.networks import ExtentNetwork, Refinement, VoxelNetwork
from scenekit_plugins.meshes.ops import ico_sphere

LARGEST_EXTENT = 1000 / 16
"""Predicted depth extents are at most so many times the height of the box (as box regression in Mesh R-CNN)."""


@dataclass(frozen=True, eq=False)
class RawMeshes:
    """Of all regions the logits of their voxels (None where meshes start from spheres) and the logarithms of their
    depth extents; of those in `rows` the meshes in the cube, `start` and what each stage made of them.
    """

    voxels: Float[Tensor, "N D D D"] | None
    extents: Float[Tensor, " N"]
    rows: Int[Tensor, " M"]
    start: Meshes
    stages: tuple[Meshes, ...]

    @property
    def meshes(self) -> Meshes:
        """The last ones."""
        return self.stages[-1] if self.stages else self.start


@dataclass(frozen=True, eq=False)
class ShapeTruth:
    """What is true of each region: its shape and 3D box in the camera frame, the frustum that holds them, and the
    depth extent; `usable` says from which of them something can be learned.
    """

    meshes: Meshes
    boxes: Boxes3D
    frustums: Frustums
    extents: Float[Tensor, " N"]
    usable: Bool[Tensor, " N"]


class MeshHead(Head[RawMeshes, Meshes]):
    """Mesh R-CNN on the shared RoI features."""

    def __init__(self, core: Core, config: MeshConfig) -> None:
        super().__init__()
        self.config = config
        things = core.vocabulary.things
        voxels, extent, refinement = config.voxels, config.extent, config.refinement
        self.side = 2 * voxels.pooled
        classes = 1 if voxels.agnostic else len(things)
        self.voxels = (
            VoxelNetwork(core.channels, voxels.channels, voxels.convs, self.side, classes, voxels.norm_groups)
            if config.sphere is None
            else None
        )
        inputs = core.channels * extent.pooled**2
        self.extent = ExtentNetwork(inputs, extent.fcs, 1 if extent.agnostic else len(things))
        self.refinement = Refinement(
            core.channels, refinement.channels, refinement.stages, refinement.convs, refinement.subdivide
        )
        self.axis_names = self._axis_names(things)

    def forward(self, board: Board) -> RawMeshes:
        config, regions = self.config, board[OBJECTS]
        extents = own_class(self.extent(board.pool(OBJECTS, config.extent.pooled)), regions)
        rows = refined_rows(regions, config.refinement.regions, drawn_by(board.images, "meshes.regions"))
        if self.voxels is None:
            logits, start = None, ico_sphere(config.sphere or 0, regions.boxes.device)[torch.zeros_like(rows)]
        else:
            logits = self.voxels(board.pool(OBJECTS, config.voxels.pooled), regions.labels)
            cells = solid(logits[rows].detach().float().sigmoid(), config.voxels.threshold)
            start = surfaces(cells, config.max_verts, config.voxels.align)
        stages: tuple[Meshes, ...] = ()
        if self.refinement.stages:
            stages = self.refinement(board.pool(OBJECTS, config.refinement.pooled)[rows], start)
        return RawMeshes(logits, extents, rows, start, stages)

    def loss(self, raw: RawMeshes, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Voxels and extents of all regions, meshes of the refined ones.

        Regions from which nothing can be learned are left out: without size, with objects that reach behind the camera
        or whose 3D box or mesh is none, and those of images without a camera.
        """
        truth = shape_truth(board.images, board[OBJECTS], targets)
        known = truth.usable.nonzero()[:, 0]
        losses = {"extent": extent_loss(raw.extents[known], truth.extents[known], self.config.extent.beta)}
        if raw.voxels is not None:
            grids = grids_in_frustums(
                targets[VOXELS][known], truth.boxes[known], truth.frustums[known], self.side, self.config.voxels.align
            )
            losses["voxel"] = voxel_loss(raw.voxels[known], grids)
        if raw.stages:
            losses |= self._mesh_losses(raw, truth, drawn_by(board.images, "meshes.points"))
        return losses

    def _mesh_losses(self, raw: RawMeshes, truth: ShapeTruth, chance: torch.Generator) -> dict[str, Tensor]:
        meshes, frustums = truth.meshes[raw.rows], truth.frustums[raw.rows]
        owners = meshes.verts_packed_to_mesh_idx()
        cubes = Meshes(frustums.to_cube(meshes.verts, owners), meshes.faces, meshes.verts_offset, meshes.faces_offset)
        near = cubes.get_bounding_boxes().abs().amax(dim=(1, 2)) <= self.config.max_coordinate
        kept = truth.usable[raw.rows] & near
        stages = raw.stages
        if not bool(kept.all()):
            stages, cubes = tuple(stage[kept] for stage in stages), cubes[kept]
        return mesh_losses(stages, cubes, self.config.refinement.samples, chance)

    def decode(self, raw: RawMeshes, board: Board) -> Meshes:
        """In the camera frame: at the depth of the 3D boxes, or at a guessed one where there are none.

        Regions that are not refined while others learn have no mesh.
        """
        regions: Regions = board[OBJECTS]
        K = board.images.intrinsics[regions.image_index]
        boxes = regions.boxes.float()
        heights = boxes[:, 3] - boxes[:, 1]
        center = self._depths(board, heights.clamp(min=1.0), K)
        extent = decode_extents(raw.extents)
        frustums = Frustums(boxes, depth_ranges(center, extent, heights, K[:, 1, 1]), K)[raw.rows]
        meshes = raw.meshes
        verts = frustums.to_camera(meshes.verts, meshes.verts_packed_to_mesh_idx())
        placed = Meshes(verts, meshes.faces, meshes.verts_offset, meshes.faces_offset)
        return placed if len(placed) == len(regions) else MESHES.field.scatter(placed, raw.rows, len(regions))

    def _depths(self, board: Board, heights: Float[Tensor, " N"], K: Float[Tensor, "N 3 3"]) -> Float[Tensor, " N"]:
        """Metres along z to the middle of each object."""
        guessed = self.config.assumed_height * K[:, 1, 1] / heights
        if BOXES3D not in board:
            return guessed
        known = board[BOXES3D].center[:, 2].to(guessed)
        return torch.where((known > NEAREST) & known.isfinite(), known, guessed)

    def _axis_names(self, things: tuple[str, ...]) -> ParameterNames:
        named = {}
        if not self.config.extent.agnostic:
            named["extent.predictor"] = AxisNames(things)
        if self.voxels is not None and not self.config.voxels.agnostic:
            named["voxels.predictor"] = AxisNames(things, each=self.side)
        return rows_by_name(named)


def own_class(values: Float[Tensor, "N K *D"], regions: Regions) -> Float[Tensor, "N *D"]:
    """Of each region the values of its own class, or those that all classes share."""
    if values.shape[1] == 1:
        return values[:, 0]
    assert regions.labels is not None
    return values[torch.arange(len(values), device=values.device), regions.labels]


def decode_extents(logs: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Depth extents relative to the height of the box, of what the network gives."""
    return logs.float().exp().clamp(max=LARGEST_EXTENT)


def drawn_by(images: ImageBatch, purpose: str) -> torch.Generator:
    """Random numbers that depend on nothing but the seeds of the images and what they are for."""
    first, *others = images.seeds or (0,)
    return generator(first, purpose, *others)


def refined_rows(regions: Regions, limit: int | None, chance: torch.Generator) -> Int[Tensor, " M"]:
    """All regions; of those that are there to learn from at most `limit` an image, of different objects first.

    Which of the regions of an object is left to `chance`.
    """
    rows = torch.arange(len(regions), device=regions.boxes.device)
    if limit is None or regions.matched is None:
        return rows
    lots = torch.rand(len(regions), generator=chance).to(rows.device)
    turn = _ranks(regions.matched, lots)
    return rows[_ranks(regions.image_index, turn + lots) < limit]


def _ranks(groups: Int[Tensor, " N"], keys: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
    """How many of its group have a smaller key than each one."""
    order = keys.argsort()
    order = order[groups[order].argsort(stable=True)]
    ordered = groups[order]
    places = torch.arange(len(groups), device=groups.device)
    return torch.empty_like(places).index_copy(0, order, places - torch.searchsorted(ordered, ordered))


def shape_truth(images: ImageBatch, regions: Regions, targets: Targets) -> ShapeTruth:
    """What the targets say of the regions."""
    meshes, boxes3d, K = targets[MESHES], targets[BOXES3D], images.intrinsics[regions.image_index]
    boxes = regions.boxes.float()
    heights, center = boxes[:, 3] - boxes[:, 1], boxes3d.center[:, 2]
    low, high = meshes.get_bounding_boxes()[:, 2].unbind(dim=-1)
    extent = extents(center, low, high, heights, K[:, 1, 1])
    frustums = Frustums(boxes, depth_ranges(center, extent, heights, K[:, 1, 1]), K)
    solid_ones = (meshes.num_faces_per_mesh() > 0) & boxes3d.valid & (low > NEAREST)
    solid_ones &= images.has_camera[regions.image_index]
    return ShapeTruth(meshes, boxes3d, frustums, extent, solid_ones & frustums.usable & extent.isfinite())
