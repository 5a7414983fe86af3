"""Descriptions written at their regions."""

from __future__ import annotations

from PIL import Image, ImageDraw

from scenekit.keys import CAPTIONS, OBJECTS, PHRASE_CAPTIONS, PHRASES
from scenekit.scene import Objects, Scene
from scenekit.structures.captions import Captions
from scenekit.visualization.canvas import Style, draw_smooth, scale_of
from scenekit.visualization.palette import BLACK, label_color
from scenekit.visualization.text_labels import Rect, Tag, draw_tags

SHOWN = 12
"""So many phrases, best first, can be distinguished in one image."""

LONGEST = 48
"""Characters of a text that are written out."""


def draw_captions(image: Image.Image, scene: Scene) -> Image.Image:
    """Draw the best described regions, each a box with its text, and a score for predictions.

    These are the phrases; of a scene without any, the objects that have descriptions.
    """
    regions, captions = described_regions(scene)
    texts = region_texts(regions, captions)
    rects = {row: _rect(image, scene, regions, row) for row in texts}
    colors = {row: label_color(place) for place, row in enumerate(texts)}
    line = Style.of(image).line

    def paint(layer: ImageDraw.ImageDraw, zoom: int) -> None:
        for row, rect in rects.items():
            corners = [zoom * value for value in rect]
            layer.rounded_rectangle(corners, 3 * line, outline=(*BLACK, 130), width=zoom * line + 2)
            layer.rounded_rectangle(corners, 3 * line, outline=colors[row], width=zoom * line)

    drawn = draw_smooth(image, paint) if rects else image.copy()
    return draw_tags(drawn, [Tag(text, colors[row], rects[row]) for row, text in texts.items()])


def described_regions(scene: Scene) -> tuple[Objects, Captions]:
    """Return phrases with their descriptions; without these, objects with theirs."""
    if PHRASE_CAPTIONS in scene:
        return scene.regions(PHRASES), scene[PHRASE_CAPTIONS]
    return scene.regions(OBJECTS), scene[CAPTIONS]


def region_texts(regions: Objects, captions: Captions) -> dict[int, str]:
    """Return the text at each region by its row, best first: the first of its texts, and the region's score."""
    rows = [row for row, texts in enumerate(captions.texts) if texts and texts[0] and _has_area(regions, row)]
    if regions.scores is None:
        return {row: _shortened(captions.texts[row][0]) for row in rows[:SHOWN]}
    scores = regions.scores.tolist()
    ranked = sorted(rows, key=lambda row: -scores[row])[:SHOWN]
    return {row: f"{_shortened(captions.texts[row][0])} {scores[row]:.2f}" for row in ranked}


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def _has_area(regions: Objects, row: int) -> bool:
    x0, y0, x1, y1 = regions.boxes[row].tolist()
    return bool(x0 < x1 and y0 < y1)  # not where one is NaN


def _rect(image: Image.Image, scene: Scene, regions: Objects, row: int) -> Rect:
    """Return a region's box in pixels of the image, clipped to it."""
    (sx, sy), (x0, y0, x1, y1) = scale_of(image, scene), regions.boxes[row].tolist()
    right, bottom = image.width - 1.0, image.height - 1.0
    x, y = min(max(x0 * sx, 0.0), right), min(max(y0 * sy, 0.0), bottom)
    return x, y, min(max(x1 * sx - 1, x), right), min(max(y1 * sy - 1, y), bottom)
