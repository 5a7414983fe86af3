"""Small trees of files in the layout of Visual Genome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (60, 80)
"""Height and width of the images."""

Document = dict[str, Any]


def thing(id: int, name: str | list[str], box: list[float], **more: Any) -> dict[str, Any]:
    """An object of objects.json; `box` is x, y, w, h."""
    names = [name] if isinstance(name, str) else name
    return {"object_id": id, "names": names, **dict(zip("xywh", box, strict=True)), "synsets": [], **more}


def end(id: int, name: str, box: list[float]) -> dict[str, Any]:
    """An end of a relationship: its name is no list."""
    return {"object_id": id, "name": name, **dict(zip("xywh", box, strict=True)), "synsets": []}


def relation(subject: int | dict[str, Any], predicate: str, target: int | dict[str, Any]) -> dict[str, Any]:
    """A relationship; a number stands for an end that says its id alone."""
    ends = [{"object_id": value} if isinstance(value, int) else value for value in (subject, target)]
    return {"relationship_id": 1, "subject": ends[0], "predicate": predicate, "object": ends[1], "synsets": []}


def region(text: str, box: list[float], id: int = 1) -> dict[str, Any]:
    """A described region."""
    x, y, width, height = box
    return {"region_id": id, "image_id": 1, "phrase": text, "x": x, "y": y, "width": width, "height": height}


MAN, HORSE, HAT = [10, 10, 20, 40], [5, 25, 60, 30], [15, 5, 10, 10]


def documents() -> dict[str, Any]:
    """Three images, of which the first has a man in a hat on a horse, the second a hat, the third nothing."""
    objects = [thing(1, "man", MAN), thing(2, " Horse. ", HORSE), thing(3, ["red cap", "hat"], HAT)]
    relations = [
        relation(end(1, "man", MAN), "Riding", end(2, "horse", HORSE)),
        relation(end(1, "man", MAN), " WEARING  ", end(3, "cap", HAT)),
    ]
    attributes = [{**thing(1, "man", MAN), "attributes": ["Tall ", "happy"]}, thing(2, "horse", HORSE)]
    return {
        "image_data": [image(1, "VG_100K_2"), image(2, "VG_100K"), image(3, "VG_100K")],
        "objects": [listed(1, objects=objects), listed(2, objects=[thing(4, "hat", HAT)]), listed(3, objects=[])],
        "relationships": [listed(1, relationships=relations), listed(2, relationships=[]), listed(3, relationships=[])],
        "attributes": [listed(1, attributes=attributes), listed(2, attributes=[]), listed(3, attributes=[])],
        "region_descriptions": [
            {"id": 1, "regions": [region("A man  rides. ", MAN), region("the horse's tail", HORSE)]},
            {"id": 2, "regions": [region("a hat", HAT)]},
            {"id": 3, "regions": []},
        ],
    }


def image(id: int, folder: str) -> Document:
    """An entry of image_data.json."""
    url = f"https://cs.stanford.edu/people/rak248/{folder}/{id}.jpg"
    return {"image_id": id, "url": url, "height": SIZE[0], "width": SIZE[1], "coco_id": None, "flickr_id": None}


def listed(id: int, **rows: Any) -> Document:
    """An entry of one of the other files."""
    return {"image_id": id, **rows}


def write(root: Path, data: dict[str, Any]) -> Path:
    """The files, and an image for each entry of image_data.json."""
    for name, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (root / (name if "." in name else f"{name}.json")).write_text(text, encoding="utf-8")
    for entry in data["image_data"]:
        path = root / "/".join(entry["url"].split("/")[-2:])
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 40 * entry["image_id"] % 256, np.uint8)).save(path)
    return root
