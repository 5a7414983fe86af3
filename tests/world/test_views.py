"""What a camera has in view, by hand."""

import numpy as np

from scenekit.world.views import View
from tests.world.posed import CAMERA, SIZE, UPRIGHT, looking


def view() -> View:
    """At the origin, 1 m high, looking along x; 300 pixels per unit, 320 x 240."""
    return View(0.0, looking((0, 0, 1), (1, 0, 1)), CAMERA.matrix.double().numpy(), SIZE)


def test_inside_the_image() -> None:
    points = np.array([[3.0, 0, 1], [3.0, 1.4, 1], [3.0, 1.7, 1], [-3.0, 0, 1], [3.0, 0, 2.3], [0.1, 0, 1]])
    """At 3 m the image is 3.2 m wide and 2.4 m high, less a border of 2 %."""
    assert view().contains(points, np.ones(6)).tolist() == [True, True, False, False, False, False]


def test_small_ones_are_too_far() -> None:
    """0.1 m at 3 m are 10 pixels; the least are 8 of 320: up to 3.75 m."""
    points = np.array([[3.7, 0, 1], [3.8, 0, 1]])
    assert view().contains(points, np.full(2, 0.1)).tolist() == [True, False]


def test_behind_a_box() -> None:
    points = np.array([[4.0, 0, 1], [4.0, 1.2, 1], [1.0, 0, 1], [2.0, 0, 1]])
    wall = np.array([[2.0, 0, 1]]), np.array([[1.0, 1.0, 0.2]]), UPRIGHT[None]
    assert view().hidden(points, *wall).tolist() == [True, False, False, False]
    around = np.array([[0.0, 0, 1]]), np.array([[1.0, 1.0, 1.0]]), UPRIGHT[None]
    assert not view().hidden(points, *around).any(), "a box around the camera hides nothing"
    assert not view().hidden(points, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3))).any()
