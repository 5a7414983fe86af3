"""Colors: distinct for every kind of sight, legible, stable."""

import numpy as np
import pytest

from scenekit.visualization import palette
from scenekit.visualization.palette import BLACK, WHITE, as_seen, ink_on, label_color, object_color, stuff_color


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(color: tuple[int, int, int]) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("srgb", "lab"),
    [
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_oklab_of_known_colors(srgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    """Values of the CSS Color 4 specification's sample conversions."""
    assert palette.to_color(np.array(lab)) == srgb


def test_gray_stays_gray_for_everyone() -> None:
    gray = np.array([[0.6, 0.0, 0.0]])
    np.testing.assert_allclose(as_seen(gray)[:, 0], np.repeat(gray, 4, axis=0), atol=2e-3)


def test_first_colors_differ_for_every_sight() -> None:
    lab = np.array(palette.palette()[:16])
    for sight in as_seen(lab):
        gaps = np.linalg.norm(sight[:, None] - sight[None], axis=-1) + 9 * np.eye(len(sight))
        assert gaps.min() > 0.045  # a difference of 0.02 in OKLab is just noticeable
    assert len({label_color(i) for i in range(palette.PALETTE_SIZE)}) == palette.PALETTE_SIZE
    assert label_color(palette.PALETTE_SIZE) == label_color(0)


def test_text_is_legible_on_every_color() -> None:
    colors = [label_color(i) for i in range(48)] + [object_color(i, j) for i in range(48) for j in range(20)]
    assert min(contrast(color, ink_on(color)) for color in colors) > 4.2
    assert ink_on(BLACK) == WHITE and ink_on(WHITE) == BLACK


def test_objects_of_a_label_are_shades_of_it() -> None:
    shades = [object_color(3, i) for i in range(10)]
    assert len(set(shades)) == 10
    assert shades == [object_color(3, i) for i in range(10)]


@pytest.mark.parametrize(
    ("names", "strongest"),
    [
        (("grass", "grass-merged", "Grass", "tree-merged", "playing field"), 1),
        (("sky", "sky-other-merged", "water-other", "sea", "SKY"), 2),
        (("floor-wood", "brick wall", "wall-brick", "sand", "dirt-merged"), 0),
    ],
)
def test_stuff_has_the_color_that_people_expect(names: tuple[str, ...], strongest: int) -> None:
    """Grass is green, sky and water blue, wood, bricks and sand between red and yellow."""
    for name in names:
        assert int(np.argmax(stuff_color(7, name))) == strongest, name


def test_roads_are_gray_and_other_names_keep_the_palette() -> None:
    assert np.ptp(stuff_color(3, "road")) < 15
    assert stuff_color(3, "banner") == label_color(3, muted=True) != stuff_color(4, "banner")
    assert stuff_color(3, "") == label_color(3, muted=True) == stuff_color(3, "skyline")
