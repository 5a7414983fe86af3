"""The scene from above: where metres are on the sheet, by hand, and what is shown."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.keys import BOXES3D
from scenekit.visualization.plan import PAPER, SHORTEST, SIDE, Sheet, grid_step
from scenekit_plugins.boxes3d.birds_eye import Ground, border_rays, draw_birds_eye, footer, not_far_off
from scenekit_plugins.boxes3d.cuboids import has_front
from tests.visualization.spatial_scenes import CAMERA, ahead, cuboids


def test_metres_on_the_sheet_by_hand() -> None:
    sheet = Sheet.around(np.array([[0.0, 0.0], [5.0, 10.0]]))
    assert sheet.pixels_per_metre == pytest.approx(SIDE / 11.6) and sheet.size[1] == SIDE
    x, y = sheet.pixels(np.array([2.5, 5.0]))
    assert (x, y) == pytest.approx((sheet.size[0] / 2, sheet.size[1] / 2))
    right, up = sheet.pixels(np.array([3.5, 5.0])), sheet.pixels(np.array([2.5, 6.0]))
    assert (right - (x, y)).tolist() == pytest.approx([SIDE / 11.6, 0])
    assert (up - (x, y)).tolist() == pytest.approx([0, -SIDE / 11.6])


def test_level_camera_sees_its_own_x_and_z() -> None:
    boxes = cuboids([ahead(), [1, 0, 3, 1, 2, 4, 0, 0, 0.3]])[BOXES3D]
    ground = Ground.under(boxes)
    np.testing.assert_allclose(ground.plan(np.array([[1.0, 5.0, 2.0]])), [[1, 2]], atol=1e-6)
    bottom = ground.plan(boxes.corners[:, [3, 2, 6, 7]].double().numpy())
    np.testing.assert_allclose(bottom, boxes.footprints.numpy(), atol=1e-5)


def test_tilted_camera_gives_the_same_plan() -> None:
    """A camera that looks down by 30 degrees, 1.6 m above the ground, and the plan of what stands there."""
    level = cuboids([[1, 1.6, 4, 1, 1, 2, 0, 0, 0.4], [-1, 1.6, 6, 1, 1, 2, 0, 0, 2.0]])[BOXES3D]
    tilt = math.radians(30)
    turn = torch.tensor(
        [[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]], dtype=torch.float32
    )
    tilted = replace(level, center=level.center @ turn.T, rotation=turn @ level.rotation)
    plans = [Ground.under(boxes).plan(boxes.corners.double().numpy()) for boxes in (level, tilted)]
    np.testing.assert_allclose(*plans, atol=1e-5)


def test_synthetic_objects_stand_on_one_plane() -> None:
    """Some of them lie on their side: seen from above, an upright object's top covers its bottom."""
    boxes = sk.dataset("synthetic", split="test", cache=False, keys=["boxes3d"])[0].scene[BOXES3D]
    upright = boxes.rotation[:, 1, 1] > 0.9
    assert 3 < upright.sum() < len(boxes)
    corners = Ground.under(boxes).plan(boxes[upright].corners.double().numpy())
    np.testing.assert_allclose(corners[:, [0, 1, 4, 5]], corners[:, [3, 2, 7, 6]], atol=1e-3)


def test_objects_lie_on_their_side_only_where_none_is_upright() -> None:
    lying = cuboids([[0, 0, 5, 1, 1, 1, math.pi / 2, 0, 0]])[BOXES3D]
    np.testing.assert_allclose(Ground.under(lying).right, [1, 0, 0], atol=1e-6)


def test_wedge_is_what_the_camera_sees() -> None:
    rays = border_rays(CAMERA, (200, 200))
    np.testing.assert_allclose(rays / rays[:, 2:], [[-1, 0, 1], [1, 0, 1]], atol=1e-6)


def test_grid_steps_are_round() -> None:
    assert [grid_step(metres) for metres in (0.9, 5.0, 8.0, 18.0, 100.0, 800.0)] == [0.1, 0.5, 1, 2, 10, 100]


def test_what_is_much_farther_than_most_is_told_not_shown() -> None:
    assert not_far_off([2.0, 3.0, 4.0, 90.0]) == [0, 1, 2] and not_far_off([]) == []
    near, far = [ahead(z) for z in (4.0, 5.0, 6.0)], [ahead(300.0)]
    with_far, without = (draw_birds_eye(cuboids(boxes)) for boxes in (near + far, near))
    assert with_far.size == without.size
    height = with_far.height - 60
    whole = (0, 0, with_far.width, height)
    np.testing.assert_array_equal(np.asarray(with_far.crop(whole)), np.asarray(without.crop(whole)))
    sheet = Sheet.around(np.array([[0.0, 0.0], [5.0, 10.0]]))
    assert footer(sheet, 1, False) == "from above · grid 2 m · 1 much farther, not shown"
    assert "camera assumed" in footer(sheet, 0, True) and "not shown" not in footer(sheet, 0, True)


def test_right_is_right_and_far_is_up() -> None:
    scene = cuboids([ahead(4.0, x=-2.0, side=1.0), ahead(8.0, x=2.0, side=1.0)])
    scene = replace(scene, streams={k: replace(v, labels=torch.tensor([0, 1])) for k, v in scene.streams.items()})
    pixels = np.asarray(draw_birds_eye(scene, labels=False)).astype(int)
    colorful = np.ptp(pixels, axis=2) > 40
    y, x = np.nonzero(colorful)
    left, right = y[x < x.mean()], y[x > x.mean()]
    assert left.min() > right.max()


def test_nothing_to_show_and_broken_boxes() -> None:
    empty = draw_birds_eye(cuboids([]))
    assert max(empty.size) >= SIDE and min(empty.size) >= SHORTEST
    assert empty.getpixel((2, empty.height - 2)) == PAPER
    broken = draw_birds_eye(cuboids([[math.nan, 0, 5, 1, 1, 1, 0, 0, 0]]))
    np.testing.assert_array_equal(np.asarray(broken), np.asarray(empty))
    assert draw_birds_eye(replace(cuboids([ahead()]), camera=None)).size[0] >= SHORTEST


def test_things_without_a_front_get_no_arrow() -> None:
    """The same box, as a thing with a front and as one that looks the same all round."""
    fronted = cuboids([ahead(4.0)])
    symmetry = dict.fromkeys(fronted.vocabulary.things, 0)
    round_ones = replace(fronted, vocabulary=replace(fronted.vocabulary, symmetry=symmetry))
    with_arrow, without = (np.asarray(draw_birds_eye(s, labels=False)) for s in (fronted, round_ones))
    assert (with_arrow != without).any()
    assert [has_front(s) for s in (fronted, round_ones)] == [[True], [False]]


def test_two_scenes_of_an_image_have_one_scale() -> None:
    near, far = cuboids([ahead()]), cuboids([ahead(), ahead(20.0)])
    alone = draw_birds_eye(near)
    beside, other = draw_birds_eye(near, beside=far), draw_birds_eye(far, beside=near)
    assert beside.size == other.size and beside.tobytes() != alone.tobytes()
    assert draw_birds_eye(near, beside=sk.Scene(near.size, near.vocabulary)).tobytes() == alone.tobytes()
