"""Crops, resizes and mirroring, held against pixels that are drawn, moved as images, and looked at again."""

import pytest
import torch

from scenekit.fields.boxes3d import Box3DField
from scenekit.fields.captions import CaptionField
from scenekit.fields.depth import DepthField
from scenekit.fields.keypoints import KeypointField
from scenekit.fields.masks import MaskField
from scenekit.fields.meshes import MeshField
from scenekit.fields.panoptic import PanopticField
from scenekit.fields.relations import RelationField
from scenekit.fields.semantic import SemanticField
from scenekit.structures import Boxes3D, Camera, Captions, Geometry, Keypoints, Masks, Meshes, Panoptic, Segment
from scenekit.structures.relations import Relations
from tests.structures import worlds

SIZE = (8, 12)
FLIP = Geometry.flip(SIZE)
DOUBLE = Geometry.resize(SIZE, (16, 24))
CROP = Geometry.crop(SIZE, (3, 1, 9, 7))
ALL = Geometry(SIZE, (3, 1, 9, 7), (12, 18), mirrored=True)


def test_points_by_hand() -> None:
    point = torch.tensor([[4.0, 2.5]])
    assert FLIP.points(point).tolist() == [[8.0, 2.5]]
    assert DOUBLE.points(point).tolist() == [[8.0, 5.0]]
    assert CROP.points(point).tolist() == [[1.0, 1.5]]
    assert ALL.points(point).tolist() == [[18 - 3.0, 3.0]]  # (4 - 3) * 18 / 6, then from the right


def test_boxes_stay_ordered_in_a_mirror() -> None:
    assert FLIP.boxes(torch.tensor([[1.0, 2.0, 5.0, 7.0]])).tolist() == [[7.0, 2.0, 11.0, 7.0]]
    assert FLIP.boxes(torch.zeros(0, 4)).shape == (0, 4)


def test_composition_by_hand() -> None:
    resize = Geometry.resize(CROP.size, (12, 18))
    assert CROP.then(resize).then(Geometry.flip((12, 18))) == ALL
    # Columns 0 to 4 of the flipped image are columns 8 to 12 of the source.
    assert FLIP.then(Geometry.crop(SIZE, (0, 1, 4, 7))) == Geometry(SIZE, (8, 1, 12, 7), (6, 4), mirrored=True)
    assert FLIP.then(FLIP) == Geometry.identity(SIZE) and Geometry.identity(SIZE).is_identity
    # Columns 3 to 8 of the doubled image begin in the middle of a source pixel: 1.5 to 4 become 2 to 4.
    assert DOUBLE.then(Geometry.crop((16, 24), (3, 0, 8, 16))).window == (2, 0, 4, 8)
    assert DOUBLE.then(Geometry.crop((16, 24), (23, 15, 24, 16))).window == (11, 7, 12, 8)


@pytest.mark.parametrize("first", [FLIP, DOUBLE, CROP, ALL])
def test_composition_moves_points_like_both(first: Geometry) -> None:
    (height, width), points = first.size, torch.rand(5, 2) * 8
    for second in (Geometry.flip(first.size), Geometry.resize(first.size, (5, 7)), Geometry.identity(first.size)):
        torch.testing.assert_close(first.then(second).points(points), second.points(first.points(points)))
    if (height, width) == SIZE:
        crop = Geometry.crop(SIZE, (2, 1, 11, 6))
        torch.testing.assert_close(first.then(crop).points(points), crop.points(first.points(points)))


@pytest.mark.parametrize("geometry", [FLIP, DOUBLE, CROP, ALL])
def test_masks_move_like_their_boxes(geometry: Geometry) -> None:
    dense = torch.zeros(2, *SIZE, dtype=torch.bool)
    dense[0, 2:5, 4:8] = True
    dense[1, 3:6, 5:6] = True
    masks = Masks.from_dense(dense)
    moved = MaskField().transform(masks, geometry, worlds.VOCABULARY)
    assert moved.size == geometry.size
    assert torch.equal(moved.boxes, geometry.boxes(masks.boxes))
    assert torch.allclose(moved.area, masks.area * geometry.scale[0] * geometry.scale[1])


def test_keypoints_change_places_in_a_mirror() -> None:
    points = Keypoints(
        torch.tensor([[[6.0, 1.0], [2.0, 3.0], [9.0, 4.0]]]), torch.tensor([[2, 1, 2]]), torch.tensor([[0.1, 0.2, 0.3]])
    )
    moved = KeypointField().transform(points, FLIP, worlds.VOCABULARY)
    # nose, then what is the left hand now: the right one of before
    assert moved.xy.tolist() == [[[6.0, 1.0], [3.0, 4.0], [10.0, 3.0]]]
    assert moved.visibility.tolist() == [[2, 2, 1]]
    assert moved.scores is not None and torch.allclose(moved.scores, torch.tensor([[0.1, 0.3, 0.2]]))


def test_keypoints_outside_become_absent() -> None:
    points = Keypoints(torch.tensor([[[4.0, 2.0], [2.9, 2.0], [9.1, 2.0]]]), torch.full((1, 3), 2))
    moved = KeypointField().transform(points, CROP, worlds.VOCABULARY)
    assert moved.visibility.tolist() == [[2, 0, 0]]  # columns 3 to 9 are left


def test_a_keypoint_on_the_border_survives_a_flip_and_the_resize_behind_it() -> None:
    points = Keypoints(torch.tensor([[[0.0, 0.0], [12.0, 8.0], [6.0, 4.0]]]), torch.full((1, 3), 2))
    moved = KeypointField().transform(points, FLIP, worlds.VOCABULARY)
    resized = KeypointField().transform(moved, DOUBLE, worlds.VOCABULARY)
    assert moved.visibility.tolist() == resized.visibility.tolist() == [[2, 2, 2]]


def test_cropped_masks_are_what_is_in_their_boxes() -> None:
    dense = torch.zeros(3, 9, 11, dtype=torch.bool)
    dense[0, 2:5, 3:9] = torch.tensor([True, False, True, True, False, True])
    dense[1, 8, 10] = True
    masks = Masks.from_dense(dense)
    for row in range(3):
        bitmap, (x0, y0, x1, y1) = masks.cropped(row)
        assert masks.boxes[row].tolist() == [x0, y0, x1, y1]
        assert torch.equal(bitmap, dense[row, y0:y1, x0:x1]) and bitmap.sum() == dense[row].sum()


def test_label_maps_move_like_masks() -> None:
    labels = torch.full(SIZE, -1)
    labels[2:5, 4:8] = 1
    mask = Masks.from_dense((labels == 1)[None])
    for geometry in (FLIP, DOUBLE, CROP, ALL):
        moved = SemanticField().transform(labels, geometry, worlds.VOCABULARY)
        assert moved.dtype == torch.int64 and torch.equal((moved == 1)[None], mask.transformed(geometry).dense)


def test_depth_keeps_its_values_and_gaps() -> None:
    depth = torch.rand(SIZE)
    depth[0, 0] = torch.nan
    moved = DepthField().transform(depth, FLIP, worlds.VOCABULARY)
    assert torch.isnan(moved[0, -1]) and torch.equal(moved[1:], depth.flip(1)[1:])


def test_segments_that_leave_the_image_are_dropped() -> None:
    ids = torch.zeros(SIZE, dtype=torch.int64)
    ids[:, :2], ids[:, 5:] = 1, 2
    panoptic = Panoptic(ids, (Segment(1, 0, True, object=0), Segment(2, 2, False)))
    moved = PanopticField().transform(panoptic, CROP, worlds.VOCABULARY)
    assert [segment.id for segment in moved.segments] == [2]
    assert torch.equal(moved.ids, ids[1:7, 3:9])


def test_relations_and_words_are_mirrored() -> None:
    relations = Relations(
        torch.tensor([0, 1, 0]), torch.tensor([1, 0, 1]), torch.tensor([0, 1, 2]), None, torch.eye(3)[[0, 1, 2]]
    )
    moved = RelationField().transform(relations, FLIP, worlds.VOCABULARY)
    assert moved.predicate.tolist() == [1, 0, 2]
    assert moved.probabilities is not None and moved.probabilities.argmax(1).tolist() == [1, 0, 2]
    assert RelationField().transform(relations, DOUBLE, worlds.VOCABULARY) is relations

    captions = Captions((("Left of the leftover, a right-hand glove", "left"),))
    texts = CaptionField().transform(captions, FLIP, worlds.VOCABULARY).texts
    assert texts == (("Right of the leftover, a left-hand glove", "right"),)


@pytest.mark.parametrize("geometry", [FLIP, DOUBLE, CROP, ALL])
def test_boxes3d_and_meshes_project_onto_the_moved_pixels(geometry: Geometry) -> None:
    camera = Camera(torch.tensor([[10.0, 0.3, 6.5], [0.0, 11.0, 3.5], [0.0, 0.0, 1.0]]))
    boxes = Boxes3D(torch.tensor([[0.2, -0.1, 4.0], [-0.5, 0.2, 6.0]]), torch.rand(2, 3) + 0.2, worlds.rotations(2))
    moved_camera = camera.transformed(geometry)
    moved = Box3DField().transform(boxes, geometry, worlds.VOCABULARY)
    same_points(moved_camera.project(moved.corners), geometry.points(camera.project(boxes.corners)))
    assert torch.allclose(torch.linalg.det(moved.rotation), torch.ones(2), atol=1e-5)
    assert torch.equal(moved.size, boxes.size)

    meshes = Meshes.from_lists([boxes.corners[0], boxes.corners[1]], [torch.tensor([[0, 1, 2]])] * 2)
    moved_meshes = MeshField().transform(meshes, geometry, worlds.VOCABULARY)
    wanted = geometry.points(camera.project(meshes.verts))
    assert torch.allclose(moved_camera.project(moved_meshes.verts), wanted, atol=1e-4)


def same_points(given: torch.Tensor, wanted: torch.Tensor) -> None:
    """Both hold the same points per box, in whatever order."""
    distance = torch.cdist(given, wanted)
    assert float(distance.amin(1).max()) < 1e-3 and float(distance.amin(2).max()) < 1e-3


def test_a_car_that_faces_right_faces_left_in_a_mirror() -> None:
    car = Boxes3D(torch.tensor([[1.0, 0.0, 5.0]]), torch.tensor([[1.5, 1.4, 4.0]]), torch.eye(3)[None])
    mirrored = car.mirrored()
    assert mirrored.center.tolist() == [[-1.0, 0.0, 5.0]]
    assert torch.allclose(mirrored.rotation[0] @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([-1.0, 0.0, 0.0]))
    assert torch.allclose(mirrored.rotation[0] @ torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    assert torch.allclose(car.mirrored().mirrored().rotation, car.rotation)


def test_mirrored_meshes_keep_their_normals_outside() -> None:
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(subdivisions=1)
    meshes = Meshes.from_lists(
        [torch.tensor(ball.vertices, dtype=torch.float32)], [torch.tensor(ball.faces, dtype=torch.int64)]
    )
    mirrored = meshes.mirrored().to_trimesh(0)
    assert ball.volume > 0 and mirrored.volume == pytest.approx(ball.volume, rel=1e-5)
    normals = torch.tensor(mirrored.face_normals, dtype=torch.float32)
    centers = torch.tensor(mirrored.triangles_center, dtype=torch.float32)
    assert bool(((normals * centers).sum(1) > 0).all())


def test_a_scene_follows_whole() -> None:
    scene = worlds.scene()
    moved = scene.transformed(FLIP)
    assert torch.allclose(moved.objects.boxes, FLIP.boxes(scene.objects.boxes))
    assert moved.camera is not None and float(moved.camera.matrix[0, 2]) == pytest.approx(12 - 5.0)
    assert set(moved.values) == set(scene.values)
    assert worlds.scene(0).transformed(ALL).size == ALL.size


def test_boxes_are_clipped_and_areas_shrink_with_them() -> None:
    scene = worlds.scene(0)
    boxes = torch.tensor([[1.0, 1.0, 5.0, 5.0], [10.0, 0.0, 12.0, 4.0]])
    objects = worlds.Objects(boxes, torch.tensor([0, 1]), area=torch.tensor([12.0, 8.0]))
    moved = worlds.Scene(scene.size, scene.vocabulary, {worlds.OBJECTS: objects}).transformed(CROP).objects
    assert moved.boxes.tolist() == [[0.0, 0.0, 2.0, 4.0], [6.0, 0.0, 6.0, 3.0]]
    assert moved.area.tolist() == [6.0, 0.0]  # half of the first is left, nothing of the second
