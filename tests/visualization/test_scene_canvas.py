"""The canvas of tasks: what is drawn in pixels of the scene lies on the right pixels of an image of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from scenekit.scene import Scene
from scenekit.visualization import Canvas, on_canvas
from scenekit_plugins.masks.draw import draw_masks
from tests.visualization.scenes import GRAY, gray_image, room

RED = (255, 0, 0)


def canvas(factor: int, size: tuple[int, int] = (40, 60)) -> Canvas:
    """Gray, `factor` times as large as the scene."""
    return Canvas(Image.new("RGB", (factor * size[1], factor * size[0]), GRAY), size)


def changed(drawn: Canvas) -> tuple[int, int, int, int]:
    """Half-open x0, y0, x1, y1 around what is no longer gray."""
    rows, columns = (np.asarray(drawn.image) != GRAY).any(axis=-1).nonzero()
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize("factor", [1, 3, 4])
def test_everything_lies_where_the_scene_has_it(factor: int) -> None:
    boxed, lined, dotted, tinted = (canvas(factor) for _ in range(4))
    boxed.box(torch.tensor([20.0, 10.0, 50.0, 30.0]), RED)
    lined.line([(20, 10), (50, 30)], RED)
    dotted.point((30, 20), RED)
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:30, 20:50] = True
    tinted.fill(mask, RED)
    expected = np.array([20, 10, 50, 30]) * factor
    for drawn in (boxed, lined, tinted):
        np.testing.assert_allclose(changed(drawn), expected, atol=1)
    x0, y0, x1, y1 = changed(dotted)
    assert (x0 + x1) / 2 == pytest.approx(30 * factor, abs=1) and (y0 + y1) / 2 == pytest.approx(20 * factor, abs=1)
    assert boxed.scale == (factor, factor)


def test_texts_stand_at_their_boxes_and_leave_each_other_alone() -> None:
    drawn = canvas(8)
    drawn.texts([((5, 20, 25, 35), "one", RED), ((35, 20, 55, 35), "two", (0, 0, 255))])
    pixels = np.asarray(drawn.image).astype(int)
    red, blue = ((pixels[..., a] - pixels[..., b] > 60).nonzero()[1] for a, b in ((0, 2), (2, 0)))
    assert red.min() >= 5 * 8 and red.max() < 30 * 8 < blue.min()


def test_a_box_beyond_the_border_is_cut_off() -> None:
    assert canvas(2).rect([-5, -5, 70, 50]) == (0, 0, 119, 79)


def test_the_image_that_was_given_stays_as_it_was() -> None:
    image = Image.new("RGB", (60, 40), GRAY)
    Canvas(image, (40, 60)).fill(np.ones((40, 60), dtype=bool), RED)
    assert np.asarray(image).tolist() == np.asarray(canvas(1).image).tolist()


def test_layers_of_whole_images_become_drawings() -> None:
    scene: Scene = room()
    drawn = Canvas(gray_image(scene), scene.size)
    on_canvas(draw_masks)(drawn, scene)
    assert np.asarray(drawn.image).tolist() == np.asarray(draw_masks(gray_image(scene), scene)).tolist()
