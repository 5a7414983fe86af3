"""Masks in a recording for rerun's viewer. Letters: N objects, H W pixels of the scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt16

from scenekit.keys import MASKS
from scenekit.scene import Scene
from scenekit.visualization.draw import object_colors, object_texts
from scenekit.visualization.palette import BLACK


def record_masks(scene: Scene) -> Mapping[str, tuple[Any, ...]]:
    """Return row + 1 at each pixel of an object, with names and colors."""
    import rerun as rr

    texts = enumerate(zip(object_texts(scene), object_colors(scene), strict=True), 1)
    # Nothing is see-through: 0 is no object.
    context = rr.AnnotationContext([(0, "", (*BLACK, 0)), *((number, text, color) for number, (text, color) in texts)])
    return {"world/camera/image/masks": (rr.SegmentationImage(ids_of_masks(scene)), context)}


def ids_of_masks(scene: Scene) -> UInt16[np.ndarray, "H W"]:
    """Return row + 1 of the object at each pixel, the smaller of two where they overlap; 0 where there is none."""
    ids, masks = np.zeros(scene.size, dtype=np.uint16), scene[MASKS]
    rows, areas = scene.rows_with(MASKS).nonzero()[:, 0].tolist(), masks.area.tolist()
    for row in sorted(rows, key=lambda row: -areas[row]):
        ids[masks[[row]].dense[0].numpy()] = row + 1
    return ids
