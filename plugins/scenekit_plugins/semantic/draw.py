"""Label maps drawn over the image. Letters: H W pixels of the scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int
from PIL import Image
from scipy import ndimage

from scenekit.keys import SEMANTIC
from scenekit.scene import Scene
from scenekit.visualization.canvas import enlarge_map, paint_map
from scenekit.visualization.draw import MAP_OPACITY, NAMED_SHARE, Region, around, named_regions
from scenekit.visualization.palette import label_color, stuff_color
from scenekit.visualization.text_labels import Tag, draw_tags


def draw_semantic(image: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Draw every pixel tinted by its label, with the name in each connected part that has room for it.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: A scene with a label map.
        labels: Whether to write class names.

    Returns:
        A new image of the same size.
    """
    names = scene.vocabulary.labels
    ids = scene[SEMANTIC].cpu().numpy()
    present = [int(label) for label in np.unique(ids) if 0 <= label < len(names)]
    things = len(scene.vocabulary.things)
    colors = {label: label_color(label) if label < things else stuff_color(label, names[label]) for label in present}
    drawn = paint_map(image, enlarge_map(ids, image.size), colors, MAP_OPACITY)
    tags = [
        Tag(names[label], colors[label], around(spot), spot)
        for label, spot in named_regions(image, scene, label_parts(ids, present))
    ]
    return draw_tags(drawn, tags) if labels else drawn


def label_parts(ids: Int[np.ndarray, "H W"], labels: Iterable[int]) -> Iterator[Region]:
    """Yield each label with each of its connected parts that is large enough to be named."""
    for label in labels:
        parts, _ = ndimage.label(ids == label)
        shares = np.bincount(parts.ravel()) / parts.size
        yield from ((label, parts == part) for part in range(1, len(shares)) if shares[part] > NAMED_SHARE)
