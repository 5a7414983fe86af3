"""Charts: points stand where the axes say, and what is not finite is left out."""

from __future__ import annotations

import math

import numpy as np

from scenekit.visualization.line_chart import MARGIN, PANEL_SIZE, Panel, draw_panels
from scenekit.visualization.palette import label_color
from scenekit.visualization.recall_curves import draw_recall

TICKS = (1.0, 10.0, 100.0)


def test_a_logarithmic_axis_spaces_factors_equally() -> None:
    panel = Panel("", "", {}, TICKS, logarithmic=True)
    places = [panel.place(x, 0.5)[0] for x in TICKS]
    assert places[0] == MARGIN[0] and places[2] == PANEL_SIZE[0] - MARGIN[2]
    assert math.isclose(places[1], (places[0] + places[2]) / 2)
    assert panel.place(1.0, 1.0)[1] == MARGIN[1] and panel.place(1.0, 0.0)[1] == PANEL_SIZE[1] - MARGIN[3]


def test_points_are_drawn_in_the_color_of_their_line() -> None:
    lines = {"one": [(1.0, 0.1), (100.0, 0.1)], "two": [(1.0, math.nan), (10.0, 0.5)]}
    panel = Panel("title", "number", lines, TICKS, logarithmic=True)
    image = draw_panels([panel, panel])
    assert image.size == (2 * PANEL_SIZE[0], PANEL_SIZE[1])
    for shift in (0, PANEL_SIZE[0]):
        for number, point in ((0, (100.0, 0.1)), (0, (10.0, 0.1)), (1, (10.0, 0.5))):
            x, y = panel.place(*point)
            seen = np.array(image.getpixel((round(x) + shift, round(y))), dtype=int)
            assert abs(seen - label_color(number)).max() < 40


def test_nothing_measured_is_drawn_as_empty_axes() -> None:
    nan = [math.nan]
    curves = {"count": [1], "iou": [0.5], **dict.fromkeys(("AR", "R50", "R75", "R@100", "R@300", "R@1000"), nan)}
    alone, compared = draw_recall({"a": {"curves": curves}}), draw_recall({n: {"curves": curves} for n in "ab"}, 100)
    assert alone.size == compared.size == (2 * PANEL_SIZE[0], PANEL_SIZE[1])
