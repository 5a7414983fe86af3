"""Contact sheet of scenes with their labels: python -m scenekit_datasets.synthetic.preview OUT.png [--seed S]."""

from __future__ import annotations

import argparse
import colorsys

import numpy as np
from PIL import Image, ImageDraw

from scenekit_datasets.synthetic.scene import SyntheticScene, generate
from scenekit_datasets.synthetic.vocabulary import SKELETON, THINGS

Color = tuple[int, int, int]


def hue(index: int) -> Color:
    """Return well separated bright colors (steps of the golden ratio around the color wheel).

    Args:
        index: Number of the color.

    Returns:
        The color.
    """
    red, green, blue = colorsys.hsv_to_rgb((index * 0.618034) % 1.0, 0.75, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


def annotated(scene: SyntheticScene) -> Image.Image:
    """Draw masks, boxes, names and skeletons over the image.

    Args:
        scene: The scene.

    Returns:
        The drawing.
    """
    shown = scene.image.astype(np.float32)
    for index, mask in enumerate(scene.masks):
        shown[mask] = shown[mask] * 0.6 + np.array(hue(index)) * 0.4
    image = Image.fromarray(shown.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for index, (box, label) in enumerate(zip(scene.boxes, scene.labels, strict=True)):
        draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=hue(index))
        draw.text((box[0] + 2, box[1]), THINGS[label], fill=(255, 255, 255))
        _draw_skeleton(draw, scene.keypoints[index])
    return image


def _draw_skeleton(draw: ImageDraw.ImageDraw, points: np.ndarray) -> None:
    """Draw limbs between labelled joints; visible joints are green, hidden ones red. `points` is [K 3]."""
    for a, b in SKELETON:
        if points[a, 2] and points[b, 2]:
            draw.line((*points[a, :2], *points[b, :2]), fill=(255, 255, 0))
    for x, y, seen in points:
        if seen:
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(0, 255, 0) if seen == 2 else (255, 0, 0))


def sheet(scenes: list[SyntheticScene], columns: int = 6, plain: bool = False) -> Image.Image:
    """Draw scenes side by side.

    Args:
        scenes: The scenes.
        columns: Scenes per row.
        plain: Whether to omit the labels.

    Returns:
        The drawing.
    """
    tiles = [Image.fromarray(scene.image) if plain else annotated(scene) for scene in scenes]
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    out = Image.new("RGB", (columns * width, rows * height))
    for index, tile in enumerate(tiles):
        out.paste(tile, (index % columns * width, index // columns * height))
    return out


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Draw a contact sheet of synthetic scenes.")
    parser.add_argument("out", help="image to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="index of the first scene")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--plain", action="store_true", help="leave the labels out")
    args = parser.parse_args()
    scenes = [generate(args.seed, args.start + index) for index in range(args.count)]
    sheet(scenes, plain=args.plain).save(args.out)


if __name__ == "__main__":
    main()
