"""Small files in COCO's style: two images with a box for each class."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (48, 64)
"""Height and width of the images."""


def write(folder: Path, things: Sequence[str], skeleton: Mapping[str, Any] | None = None, **header: Any) -> str:
    """A file with the classes, in whose images the objects of the classes stand side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    categories = [{"id": n, "name": name, "isthing": 1} for n, name in enumerate(things, 1)]
    if skeleton is not None:
        categories[0] |= skeleton
    noise, width = np.random.default_rng(0), SIZE[1] // len(things)
    images, annotations = [], []
    for image in (1, 2):
        Image.fromarray(noise.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(folder / f"{image}.png")
        images.append({"id": image, "file_name": f"{image}.png", "height": SIZE[0], "width": SIZE[1]})
        for category in range(len(things)):
            box = [category * width, 4, width - 2, 36]
            entry = {"id": len(annotations) + 1, "image_id": image, "category_id": category + 1, "bbox": box}
            annotations.append({**entry, "area": box[2] * box[3], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": categories, **header}
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return str(path)
