"""Meshes over the image: they cover what the masks of synthetic scenes cover, and the nearest is seen."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

import scenekit as sk
from scenekit.keys import MASKS, MESHES
from scenekit.structures import Meshes
from scenekit.visualization.camera_view import View
from scenekit_plugins.meshes.draw import draw_meshes, lit, surface_of, triangles_of
from scenekit_plugins.meshes.raster import visible_faces
from tests.visualization.scenes import gray_image
from tests.visualization.spatial_scenes import CAMERA, triangles
from tests.visualization.test_draw import changed

WALL = [[-3.0, -3.0, 4.0], [3.0, -3.0, 4.0], [-3.0, 3.0, 4.0]]
"""From (25, 25) to (175, 25) and (25, 175)."""

NEARER = [[-1.0, -1.0, 2.0], [0.0, -1.0, 2.0], [-1.0, 0.0, 2.0]]
"""From (50, 50) to (100, 50) and (50, 100)."""


def seen_rows(scene: sk.Scene) -> np.ndarray:
    """The object at each pixel of the scene, -1 for none."""
    surface = surface_of(scene, View.of(gray_image(scene), scene))
    faces = visible_faces(surface.corners, scene.size)
    return np.append(surface.rows, -1)[faces]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_meshes_of_synthetic_scenes_cover_their_masks(index: int) -> None:
    scene = sk.dataset("synthetic", split="test", cache=False, keys=["meshes", "masks"])[index].scene
    rows, masks = seen_rows(scene), scene[MASKS].dense.numpy()
    for row, mask in enumerate(masks):
        if mask.sum() > 50:
            union = (mask | (rows == row)).sum()
            assert (mask & (rows == row)).sum() / union > 0.97, scene.names()[row]


def test_nearest_is_seen_whatever_the_order() -> None:
    for order in ([WALL, NEARER], [NEARER, WALL]):
        rows = seen_rows(triangles(order))
        front, back = order.index(NEARER), order.index(WALL)
        assert rows[60, 60] == front and rows[60, 110] == back and rows[30, 30] == back and rows[180, 180] == -1
        assert (rows == front).sum() == pytest.approx(50 * 50 / 2, abs=60)


def test_drawing_changes_what_is_covered_and_nothing_else() -> None:
    scene = triangles([WALL])
    drawn = changed(draw_meshes(gray_image(scene), scene, labels=False))
    covered = seen_rows(scene) >= 0
    assert drawn[covered].all()
    assert not drawn[~ndimage.binary_dilation(covered, iterations=4)].any(), "only the light rim goes beyond the object"


def test_wireframe_shows_the_image_between_its_lines() -> None:
    scene = triangles([WALL])
    wires, solid = (
        np.asarray(draw_meshes(gray_image(scene), scene, labels=False, wireframe=on)).astype(int)
        for on in (True, False)
    )
    assert abs(wires[60, 60] - 120).max() < abs(solid[60, 60] - 120).max()
    assert abs(wires[25, 60] - 120).max() > 2 * abs(wires[60, 60] - 120).max(), "an edge of the triangle"


def test_behind_the_camera_is_cut_off() -> None:
    floor = [[-50.0, 1.0, -50.0], [50.0, 1.0, -50.0], [0.0, 1.0, 50.0]]
    rows = seen_rows(triangles([floor]))
    assert (rows[:100] == -1).all() and (rows[190, 50:150] == 0).all()
    behind = [[x, y, -z] for x, y, z in WALL]
    assert (seen_rows(triangles([behind])) == -1).all()


def test_faces_that_are_not_finite_are_left_out() -> None:
    broken = [[0.0, 0.0, math.nan], *WALL[1:]]
    assert (seen_rows(triangles([broken, NEARER])) != 0).all() and (seen_rows(triangles([broken, NEARER])) == 1).any()


def test_light_falls_on_the_side_that_is_seen() -> None:
    scene = triangles([WALL, WALL[::-1]])
    brightness = lit(triangles_of(scene)[0])
    assert brightness[0] == pytest.approx(brightness[1]), "both ways round it is the side towards the camera"
    top = np.array([[[-1.0, 1, 3], [1, 1, 3], [0, 1, 5]]])
    below = top * (1, -1, 1)
    assert lit(top)[0] > lit(below)[0], "light comes from above"


def test_no_meshes_no_rows_and_no_camera() -> None:
    scene = triangles([WALL])
    image = gray_image(scene)
    empty = replace(scene, values={MESHES: Meshes.from_lists([torch.zeros(0, 3)], [torch.zeros(0, 3).long()])})
    assert not changed(draw_meshes(image, empty)).any()
    assert not changed(draw_meshes(image, replace(scene, valid={MESHES: torch.tensor([False])}))).any()
    assert not changed(draw_meshes(image, triangles([]))).any()
    for camera in (None, replace(CAMERA, assumed=True)):
        told = draw_meshes(image.resize((600, 600)), replace(empty, camera=camera))
        assert changed(told)[580:, :60].any(), "says so"
