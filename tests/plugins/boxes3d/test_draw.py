"""3D boxes over the image: where their edges fall by hand, and what is cut off or left out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.keys import BOXES3D
from scenekit.visualization import draw_scene
from scenekit.visualization.camera_view import NEAR, View, cut
from scenekit_plugins.boxes3d.draw import EDGES, FACES, cuboid_tags, draw_boxes3d, near_side
from tests.visualization.scenes import gray_image
from tests.visualization.spatial_scenes import CAMERA, ahead, cuboids
from tests.visualization.test_draw import changed


def test_cube_straight_ahead_is_where_it_is_by_hand() -> None:
    """The near side of a 2 m cube at z = 5 lies at z = 4: 100 +- 100 * 1 / 4 pixels; the far one at 100 +- 100 / 6."""
    scene = cuboids([ahead()])
    drawn = changed(draw_boxes3d(gray_image(scene), scene, labels=False))
    rows, columns = np.nonzero(drawn)
    assert abs(rows.min() - 75) <= 1 and abs(rows.max() - 124) <= 1
    assert abs(columns.min() - 75) <= 1 and abs(columns.max() - 124) <= 1
    assert drawn[75:125, 74:77].any(axis=1).all(), "the left edge of the near side"
    assert drawn[83, 90:110].all() or drawn[82:85, 90:110].any(axis=0).all(), "the upper edge of the far side"
    assert not drawn[98:103, 90:105].any(), "nothing but frames, and the front is at the right"


def test_front_is_filled_where_the_object_looks() -> None:
    """Yaw 0 faces right, so its front is a sliver; turned by -90 degrees it faces the camera."""
    towards = ahead()
    towards[8] = math.pi / 2
    away = ahead()
    away[8] = -math.pi / 2
    middles = []
    for parameters in (towards, away):
        scene = cuboids([parameters])
        pixels = np.asarray(draw_boxes3d(gray_image(scene), scene, labels=False)).astype(int)
        middles.append((abs(pixels[78:82, 95:105] - 120).max(), abs(pixels[98:102, 95:105] - 120).max()))
    front = [cuboids([p])[BOXES3D].corners[0, [1, 2, 5, 6], 2].mean().item() for p in (towards, away)]
    assert sorted(front) == pytest.approx([4, 6])
    nearer = int(front[1] < front[0])
    assert middles[nearer][0] > 10 and middles[nearer][1] > 10, "the whole near side is filled"
    assert middles[1 - nearer][0] == 0 and middles[1 - nearer][1] > 10, "only the far side is filled, and it is smaller"


def test_twelve_edges_and_the_near_ones() -> None:
    assert len(EDGES) == 12 and all(sum(corner in edge for edge in EDGES) == 3 for corner in range(8))
    corners = cuboids([ahead()])[BOXES3D].corners[0].double().numpy()
    assert near_side(corners) == {edge for edge in EDGES if set(edge) <= set(FACES[2])}
    aside = cuboids([ahead(x=4.0)])[BOXES3D].corners[0].double().numpy()
    assert len(near_side(aside)) == 7
    inside = cuboids([ahead(z=0.5)])[BOXES3D].corners[0].double().numpy()
    assert near_side(inside) == set(EDGES)


def test_behind_the_camera_is_cut_off() -> None:
    gray = gray_image(cuboids([]))
    behind = cuboids([ahead(z=-5.0)])
    assert not changed(draw_boxes3d(gray, behind)).any()
    around = cuboids([[0, 1.5, 0, 2, 1, 8, 0, 0, math.pi / 2]])  # from 4 m behind to 4 m before, below the camera
    drawn = changed(draw_boxes3d(gray, around, labels=False))
    assert drawn[125:].any() and not drawn[:120].any(), "what is below stays below, with nothing from behind"
    view = View.of(gray, around)
    ends = view.clipped(np.array([[0.0, 0.01, 1.0], [0.0, 0.01, -1.0]]))
    assert ends[:, 1].max() == pytest.approx(100 + 100 * 0.01 / NEAR)
    assert len(view.clipped(np.array([[0.0, 0, -1], [0, 0, -2]]))) == 0


def test_cutting_a_square_by_hand() -> None:
    square = np.array([[0.0, 0, 1], [2, 0, 1], [2, 2, 1], [0, 2, 1]])
    half = cut(square, square[:, 0] - 1)
    assert {tuple(point) for point in half.tolist()} == {(1, 0, 1), (2, 0, 1), (2, 2, 1), (1, 2, 1)}
    assert len(cut(square, square[:, 0] - 3)) == 0 and len(cut(square, square[:, 0] + 1)) == 4


def test_boxes_that_cannot_be_are_left_out() -> None:
    nan = math.nan
    broken = [[nan, 0, 5, 1, 1, 1, 0, 0, 0], [0, 0, 5, 0, 1, 1, 0, 0, 0], [0, 0, 5, 1, 1, -1, 0, 0, 0]]
    scene = cuboids([*broken, ahead()])
    alone = cuboids([ahead()])
    one, other = (draw_boxes3d(gray_image(s), s, labels=False) for s in (scene, alone))
    np.testing.assert_array_equal(changed(one), changed(other))
    left_handed = scene[BOXES3D].rotation.clone()
    left_handed[3] = -left_handed[3]
    scene = replace(scene, values={BOXES3D: replace(scene[BOXES3D], rotation=left_handed)})
    assert not changed(draw_boxes3d(gray_image(scene), scene)).any()
    unknown = replace(alone, valid={BOXES3D: torch.tensor([False])})
    assert not changed(draw_boxes3d(gray_image(unknown), unknown)).any()


def test_labels_tell_score_distance_and_what_is_a_guess() -> None:
    scene = cuboids([ahead(z=4.0, x=3.0), ahead()])
    boxes = replace(scene[BOXES3D], scores=torch.tensor([0.5, 0.25]))
    scored = replace(scene, values={BOXES3D: boxes})
    image = gray_image(scene)
    assert [tag.text for tag in cuboid_tags(View.of(image, scene), scene)] == ["crate · 5.0 m", "crate · 5.0 m"]
    texts = {tag.text for tag in cuboid_tags(View.of(image, scored), scored)}
    assert texts == {"crate 0.50 · 5.0 m", "crate 0.25 · 5.0 m"}
    for camera in (None, replace(CAMERA, assumed=True)):
        guess = replace(scene, camera=camera)
        assert all("~5.0 m" in tag.text for tag in cuboid_tags(View.of(image, guess), guess))
        empty = replace(guess, values={BOXES3D: boxes[[]]}, streams={})
        assert changed(draw_boxes3d(image.resize((600, 600)), empty))[580:, :60].any()


def test_enlarged_images_have_the_same_boxes() -> None:
    scene = cuboids([ahead()])
    image = gray_image(scene).resize((600, 600))
    rows, columns = np.nonzero(changed(draw_boxes3d(image, scene, labels=False)))
    assert abs(rows.min() - 225) <= 2 and abs(columns.max() - 374) <= 2


@pytest.mark.parametrize("index", [0, 1])
def test_boxes_of_synthetic_scenes_fit_their_masks(index: int) -> None:
    """Projected corners hold the whole object, and not much more than its 2D box with its hidden parts."""
    scene = sk.dataset("synthetic", split="test", cache=False, keys=["boxes3d", "masks", "amodal_masks"])[index].scene
    view = View.of(gray_image(scene), scene)
    for row in range(len(scene.objects)):
        corners = view.homogeneous(scene[BOXES3D].corners[row].double().numpy())
        if corners[:, 2].min() > NEAR:
            pixels = corners[:, :2] / corners[:, 2:]
            x0, y0, x1, y1 = scene.objects.boxes[row].tolist()
            assert (pixels.min(axis=0) <= (x0 + 1, y0 + 1)).all() and (pixels.max(axis=0) >= (x1 - 1, y1 - 1)).all()


def test_scene_with_nothing_else_is_drawn_with_its_boxes() -> None:
    scene = cuboids([ahead()])
    assert changed(draw_scene(scene, gray_image(scene))).any()
