"""The head: voxels in the frustum of each region, a mesh around them, and its refinement.

Letters: N regions, M refined ones, C channels, S pooled side, K classes (1 where all share one), D cells a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.keys import BOXES3D, MESHES, OBJECTS, VOXELS
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, ParameterNames, rows_by_name, unlabelled_loss
from scenekit.model.targets import Targets
from scenekit.ops.rng import generator
from scenekit.structures import Boxes3D, ImageBatch, Meshes, Regions
from scenekit_plugins.depth_samples import object_masks, object_samples
from scenekit_plugins.meshes.config import MeshConfig
from scenekit_plugins.meshes.depth_voxels import CorrectedVoxels, DepthVoxels, clues_of, wider
from scenekit_plugins.meshes.frustum import NEAREST, Frustums, depth_ranges, extents
from scenekit_plugins.meshes.grids import confidence, grids_in_frustums, solid, surfaces, whole
from scenekit_plugins.meshes.losses import extent_loss, mesh_losses, voxel_loss
from scenekit_plugins.meshes.networks import ExtentNetwork, Refinement, VoxelNetwork
from scenekit_plugins.meshes.ops import ico_sphere

LARGEST_EXTENT = 1000 / 16
"""Upper limit of predicted depth extents, as a multiple of the height of the box (as box regression in Mesh R-CNN)."""


@dataclass(frozen=True, eq=False)
class RawMeshes:
    """Predictions of the networks."""

    voxels: Float[Tensor, "N D D D"] | None
    """Logits of the voxels; None where meshes start from spheres."""
    extents: Float[Tensor, " N"]
    """Logarithms of the depth extents."""
    rows: Int[Tensor, " M"]
    """Regions that are refined."""
    start: Meshes
    """Initial meshes of the refined regions, in the cube."""
    stages: tuple[Meshes, ...]
    """Meshes after each stage."""
    scores: Float[Tensor, " M"] | None = None
    """IoU to expect of the voxels with the object; None where meshes start from spheres."""
    corrected: CorrectedVoxels | None = None
    """Voxels corrected by depth; None without it."""
    by_depth: bool = False
    """Whether `start` is around the corrected voxels; in training it is not."""

    @property
    def meshes(self) -> Meshes:
        """Meshes after the last stage; where depth has corrected the voxels, those around them."""
        if not self.stages or self.corrected is None or not self.by_depth:
            return self.stages[-1] if self.stages else self.start
        places = torch.arange(len(self.rows), device=self.rows.device)
        places = places + len(places) * ~self.corrected.usable[self.rows]
        return Meshes.cat([self.start, self.stages[-1]])[places]


@dataclass(frozen=True, eq=False)
class ShapeTargets:
    """Ground truth of each region."""

    meshes: Meshes
    """Shapes in the camera frame."""
    boxes: Boxes3D
    """3D boxes in the camera frame."""
    frustums: Frustums
    """Frustums that hold them."""
    extents: Float[Tensor, " N"]
    """Depth extents."""
    usable: Bool[Tensor, " N"]
    """Regions that can be trained."""


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
        by_depth = config.depth is not None and self.voxels is not None
        self.depth = DepthVoxels(self.side, len(things), config.depth_width) if by_depth else None
        self.extent = ExtentNetwork(inputs, extent.fcs, 1 if extent.agnostic else len(things))
        self.refinement = Refinement(
            core.channels, refinement.channels, refinement.stages, refinement.convs, refinement.subdivide
        )
        if self.depth is not None:
            self.requires_grad_(not config.depth_alone)
            self.depth.requires_grad_(True)
        self.axis_names = self._axis_names(things)

    def forward(self, board: Board) -> RawMeshes:
        config, regions = self.config, board[OBJECTS]
        extents = own_class(self.extent(board.pool(OBJECTS, config.extent.pooled)), regions)
        rows = refined_rows(regions, config.refinement.regions, generator_of(board.images, "meshes.regions"))
        logits = corrected = scores = None
        by_depth = False
        if self.voxels is None:
            start = ico_sphere(config.sphere or 0, regions.boxes.device)[torch.zeros_like(rows)]
        else:
            logits = self.voxels(board.pool(OBJECTS, config.voxels.pooled), regions.labels)
            corrected = self._corrected(logits, extents, board)
            by_depth = corrected is not None and regions.matched is None
            start, scores = self._start(logits, corrected if by_depth else None, rows)
        stages: tuple[Meshes, ...] = ()
        if self.refinement.stages and not (corrected is not None and by_depth and bool(corrected.usable.all())):
            stages = self.refinement(board.pool(OBJECTS, config.refinement.pooled)[rows], start)
        return RawMeshes(logits, extents, rows, start, stages, scores, corrected, by_depth)

    def _start(
        self, logits: Float[Tensor, "N D D D"], corrected: CorrectedVoxels | None, rows: Int[Tensor, " M"]
    ) -> tuple[Meshes, Float[Tensor, " M"]]:
        """Return the meshes around the voxels of some regions, and the IoU to expect of these."""
        config, threshold = self.config, self.config.voxels.threshold
        if corrected is not None:
            logits = corrected.logits
        probabilities = logits[rows].detach().float().sigmoid()
        cells = solid(probabilities, threshold)
        if corrected is not None:
            with_depth = corrected.usable[rows][:, None, None, None]
            cells = torch.where(with_depth, solid(probabilities, config.depth_threshold), cells)
        cells = whole(cells, probabilities) if config.voxels.tidy else cells
        return surfaces(cells, config.max_verts, config.voxels.align), confidence(cells, probabilities)

    def _corrected(
        self, logits: Float[Tensor, "N D D D"], extents: Float[Tensor, " N"], board: Board
    ) -> CorrectedVoxels | None:
        """Return the voxels corrected by the depth that images come with; None without depth."""
        if self.depth is None or BOXES3D not in board:
            return None
        regions, boxes = board[OBJECTS], board[BOXES3D]
        with torch.autocast(logits.device.type, enabled=False):  # half precision is too coarse for geometry
            samples = object_samples(board)
            if samples is None:
                return None
            frustums = self._frustums(board, wider(extents.detach(), samples.usable))
            usable = samples.usable & frustums.usable & boxes.valid
            clues = clues_of(samples, object_masks(board), boxes, frustums, self.side, self.config.voxels.align)
        corrected = self.depth(logits.detach(), clues.to(logits.dtype), regions.labels)
        return CorrectedVoxels(torch.where(usable[:, None, None, None], corrected, logits.detach()), frustums, usable)

    def _frustums(self, board: Board, extents: Float[Tensor, " N"]) -> Frustums:
        """Return the frustums of all regions for logarithms of depth extents, around the depths of the 3D boxes."""
        regions: Regions = board[OBJECTS]
        K, boxes = board.images.intrinsics[regions.image_index], regions.boxes.float()
        heights = boxes[:, 3] - boxes[:, 1]
        center = self._depths(board, heights.clamp(min=1.0), K)
        return Frustums(boxes, depth_ranges(center, decode_extents(extents), heights, K[:, 1, 1]), K)

    def loss(self, raw: RawMeshes, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute losses of voxels and extents for all regions, of meshes for the refined ones.

        Regions that cannot be trained are left out: empty ones, those with objects that extend behind the camera or
        without a valid 3D box or mesh, and those of images without a camera.
        """
        with torch.autocast(raw.extents.device.type, enabled=False):
            shapes = shape_targets(board.images, board[OBJECTS], targets)
        by_depth = self._depth_losses(raw.corrected, shapes, targets)
        if self.config.depth_alone:
            return by_depth
        rows = shapes.usable.nonzero()[:, 0]
        losses = {"extent": extent_loss(raw.extents[rows], shapes.extents[rows], self.config.extent.beta)}
        if raw.voxels is not None:
            grids = grids_in_frustums(
                targets[VOXELS][rows], shapes.boxes[rows], shapes.frustums[rows], self.side, self.config.voxels.align
            )
            losses["voxel"] = voxel_loss(raw.voxels[rows], grids)
        if raw.stages:
            losses |= self._mesh_losses(raw, shapes, generator_of(board.images, "meshes.points"))
        return losses | by_depth

    def _depth_losses(
        self, corrected: CorrectedVoxels | None, shapes: ShapeTargets, targets: Targets
    ) -> dict[str, Tensor]:
        """Compare the voxels corrected by depth with the ground truth in the frustums of the predicted boxes."""
        if self.depth is None:
            return {}
        if corrected is None:
            return unlabelled_loss(self.depth)
        rows = (shapes.usable & corrected.usable).nonzero()[:, 0]
        grids = grids_in_frustums(
            targets[VOXELS][rows], shapes.boxes[rows], corrected.frustums[rows], self.side, self.config.voxels.align
        )
        return {"depth_voxel": voxel_loss(corrected.logits[rows], grids)}

    def _mesh_losses(self, raw: RawMeshes, shapes: ShapeTargets, source: torch.Generator) -> dict[str, Tensor]:
        meshes, frustums = shapes.meshes[raw.rows], shapes.frustums[raw.rows]
        owners = meshes.verts_packed_to_mesh_idx()
        cubes = Meshes(frustums.to_cube(meshes.verts, owners), meshes.faces, meshes.verts_offset, meshes.faces_offset)
        near = cubes.get_bounding_boxes().abs().amax(dim=(1, 2)) <= self.config.max_coordinate
        kept = shapes.usable[raw.rows] & near
        stages = raw.stages
        if not bool(kept.all()):
            stages, cubes = tuple(stage[kept] for stage in stages), cubes[kept]
        return mesh_losses(stages, cubes, self.config.refinement.samples, source)

    def decode(self, raw: RawMeshes, board: Board) -> Meshes:
        """Place meshes in the camera frame at the depth of the 3D boxes, or at an estimated one without them.

        Regions that training does not refine have no mesh. The score of a mesh is the square root of the IoU to
        expect of its voxels, times the score of its object.
        """
        regions: Regions = board[OBJECTS]
        extents = raw.extents
        if raw.corrected is not None and raw.by_depth:
            extents = wider(extents, raw.corrected.usable)
        frustums, meshes = self._frustums(board, extents)[raw.rows], raw.meshes
        verts = frustums.to_camera(meshes.verts, meshes.verts_packed_to_mesh_idx())
        scores = raw.scores
        if scores is not None and regions.scores is not None:
            # Of several ways to weigh the two this ranks well: without the root, thin shapes fall behind wrong objects.
            scores = scores.sqrt() * regions.scores[raw.rows].float()
        placed = Meshes(verts, meshes.faces, meshes.verts_offset, meshes.faces_offset, scores)
        return placed if len(placed) == len(regions) else MESHES.field.scatter(placed, raw.rows, len(regions))

    def _depths(self, board: Board, heights: Float[Tensor, " N"], K: Float[Tensor, "N 3 3"]) -> Float[Tensor, " N"]:
        """Return the depth of each object's center, in metres along z."""
        estimated = self.config.assumed_height * K[:, 1, 1] / heights
        if BOXES3D not in board:
            return estimated
        predicted = board[BOXES3D].center[:, 2].to(estimated)
        return torch.where((predicted > NEAREST) & predicted.isfinite(), predicted, estimated)

    def _axis_names(self, things: tuple[str, ...]) -> ParameterNames:
        named = {}
        if not self.config.extent.agnostic:
            named["extent.predictor"] = AxisNames(things)
        if self.voxels is not None and not self.config.voxels.agnostic:
            named["voxels.predictor"] = AxisNames(things, each=self.side)
        by_class = {} if self.depth is None else {"depth.label.weight": (AxisNames(things),)}
        return {**rows_by_name(named), **by_class}


def own_class(values: Float[Tensor, "N K *D"], regions: Regions) -> Float[Tensor, "N *D"]:
    """Select the values of each region's class, or those that all classes share.

    Args:
        values: Values of all classes.
        regions: The regions.

    Returns:
        Values of the regions.
    """
    if values.shape[1] == 1:
        return values[:, 0]
    assert regions.labels is not None
    return values[torch.arange(len(values), device=values.device), regions.labels]


def decode_extents(logs: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Decode depth extents.

    Args:
        logs: Logarithms that the network predicts.

    Returns:
        Extents relative to the height of the box.
    """
    return logs.float().exp().clamp(max=LARGEST_EXTENT)


def generator_of(images: ImageBatch, purpose: str) -> torch.Generator:
    """Return a random number generator that depends only on the seeds of the images and its purpose.

    Args:
        images: Images of the batch.
        purpose: What the numbers are for.

    Returns:
        The generator.
    """
    first, *others = images.seeds or (0,)
    return generator(first, purpose, *others)


def refined_rows(regions: Regions, limit: int | None, source: torch.Generator) -> Int[Tensor, " M"]:
    """Select the regions to refine: all of them, or in training a random selection, different objects first.

    Args:
        regions: The regions.
        limit: Upper limit of the refined regions per image in training; None for all.
        source: Random number generator.

    Returns:
        Rows of the regions.
    """
    rows = torch.arange(len(regions), device=regions.boxes.device)
    if limit is None or regions.matched is None:
        return rows
    uniform = torch.rand(len(regions), generator=source).to(rows.device)
    rank = _ranks(regions.matched, uniform)
    return rows[_ranks(regions.image_index, rank + uniform) < limit]


def _ranks(groups: Int[Tensor, " N"], keys: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Return the rank of each key within its group."""
    order = keys.argsort()
    order = order[groups[order].argsort(stable=True)]
    ordered = groups[order]
    places = torch.arange(len(groups), device=groups.device)
    return torch.empty_like(places).index_copy(0, order, places - torch.searchsorted(ordered, ordered))


def shape_targets(images: ImageBatch, regions: Regions, targets: Targets) -> ShapeTargets:
    """Return the ground truth of the regions' shapes.

    Args:
        images: Images of the batch.
        regions: The regions.
        targets: Targets of the batch.

    Returns:
        The ground truth.
    """
    meshes, boxes3d, K = targets[MESHES], targets[BOXES3D], images.intrinsics[regions.image_index]
    boxes = regions.boxes.float()
    heights, center = boxes[:, 3] - boxes[:, 1], boxes3d.center[:, 2]
    low, high = meshes.get_bounding_boxes()[:, 2].unbind(dim=-1)
    extent = extents(center, low, high, heights, K[:, 1, 1])
    frustums = Frustums(boxes, depth_ranges(center, extent, heights, K[:, 1, 1]), K)
    valid = (meshes.num_faces_per_mesh() > 0) & boxes3d.valid & (low > NEAREST)
    valid &= images.has_camera[regions.image_index]
    return ShapeTargets(meshes, boxes3d, frustums, extent, valid & frustums.usable & extent.isfinite())
