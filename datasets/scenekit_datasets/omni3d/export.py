"""Writing samples of any data set with 3D boxes as Omni3D's JSON and images.

Letters: N objects.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.io.files import write_atomically
from scenekit.keys import BOXES3D, TRUNCATION, VISIBILITY, Key
from scenekit.ops.boxes3d import project_cuboids
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.exporting import consistent
from scenekit_datasets.omni3d.labels import ABSENT

FILE, IMAGES = "annotations.json", "images"

REGION = "dontcare"
"""Category of regions that may contain any object."""

Fields = dict[str, Any]


def write_omni3d(samples: Iterable[Sample], folder: str | Path) -> Path:
    """Write `annotations.json`, in the format of `omni3d_train.json`, and the images of samples into a folder.

    `scenekit score omni3d` and the data set `omni3d` read it. Categories are the things of the vocabulary, numbered
    from 1. An object's box is `bbox2D_tight`; ignored objects and those without a 3D box are not `valid3D`; crowds have
    the category "dontcare". Objects are renumbered through all images.

    Args:
        samples: Samples with one vocabulary and known cameras.
        folder: The folder, which is created.

    Returns:
        Path of the JSON file.

    Raises:
        InputError: If there is no sample, two have the same id, their vocabularies differ, or a camera is unknown.
    """
    folder = Path(folder)
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    images: dict[int, Fields] = {}
    annotations: list[Fields] = []
    vocabulary: Vocabulary | None = None
    for sample in consistent(samples):
        vocabulary = sample.scene.vocabulary
        images[sample.id] = _image(sample, folder)
        rows = ({"image_id": sample.id, **row} for row in _annotations(sample.scene))
        annotations += [{"id": n, **row} for n, row in enumerate(rows, start=len(annotations) + 1)]
    assert vocabulary is not None
    data = {"info": {"name": folder.name}, "images": list(images.values()), "annotations": annotations}
    data["categories"] = [{"id": n, "name": name} for n, name in enumerate((*vocabulary.things, REGION), start=1)]
    write_atomically(folder / FILE, json.dumps(data, allow_nan=False).encode())
    return folder / FILE


def _image(sample: Sample, folder: Path) -> Fields:
    """Return the entry of one image and write the image."""
    if sample.scene.camera is None or sample.scene.camera.assumed:
        raise InputError(f"sample {sample.id} has no known camera, which Omni3D's files require")
    content, name = io.BytesIO(), f"{IMAGES}/{sample.id:012d}.png"
    Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(content, format="png")
    write_atomically(folder / name, content.getvalue())
    height, width = sample.scene.size
    return {
        "id": sample.id,
        "file_path": name,
        "height": height,
        "width": width,
        "K": sample.scene.camera.matrix.tolist(),
        "dataset_id": 0,
    }


def _annotations(scene: Scene) -> Iterator[Fields]:
    """Yield one entry per object; a crowd of several classes once."""
    objects, things = scene.objects, scene.vocabulary.things
    crowds: set[tuple[float, ...]] = set()
    boxes3d = _box3d_fields(scene)
    for row, (box, label) in enumerate(zip(objects.boxes.tolist(), objects.labels.tolist(), strict=True)):
        place = len(things) if bool(objects.crowd[row]) else label
        if place == len(things):
            if tuple(box) in crowds:
                continue
            crowds.add(tuple(box))
        known = boxes3d.get(row)
        yield {
            "category_id": place + 1,
            "category_name": (*things, REGION)[place],
            "bbox2D_tight": box,
            "valid3D": known is not None and not bool(objects.ignore[row]),
            "truncation": _share(scene, TRUNCATION, row),
            "visibility": _share(scene, VISIBILITY, row),
            "segmentation_pts": ABSENT,
            "lidar_pts": ABSENT,
            "depth_error": ABSENT,
            **(known or _no_box3d()),
        }


def _box3d_fields(scene: Scene) -> Mapping[int, Fields]:
    """Return fields by row, for objects with a 3D box."""
    if BOXES3D not in scene or scene.camera is None:
        return {}
    assert scene.camera is not None
    boxes = scene[BOXES3D]
    projected = project_cuboids(boxes.corners, scene.camera.matrix, scene.size)
    inside = clip_boxes_to_image(projected.boxes, scene.size)
    return {
        row: {
            "center_cam": boxes.center[row].tolist(),
            "dimensions": boxes.size[row].tolist(),
            "R_cam": boxes.rotation[row].tolist(),
            "bbox3D_cam": boxes.corners[row].tolist(),
            "bbox2D_proj": projected.boxes[row].tolist(),
            "bbox2D_trunc": inside[row].tolist(),
            "behind_camera": bool(projected.fully_behind[row]),
        }
        for row in (scene.rows_with(BOXES3D) & boxes.valid).nonzero()[:, 0].tolist()
    }


def _no_box3d() -> Fields:
    """Return Omni3D's fields of an object without a 3D box."""
    return {
        "center_cam": [ABSENT] * 3,
        "dimensions": [ABSENT] * 3,
        "R_cam": [[ABSENT] * 3] * 3,
        "bbox3D_cam": [[ABSENT] * 3] * 8,
        "bbox2D_proj": [ABSENT] * 4,
        "bbox2D_trunc": [ABSENT] * 4,
        "behind_camera": False,
    }


def _share(scene: Scene, key: Key[Any, Float[Tensor, " N"]], row: int) -> float:
    """Return a value from 0 to 1, -1 where it is unknown."""
    value = torch.nan if key not in scene or not scene.rows_with(key)[row] else float(scene[key][row])
    return ABSENT if value != value else value
