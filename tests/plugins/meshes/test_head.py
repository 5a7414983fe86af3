"""The head as a whole: against Mesh R-CNN, at the right place, within its bounds, and where there is nothing to see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from scenekit.detection import PoolerConfig, RoIPooler
from scenekit.errors import InputError
from scenekit.hooks import TaskSpec
from scenekit.keys import BOXES3D, FEATURES, MESHES, OBJECTS, VOXELS
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.model.targets import Targets
from scenekit.ops.cameras import project
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.structures import Boxes3D, Camera, FeaturePyramid, ImageBatch, Meshes, Regions, Vocabulary
from scenekit.structures.voxels import voxelize
from scenekit_plugins.masks import MaskConfig, MaskHead
from scenekit_plugins.meshes import scenekit_tasks
from scenekit_plugins.meshes.config import MeshConfig, configured
from scenekit_plugins.meshes.grids import surfaces
from scenekit_plugins.meshes.head import MeshHead, RawMeshes, generator_of, refined_rows, shape_targets
from scenekit_plugins.meshes.ops import ico_sphere, sample_points_from_meshes
from tests.plugins.kit import CORE, CUP, PERSON, VOCABULARY, finite_gradients, pyramid, regions, targets
from tests.plugins.meshes.names import EXTENT, MASKS, REFINEMENT, theirs
from tests.plugins.meshes.names import VOXELS as VOXEL_NAMES
from tests.plugins.meshes.reference import case, ruled

CAMERA = Camera(torch.tensor([[60.0, 0.0, 32.0], [0.0, 60.0, 32.0], [0.0, 0.0, 1.0]]))
SMALL: dict[str, Any] = {
    "voxels": {"pooled": 4, "convs": 1, "channels": 8},
    "extent": {"pooled": 4, "fcs": [8]},
    "refinement": {"pooled": 4, "stages": 2, "convs": 1, "channels": 8, "samples": 50},
    "max_verts": 200,
}


def head(**options: Any) -> MeshHead:
    return MeshHead(CORE, MeshConfig.model_validate({**SMALL, **options}))


def view(objects: Regions, boxes3d: Boxes3D | None = None, camera: Camera | None = CAMERA) -> Board:
    """What the head sees of one image of 64 x 64 pixels."""
    images = ImageBatch(torch.zeros(1, 3, 64, 64), ((64, 64),), ((64, 64),), cameras=(camera,), seeds=(7,))
    board = Board(images, RoIPooler())
    board.put(FEATURES, pyramid(64, 64))
    board.put(OBJECTS, objects)
    if boxes3d is not None:
        board.put(BOXES3D, boxes3d, objects)
    return board.view("head", (FEATURES, OBJECTS, BOXES3D), {OBJECTS: objects})


def balls(*centers: tuple[float, float, float]) -> tuple[Meshes, Boxes3D]:
    """Balls of 20 cm radius, in boxes that lie along the axes of the camera."""
    sphere, count = ico_sphere(2), len(centers)
    verts = [sphere.verts * 0.2 + torch.tensor(center) for center in centers]
    boxes = Boxes3D(torch.tensor(centers).reshape(-1, 3), torch.full((count, 3), 0.4), torch.eye(3).repeat(count, 1, 1))
    return Meshes.from_lists(verts, [sphere.faces] * count), boxes


def seen(meshes: Meshes, boxes: Boxes3D, cells: int = 12) -> tuple[Regions, Targets]:
    """Regions tightly around the meshes, and what is true of them."""
    pixels = project(meshes.verts, CAMERA.matrix)
    around = [pixels[a:b] for a, b in zip(meshes.verts_offset[:-1], meshes.verts_offset[1:], strict=True)]
    objects = regions([[*xy.amin(0).tolist(), *xy.amax(0).tolist()] for xy in around], [CUP] * len(around))
    voxels = voxelize(meshes, boxes, cells)
    return objects, targets({MESHES: meshes, BOXES3D: boxes, VOXELS: voxels}, objects)


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


def spec_for(**options: Any) -> TaskSpec:
    return configured(next(iter(scenekit_tasks())), MeshConfig.model_validate(options))


def test_end_to_end_as_mesh_rcnn() -> None:
    """All of it on a feature pyramid, with Mesh R-CNN's weights, poolers and vertices."""
    known = case("meshrcnn_heads_full", "end2end")
    maps = [ruled(f"input.p{level}", (1, 256, 128 >> level, 160 >> level), 1.0) for level in range(2, 6)]
    images = ImageBatch(torch.zeros(1, 3, 128, 160), ((128, 160),), ((128, 160),))
    pooler = PoolerConfig(aligned=False, sampling_ratio=2, level_epsilon=1e-8, epsilon_inside_log=True)
    objects = regions(known["boxes"].tolist(), known["classes"].tolist())
    board = Board(images, RoIPooler(pooler))
    board.put(FEATURES, FeaturePyramid(tuple(maps), (4, 8, 16, 32)))
    board.put(OBJECTS, objects)
    vocabulary = Vocabulary(tuple(f"thing {label}" for label in range(9)), ())
    ours = MeshHead(
        Core(256, (4, 8, 16, 32), vocabulary),
        MeshConfig.model_validate({"voxels": {"align": "topleft", "tidy": False}}),
    )
    masks = MaskHead(Core(256, (4, 8, 16, 32), vocabulary), MaskConfig())
    for network, place, names in (
        (masks, "mask_head", MASKS),
        (ours.voxels, "voxel_head", VOXEL_NAMES),
        (ours.extent, "z_head", EXTENT),
        (ours.refinement, "mesh_head", REFINEMENT),
    ):
        assert network is not None
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        state = {name: ruled(f"roi_heads.{place}.{theirs(name, names)}", shape) for name, shape in shapes.items()}
        network.load_state_dict(state)
    assert ours.voxels is not None and ours.voxels.predictor.bias is not None
    with torch.no_grad():
        ours.voxels.predictor.bias += -1.414781
        view = board.view("head", (FEATURES, OBJECTS), {OBJECTS: objects})
        raw, mask_probabilities = ours(view), masks.decode(masks(view), view)
    torch.testing.assert_close(mask_probabilities[:, None], known["pred_mask_probs"], rtol=1e-5, atol=1e-5)
    assert raw.voxels is not None
    torch.testing.assert_close(raw.extents.exp()[:, None], known["pred_dz"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(raw.voxels.sigmoid()[:, None], known["pred_voxels"], rtol=1e-5, atol=1e-5)
    assert torch.equal(raw.voxels.sigmoid() >= 0.2, known["pred_voxels"][:, 0] >= 0.2)
    assert torch.equal(raw.meshes.faces, known["faces"].long())
    torch.testing.assert_close(raw.meshes.verts, known["verts"], rtol=0, atol=1e-4)


def wedges(*places: tuple[tuple[float, float, float], tuple[float, float, float]]) -> tuple[Meshes, Boxes3D]:
    """Corners cut off boxes of 30 x 20 x 40 cm, which look like neither their mirror image nor themselves turned.

    Of each the center, and by how much it is turned about which axis.
    """
    corners = torch.tensor([[-1.0, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * torch.tensor([0.2, 0.1, 0.15])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    center, turns = (torch.tensor(column) for column in zip(*places, strict=True))
    rotation = axis_angle_to_matrix(turns)
    boxes = Boxes3D(center, torch.tensor([[0.3, 0.2, 0.4]]).repeat(len(places), 1), rotation)
    return Meshes.from_lists(list(corners @ rotation.mT + center[:, None]), [faces] * len(places)), boxes


def test_true_shapes_come_back_at_their_place() -> None:
    """The voxels and the extent that the loss asks for decode to the shapes that they were made of."""
    meshes, boxes = wedges(((0.0, 0.1, 2.0), (0.3, 0.9, -0.2)), ((0.4, -0.3, 2.6), (-0.5, -1.8, 0.7)))
    objects, truth = seen(meshes, boxes, cells=24)
    ours, board = head(voxels={**SMALL["voxels"], "pooled": 12}), view(objects, boxes)
    logits, logs = torch.zeros(2, 24, 24, 24, requires_grad=True), torch.zeros(2)
    losses = ours.loss(RawMeshes(logits, logs, torch.arange(2), meshes, ()), board, truth)
    (gradient,) = torch.autograd.grad(losses["voxel"], logits)
    full = gradient < 0  # where the loss falls as the logit rises
    extents = shape_targets(board.images, objects, truth).extents.log()
    torch.testing.assert_close(losses["extent"], extents.abs().mean())
    placed = ours.decode(RawMeshes(logits, extents, torch.arange(2), surfaces(full, 5000, "corner"), ()), board)
    points, true_points = (sample_points_from_meshes(each, 2000) for each in (placed, meshes))
    distances = torch.cdist(points, true_points)
    # Cells are 1 to 2 cm; the mirror image or the wedge turned around is 5 cm away.
    assert (distances.amin(1).mean(1) < 0.015).all() and (distances.amin(2).mean(1) < 0.015).all()


def test_every_part_learns_and_losses_fall() -> None:
    meshes, boxes = balls((0.0, 0.1, 2.0), (0.4, -0.3, 2.6))
    objects, truth = seen(meshes, boxes)
    ours, board = head(), view(objects, boxes)
    optimizer = torch.optim.Adam(ours.parameters(), 0.003)
    first = ours.loss(ours(board), board, truth)
    assert set(first) == {"extent", "voxel", "chamfer", "normal", "edge"}
    for _ in range(30):
        loss = total(ours.loss(ours(board), board, truth))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    last = ours.loss(ours(board), board, truth)
    assert all(last[name] < first[name] for name in ("voxel", "chamfer", "edge")) and total(last) < 0.9 * total(first)
    assert finite_gradients(total(last), ours)


@pytest.mark.parametrize(
    "options",
    [
        {"refinement": {"stages": 0}},
        {"sphere": 1},
        {"sphere": 0, "refinement": {**SMALL["refinement"], "subdivide": True}},
        {"voxels": {**SMALL["voxels"], "agnostic": False, "norm_groups": 2}, "extent": {"agnostic": True, "fcs": []}},
    ],
)
def test_variants_learn_and_decode(options: dict[str, Any]) -> None:
    meshes, boxes = balls((0.0, 0.1, 2.0), (0.4, -0.3, 2.6))
    objects, truth = seen(meshes, boxes)
    ours, board = head(**options), view(objects, boxes)
    raw = ours(board)
    losses = ours.loss(raw, board, truth)
    assert ("voxel" in losses) == ("sphere" not in options) and ("chamfer" in losses) == bool(raw.stages)
    assert all(loss.isfinite() for loss in losses.values()) and finite_gradients(total(losses), ours)
    assert len(ours.decode(raw, board)) == 2


def test_without_regions_losses_are_zero_and_hang_on_the_graph() -> None:
    meshes, boxes = balls()
    objects = regions([], [])
    ours, board = head(), view(objects, boxes)
    raw = ours(board)
    losses = ours.loss(raw, board, targets({MESHES: meshes, BOXES3D: boxes, VOXELS: torch.zeros(0, 4, 4, 4)}, objects))
    assert all(loss == 0 for loss in losses.values()) and finite_gradients(total(losses), ours)
    assert len(ours.decode(raw, board)) == 0


def test_what_cannot_be_right_teaches_nothing() -> None:
    """A mesh behind the camera, one with NaN, one without faces, a box without size, a 3D box that is none."""
    meshes, boxes = balls((0.0, 0.1, 2.0), *[(0.4, -0.3, 2.6)] * 5)
    objects, _ = seen(meshes, boxes)
    verts, faces = [meshes.verts_of(row).clone() for row in range(6)], [meshes.faces_of(row) for row in range(6)]
    verts[1][0, 2], verts[2][0, 0], faces[3] = -1.0, torch.nan, faces[3][:0]
    objects = replace(objects, boxes=objects.boxes.index_fill(0, torch.tensor([4]), 5.0))
    boxes = replace(boxes, size=boxes.size.index_fill(0, torch.tensor([5]), torch.nan))
    bad = Meshes.from_lists(verts, faces)
    truth = targets({MESHES: bad, BOXES3D: boxes, VOXELS: torch.ones(6, 4, 4, 4)}, objects)
    ours, board = head(), view(objects, boxes)
    assert shape_targets(board.images, objects, truth).usable.tolist() == [True, False, True, False, False, False]
    raw = ours(board)
    losses = ours.loss(raw, board, truth)
    assert all(loss.isfinite() for loss in losses.values()) and finite_gradients(total(losses), ours)
    assert ours.decode(raw, board).verts.isfinite().all()


def test_a_image_without_a_camera_teaches_nothing() -> None:
    """Where its objects would be seen is not known, so that their shapes in the frustum are not either."""
    meshes, boxes = balls((0.0, 0.1, 2.0))
    objects, truth = seen(meshes, boxes)
    ours, board = head(), view(objects, boxes, camera=None)
    losses = ours.loss(ours(board), board, truth)
    assert all(loss == 0 for loss in losses.values()) and finite_gradients(total(losses), ours)


def test_objects_hardly_in_sight_do_not_pull_at_meshes() -> None:
    """Of the second ball the box shows a twentieth."""
    meshes, boxes = balls((0.0, 0.1, 2.0), (0.4, -0.3, 2.6))
    objects, truth = seen(meshes, boxes)
    corner = objects.boxes.clone()
    corner[1, 2:] = corner[1, :2] + (corner[1, 2:] - corner[1, :2]) / 20
    ours, board = head(), view(replace(objects, boxes=corner), boxes)
    raw = ours(board)
    stages = [stage.with_verts(stage.verts.detach().requires_grad_()) for stage in raw.stages]
    losses = ours.loss(replace(raw, stages=tuple(stages)), board, truth)
    (gradient,) = torch.autograd.grad(losses["chamfer"], stages[-1].verts)
    second = stages[-1].verts_packed_to_mesh_idx() == 1
    assert gradient[~second].any() and not gradient[second].any()


def test_meshes_lie_at_the_depth_of_their_boxes_or_at_a_stated_guess() -> None:
    objects = regions([[10, 10, 30, 40], [20, 5, 60, 35]], [CUP, PERSON])
    _, boxes = balls((0.0, 0.0, 2.0), (0.0, 0.0, 5.0))
    ours = head()
    for board, depths in ((view(objects, boxes), (2.0, 5.0)), (view(objects), (60 / 30, 60 / 30))):
        raw = ours(board)
        raw = replace(raw, extents=torch.full((2,), 0.5).log())
        placed = ours.decode(raw, board)
        for row, depth in enumerate(depths):
            half = depth * 0.5 * 30 / 60 / 2
            z = placed.verts_of(row)[:, 2]
            torch.testing.assert_close(torch.stack((z.min(), z.max())), torch.tensor([depth - half, depth + half]))
            edges = project(placed.verts_of(row), CAMERA.matrix)
            around = torch.cat((edges.amin(0), edges.amax(0)))
            torch.testing.assert_close(around, objects.boxes[row], rtol=1e-4, atol=1e-3)  # a fresh head: a full block


def test_boxes_that_say_no_depth_leave_the_guess() -> None:
    objects = regions([[10, 10, 30, 40]] * 3, [CUP] * 3)
    _, boxes = balls((0.0, 0.0, -2.0), (0.0, 0.0, torch.nan), (0.0, 0.0, 3.0))
    board = view(objects, boxes)
    depths = head()._depths(board, torch.full((3,), 30.0), CAMERA.matrix.repeat(3, 1, 1))
    torch.testing.assert_close(depths, torch.tensor([2.0, 2.0, 3.0]))


def test_no_mesh_starts_with_too_many_vertices() -> None:
    objects = regions([[10, 10, 30, 40]] * 3, [CUP] * 3)
    ours = head(max_verts=60)
    assert ours.voxels is not None
    torch.nn.init.normal_(ours.voxels.predictor.weight)
    raw = ours(view(objects))
    counts = raw.start.num_verts_per_mesh()
    assert (counts <= 60).all() and (counts >= 8).all()


def test_while_learning_few_regions_are_refined_those_of_different_objects_first() -> None:
    objects = regions([[0, 0, 9, 9]] * 7, [CUP] * 7, matched=[0, 0, 0, 1, 2, 3, 3])
    objects = replace(objects, image_index=torch.tensor([0, 0, 0, 0, 0, 1, 1]))
    images = ImageBatch(torch.zeros(2, 3, 8, 8), ((8, 8),) * 2, ((8, 8),) * 2, seeds=(3, 4))
    picked = set()
    for seed in range(30):
        rows = refined_rows(objects, 3, generator_of(replace(images, seeds=(seed, 4)), "test"))
        assert objects.matched is not None and objects.matched[rows].tolist() == [0, 1, 2, 3, 3]
        picked.add(int(rows[0]))
    assert picked == {0, 1, 2}
    again = [refined_rows(objects, 1, generator_of(images, "test")).tolist() for _ in range(2)]
    assert again[0] == again[1] and len(again[0]) == 2
    assert len(refined_rows(objects, None, generator_of(images, "test"))) == 7
    assert len(refined_rows(replace(objects, matched=None), 1, generator_of(images, "test"))) == 7


def test_regions_that_are_not_refined_have_no_mesh_meanwhile() -> None:
    meshes, boxes = balls((0.0, 0.1, 2.0), (0.4, -0.3, 2.6))
    objects, truth = seen(meshes, boxes)
    ours, board = head(refinement={**SMALL["refinement"], "regions": 1}), view(objects, boxes)
    raw = ours(board)
    assert finite_gradients(total(ours.loss(raw, board, truth)), ours)
    counts = ours.decode(raw, board).num_verts_per_mesh()
    assert len(raw.rows) == 1 and counts[raw.rows] > 0 and counts.sum() == counts[raw.rows]


def test_options_make_the_record() -> None:
    plain, chosen, spheres = spec_for(), spec_for(classes=["cup"], max_regions=7), spec_for(sphere=2)
    assert (
        plain.applies_to is None
        and plain.learns_from == (MESHES, VOXELS)
        and plain.reads == (BOXES3D,)
        and plain.uses == (BOXES3D,)
    )
    assert chosen.applies_to is not None and chosen.applies_to(VOCABULARY) == (CUP,) and chosen.max_regions == 7
    assert spheres.learns_from == (MESHES,)
    unknown = spec_for(classes=["cupp"]).applies_to
    with pytest.raises(InputError, match=r"no thing 'cupp'.*cup"):
        assert unknown is not None and unknown(VOCABULARY)


def test_spheres_keep_to_the_bound_of_vertices() -> None:
    with pytest.raises(ValueError, match=r"meshes\.sphere 5 has 10242 vertices, more than max_verts 10000"):
        MeshConfig.model_validate({"sphere": 5})
    assert len(ico_sphere(3).verts) == 10 * 4**3 + 2


def test_channels_and_groups_must_fit() -> None:
    with pytest.raises(ValueError, match="channels must be a multiple of norm_groups, got 8 and 3"):
        MeshConfig.model_validate({"voxels": {"channels": 8, "norm_groups": 3}})
