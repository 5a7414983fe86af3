"""Colors that distinguish labels, also for color-blind readers, and stay the same from image to image.

Labels get colors one after the other, each as far as possible from all before it: greedy farthest-point selection in
OKLab, where distance follows perception (Ottosson, "A perceptual color space for image processing", 2020). The distance
that counts is the smallest over normal vision and three simulated deficiencies (Machado, Oliveira and Fernandes, "A
physiologically-based model for simulation of color vision deficiency", 2009, severity 1).

Letters: N colors, P colors of the palette, C candidates, S kinds of sight.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from jaxtyping import Float

Color = tuple[int, int, int]
"""Gamma-encoded sRGB, 0 to 255."""

BLACK: Color = (17, 19, 24)
WHITE: Color = (255, 255, 255)

PALETTE_SIZE = 48
"""Labels beyond that start over; more colors cannot be distinguished."""

FIRST_COLOR = (0.72, 0.14, 240.0)
"""Lightness, chroma, hue (degrees) of label 0: a clear sky blue."""

LIGHTNESS = (0.60, 0.70, 0.80, 0.88)
CHROMA = (0.09, 0.13, 0.17, 0.21)
HUE_STEPS = 36
"""The candidates: neither near black nor near white nor gray, so that a fill shows on any image."""

DEFICIENCY_WEIGHT = 1.6
"""Simulated deficiencies squeeze all colors together; their distances count this much more than normal sight's."""

INSTANCE_LIGHTNESS, INSTANCE_HUE = 0.14, 24.0
"""How far objects of one label may differ from its color, each way."""

NATURAL_COLORS: Mapping[str, Color] = {
    **dict.fromkeys(("sky",), (120, 180, 235)),
    **dict.fromkeys(("cloud", "clouds", "fog"), (205, 218, 230)),
    **dict.fromkeys(("water", "sea", "river", "lake", "ocean", "waterdrops"), (50, 115, 185)),
    **dict.fromkeys(("pool",), (70, 170, 205)),
    **dict.fromkeys(("snow", "ice"), (232, 240, 248)),
    **dict.fromkeys(("grass", "lawn", "field"), (110, 175, 75)),
    **dict.fromkeys(("tree", "trees", "bush", "vegetation", "plant", "plants", "leaves", "forest"), (50, 125, 60)),
    **dict.fromkeys(("terrain", "moss", "hill"), (150, 170, 100)),
    **dict.fromkeys(("road", "street", "asphalt", "parking"), (120, 118, 125)),
    **dict.fromkeys(("pavement", "sidewalk", "path", "platform"), (175, 165, 165)),
    **dict.fromkeys(("railroad", "rail", "gravel", "stone", "rock"), (140, 132, 122)),
    **dict.fromkeys(("ground", "dirt", "mud", "earth", "soil"), (150, 112, 75)),
    **dict.fromkeys(("sand", "beach", "desert"), (222, 196, 135)),
    **dict.fromkeys(("mountain",), (130, 125, 150)),
    **dict.fromkeys(("wall",), (205, 190, 170)),
    **dict.fromkeys(("brick",), (178, 92, 70)),
    **dict.fromkeys(("floor", "flooring"), (165, 140, 115)),
    **dict.fromkeys(("carpet", "rug"), (150, 95, 110)),
    **dict.fromkeys(("wood", "cabinet", "shelf"), (160, 115, 70)),
    **dict.fromkeys(("ceiling",), (225, 222, 212)),
    **dict.fromkeys(("window", "glass", "mirror"), (165, 205, 215)),
    **dict.fromkeys(("building", "house", "skyscraper"), (165, 130, 125)),
    **dict.fromkeys(("bridge", "fence"), (150, 130, 95)),
}
"""Colors of stuff by a word of its name, as people expect them: things keep the colors of the palette."""

MUTED_CHROMA = 0.55
"""Part of its colorfulness that a muted color keeps."""

STEPS = (0.7548776662, 0.5698402910)
"""Multiples of these, modulo 1, fill the unit square evenly, so that neighboring ids get clearly different shades.

They are powers of 1 / plastic number (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
"""

# Rows: linear R, G, B as seen with no, protan, deutan and tritan deficiency.
SIGHTS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
# Ottosson's matrices: linear sRGB to cone responses, and their cube roots to lightness, green-red, blue-yellow.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
CONES_BACK, OPPONENTS_BACK = np.linalg.inv(CONES), np.linalg.inv(OPPONENTS)


def label_color(label: int, muted: bool = False) -> Color:
    """Return the color of a label.

    Args:
        label: Index of the label in the vocabulary.
        muted: Whether to reduce the chroma, for stuff, which covers much of an image.

    Returns:
        RGB, 0 to 255.
    """
    lab = np.array(palette()[label % PALETTE_SIZE])
    return to_color(lab * (0.92, MUTED_CHROMA, MUTED_CHROMA) if muted else lab)


def stuff_color(label: int, name: str) -> Color:
    """Return the color of stuff: the natural one of its name where there is one, else that of its label, muted.

    Args:
        label: Index of the label in the vocabulary.
        name: Its name, such as "grass", "sky-other-merged" or "ground_track_field".

    Returns:
        RGB, 0 to 255.
    """
    words = re.findall(r"[a-z]+", name.lower())
    natural = (NATURAL_COLORS[word] for word in (" ".join(words), *words) if word in NATURAL_COLORS)
    return next(natural, None) or label_color(label, muted=True)


def object_color(label: int, identity: int) -> Color:
    """Return a shade of the label's color, so that objects of one label differ.

    Args:
        label: Index of the label in the vocabulary.
        identity: Identity of the object; it keeps its shade while it is tracked.

    Returns:
        RGB, 0 to 255.
    """
    lightness, chroma, hue = lch_from_lab(np.array(palette()[label % PALETTE_SIZE]))
    lighter, turn = (2 * ((0.5 + identity * step) % 1) - 1 for step in STEPS)
    lightness = min(max(lightness + INSTANCE_LIGHTNESS * lighter, 0.52), 0.92)
    return to_color(lab_from_lch(lightness, chroma, hue + INSTANCE_HUE * turn))


def ink_on(color: Color) -> Color:
    """Return black or white, whichever has the higher contrast (WCAG 2 relative luminance).

    Args:
        color: The background.

    Returns:
        RGB.
    """
    on, black, white = (0.05 + luminance(ink) for ink in (color, BLACK, WHITE))
    return BLACK if on / black > white / on else WHITE


def luminance(color: Color) -> float:
    """Return the relative luminance as WCAG 2 defines it.

    Args:
        color: RGB, 0 to 255.

    Returns:
        0 to 1.
    """
    return float(linear_from_srgb(np.array(color) / 255) @ (0.2126, 0.7152, 0.0722))


def to_hex(color: Color) -> str:
    """Format a color for HTML.

    Args:
        color: RGB, 0 to 255.

    Returns:
        `#rrggbb`.
    """
    return "#{:02x}{:02x}{:02x}".format(*color)


@lru_cache(maxsize=1)
def palette() -> tuple[tuple[float, float, float], ...]:
    """Return PALETTE_SIZE colors, the most different ones first.

    Returns:
        Colors in OKLab.
    """
    candidates = displayable_candidates()
    seen = as_seen(candidates)
    nearest = np.full(len(candidates), np.inf)
    chosen = [0]
    while len(chosen) < PALETTE_SIZE:
        nearest = np.minimum(nearest, distance_as_seen(seen, chosen[-1]))
        chosen.append(int(nearest.argmax()))
    return tuple((float(light), float(red), float(yellow)) for light, red, yellow in candidates[chosen])


def displayable_candidates() -> Float[np.ndarray, "C 3"]:
    """Return the colors to choose from, FIRST_COLOR in front, without those that no screen shows.

    Returns:
        Colors in OKLab.
    """
    hues = np.arange(HUE_STEPS) * 360 / HUE_STEPS
    grid = [lab_from_lch(light, chroma, hue) for light in LIGHTNESS for chroma in CHROMA for hue in hues]
    lab = np.stack([lab_from_lch(*FIRST_COLOR), *grid])
    linear = linear_from_lab(lab)
    return lab[((linear >= 0) & (linear <= 1)).all(axis=1)]


def as_seen(lab: Float[np.ndarray, "C 3"]) -> Float[np.ndarray, "S C 3"]:
    """Compute how each kind of sight perceives colors.

    Args:
        lab: Colors in OKLab.

    Returns:
        Perceived colors in OKLab, by kind of sight.
    """
    linear = np.einsum("sij,cj->sci", SIGHTS, linear_from_lab(lab))
    seen: Float[np.ndarray, "S C 3"] = np.cbrt(linear.clip(0, 1) @ CONES.T) @ OPPONENTS.T
    return seen


def distance_as_seen(seen: Float[np.ndarray, "S C 3"], index: int) -> Float[np.ndarray, " C"]:
    """Return how different every candidate is from one of them.

    Args:
        seen: Perceived colors, as `as_seen` returns them.
        index: The one.

    Returns:
        Distances for the kind of sight with the least difference.
    """
    distance = np.linalg.norm(seen - seen[:, index : index + 1], axis=-1)
    distance[1:] *= DEFICIENCY_WEIGHT
    least: Float[np.ndarray, " C"] = distance.min(axis=0)
    return least


def lab_from_lch(lightness: float, chroma: float, hue: float) -> Float[np.ndarray, "3"]:
    """Convert lightness, chroma and hue to OKLab.

    Args:
        lightness: 0 to 1.
        chroma: 0 for gray.
        hue: In degrees.

    Returns:
        The color in OKLab.
    """
    angle = math.radians(hue)
    return np.array([lightness, chroma * math.cos(angle), chroma * math.sin(angle)])


def lch_from_lab(lab: Float[np.ndarray, "3"]) -> tuple[float, float, float]:
    """Convert OKLab to lightness, chroma and hue.

    Args:
        lab: The color in OKLab.

    Returns:
        Lightness, chroma, and hue in degrees.
    """
    light, red, yellow = (float(value) for value in lab)
    return light, math.hypot(red, yellow), math.degrees(math.atan2(yellow, red))


def linear_from_lab(lab: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Convert OKLab to linear sRGB.

    Args:
        lab: Colors in OKLab.

    Returns:
        Linear sRGB; outside [0, 1] where no screen shows the color.
    """
    linear: Float[np.ndarray, "*n 3"] = (lab @ OPPONENTS_BACK.T) ** 3 @ CONES_BACK.T
    return linear


def linear_from_srgb(srgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Convert sRGB to linear sRGB (IEC 61966-2-1).

    Args:
        srgb: Gamma-encoded colors, 0 to 1.

    Returns:
        Linear colors, 0 to 1.
    """
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_color(lab: Float[np.ndarray, "3"]) -> Color:
    """Return the nearest displayable color.

    Args:
        lab: The color in OKLab.

    Returns:
        8-bit sRGB.
    """
    linear = linear_from_lab(lab).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(value) for value in (srgb * 255).round())
    return red, green, blue
