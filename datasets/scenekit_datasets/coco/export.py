"""Writing samples of any data set as the JSON and PNG files that the data set `coco` reads.

Letters: H W pixels.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.io.files import plain, write_atomically
from scenekit.keys import (
    AMODAL_MASKS,
    ATTRIBUTES,
    BOXES3D,
    CAPTIONS,
    DEPTH,
    IMAGE,
    KEYPOINTS,
    MASKS,
    OBJECTS,
    PANOPTIC,
    PHRASE_CAPTIONS,
    PHRASES,
    RELATIONS,
    SEMANTIC,
    Key,
    Stream,
)
from scenekit.scene import Scene
from scenekit.structures import Panoptic
from scenekit.structures.vocabulary import Skeleton, Vocabulary
from scenekit_datasets.coco.further_keys import FIELD, ORDER, row_entries
from scenekit_datasets.coco.images import MILLIMETRE
from scenekit_datasets.coco.vocabulary import LISTS
from scenekit_datasets.exporting import consistent

_log = logging.getLogger(__name__)

FILE = "annotations.json"

Fields = dict[str, Any]


def write_coco(samples: Iterable[Sample], folder: str | Path) -> Path:
    """Write `annotations.json`, the images and the maps of samples into a folder.

    Images are PNG files named by the sample's id; depth is rounded to millimetres, or as finely as 16 bits allow.
    Objects are renumbered through all images. Keys without a field of COCO's own, such as those of plugins, are written
    by their names as their fields encode them (see `further_keys`); only those of other streams than OBJECTS and
    PHRASES are skipped, with a warning.

    ```python
    write_coco(sk.dataset("synthetic", length=100), "scenes")
    ```

    Args:
        samples: Samples with one vocabulary.
        folder: The folder, which is created.

    Returns:
        Path of the JSON file.

    Raises:
        InputError: If there is no sample, two have the same id, or their vocabularies differ.
    """
    folder = Path(folder)
    images: dict[int, Fields] = {}
    annotations: list[Fields] = []
    vocabulary: Vocabulary | None = None
    skipped: set[str] = set()
    for sample in consistent(samples):
        vocabulary = sample.scene.vocabulary
        first = len(annotations) + 1
        annotations += [{"id": first + n, "image_id": sample.id, **row} for n, row in enumerate(_rows(sample.scene))]
        images[sample.id] = _image(sample, folder, first)
        skipped |= {key.name for key in set(sample.scene.values) - written(sample.scene)}
    assert vocabulary is not None
    if skipped:
        _log.warning("labels without a place in COCO-style files: %s", ", ".join(sorted(skipped)))
    data = {**_header(vocabulary), "images": list(images.values()), "annotations": annotations}
    write_atomically(folder / FILE, json.dumps(plain(data)).encode())
    return folder / FILE


def _header(vocabulary: Vocabulary) -> Fields:
    """Return the fields of the whole file; categories are numbered from 1 in the order of the labels."""
    categories = [
        {
            "id": n,
            "name": name,
            "isthing": int(n <= len(vocabulary.things)),
            **_skeleton(vocabulary.skeletons.get(name)),
            **({"symmetry": vocabulary.symmetry[name]} if name in vocabulary.symmetry else {}),
        }
        for n, name in enumerate(vocabulary.labels, start=1)
    ]
    names = ("predicates", "attributes", "mirror_predicates", "mirror_words")
    return {
        "categories": categories,
        **{name: getattr(vocabulary, name) for name in names if getattr(vocabulary, name)},
        **({LISTS: vocabulary.lists} if vocabulary.lists else {}),
    }


def _skeleton(skeleton: Skeleton | None) -> Fields:
    if skeleton is None:
        return {}
    limbs = [[skeleton.points.index(name) + 1 for name in edge] for edge in skeleton.edges]
    return {"keypoints": skeleton.points, "skeleton": limbs, "mirror": skeleton.mirror, "sigmas": skeleton.sigmas}


def _rows(scene: Scene) -> list[Fields]:
    """Return one entry per object, without the ids."""
    objects = scene.objects
    rows: list[Fields] = [
        {"category_id": label + 1, "bbox": _xywh(box), "area": area, "iscrowd": int(crowd)}
        for box, label, area, crowd in zip(
            objects.boxes.tolist(), objects.labels.tolist(), objects.area.tolist(), objects.crowd.tolist(), strict=True
        )
    ]
    for n in objects.ignore.nonzero()[:, 0].tolist():
        rows[n]["ignore"] = 1
    for key, fields_of in _ROW_FIELDS.items():
        if key in scene:
            for n in scene.rows_with(key).nonzero()[:, 0].tolist():
                rows[n].update(fields_of(scene, n))
    for row, entry in zip(rows, row_entries(scene, _further(scene, OBJECTS)), strict=True):
        row.update({FIELD: entry} if entry else {})
    return rows


def _xywh(box: list[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _keypoints(scene: Scene, row: int) -> Fields:
    points, own = scene[KEYPOINTS], list(scene.vocabulary.points_of(scene.names()[row]))
    flags = points.visibility[row, own].tolist()
    xy = points.xy[row, own].nan_to_num(0).tolist()
    labelled = sum(flag > 0 for flag in flags)
    if not labelled:
        return {}
    return {"keypoints": [n for (x, y), v in zip(xy, flags, strict=True) for n in (x, y, v)], "num_keypoints": labelled}


def _attributes(scene: Scene, row: int) -> Fields:
    """Return a list of the attributes that hold where all are known, else a value for each known one."""
    values = scene[ATTRIBUTES][row]
    held = {name: value for name, value in zip(scene.vocabulary.attributes, values.tolist(), strict=True)}
    if not bool(values.isnan().any()):
        return {"attributes": [name for name, value in held.items() if value]}
    return {"attributes": {name: int(value) for name, value in held.items() if value == value}}


def _box3d(scene: Scene, row: int) -> Fields:
    return {name: getattr(scene[BOXES3D], name)[row].tolist() for name in ("center", "size", "rotation")}


_ROW_FIELDS: Mapping[Key[Any, Any], Callable[[Scene, int], Fields]] = {
    MASKS: lambda scene, row: {"segmentation": scene[MASKS][[row]].to_json()[0]},
    AMODAL_MASKS: lambda scene, row: {"amodal_segmentation": scene[AMODAL_MASKS][[row]].to_json()[0]},
    KEYPOINTS: _keypoints,
    ATTRIBUTES: _attributes,
    CAPTIONS: lambda scene, row: {"captions": list(scene[CAPTIONS].texts[row])},
    BOXES3D: _box3d,
}


def _image(sample: Sample, folder: Path, first: int) -> Fields:
    """Return the entry of one image and write its files; `first` is the id of its first object."""
    scene, name = sample.scene, f"{sample.id:012d}.png"
    save_png(sample.image.permute(1, 2, 0).numpy(), folder / "images" / name)
    entry: Fields = {"id": sample.id, "file_name": f"images/{name}", "height": scene.size[0], "width": scene.size[1]}
    if scene.camera is not None and not scene.camera.assumed:
        entry["camera"] = scene.camera.matrix.tolist()
    if RELATIONS in scene:
        entry["relations"] = _relations(scene, first)
    if PHRASE_CAPTIONS in scene:
        boxes, texts = scene.regions(PHRASES).boxes.tolist(), scene[PHRASE_CAPTIONS].texts
        entry["phrases"] = [
            {"bbox": _xywh(box), "captions": list(text)} for box, text in zip(boxes, texts, strict=True)
        ]
    for key, write in _MAPS.items():
        if key in scene:
            entry[key.name] = write(scene, folder, name, first)
    if further := {key.name: key.field.encode(scene[key], scene.vocabulary) for key in _further(scene, IMAGE)}:
        entry[FIELD] = further
    if further or _further(scene, OBJECTS):
        entry[ORDER] = list(range(first, first + len(scene.objects)))
    return {**entry, **_claims(sample)}


def _claims(sample: Sample) -> Fields:
    """Return what the labels supervise, where that is less than all of them."""
    supervision, out = sample.supervision, Fields()
    placed, streams = written(sample.scene), frozenset(sample.scene.streams)
    taught = supervision.keys & placed
    if taught != sample.scene.values.keys() & placed or supervision.streams != streams:
        out["supervises"] = sorted(key.name for key in (*taught, *supervision.streams))
    if supervision.classes is not None:
        out["classes"] = sorted(supervision.classes)
    if supervision.partial:
        out["partial"] = sorted(supervision.partial)
    if supervision.map_classes is not None:
        out["map_classes"] = sorted(supervision.map_classes)
    if supervision.exhaustive != supervision.streams:
        out["exhaustive"] = sorted(stream.name for stream in supervision.exhaustive)
    return out if supervision.mirrorable else {**out, "mirrorable": False}


def written(scene: Scene) -> frozenset[Key[Any, Any]]:
    """Return the keys of a scene that these files can hold.

    Args:
        scene: The scene.

    Returns:
        The keys.
    """
    return frozenset({*_own_fields(), *_further(scene, IMAGE), *_further(scene, OBJECTS)})


def _own_fields() -> tuple[Key[Any, Any], ...]:
    return (*_ROW_FIELDS, *_MAPS, RELATIONS, PHRASE_CAPTIONS)


def _further(scene: Scene, of: Stream | None) -> list[Key[Any, Any]]:
    """Return the keys of the image or of the objects without a field in COCO."""
    return [key for key in scene.values if key.of == of and key not in _own_fields()]


def _relations(scene: Scene, first: int) -> list[Fields]:
    relations, names = scene[RELATIONS], scene.vocabulary.predicates
    columns = (relations.subject.tolist(), relations.predicate.tolist(), relations.object.tolist())
    return [
        {"subject_id": first + s, "predicate": names[p], "object_id": first + o}
        for s, p, o in zip(*columns, strict=True)
    ]


def _semantic(scene: Scene, folder: Path, name: str, first: int) -> str:
    ids = torch.where(scene[SEMANTIC] == IGNORE, 0, scene[SEMANTIC] + 1).numpy()
    # 255 would mean "unlabelled".
    save_png(ids.astype(np.uint8 if len(scene.vocabulary.labels) < 255 else np.uint16), folder / "semantic" / name)
    return f"semantic/{name}"


def _panoptic(scene: Scene, folder: Path, name: str, first: int) -> Fields:
    panoptic: Panoptic = scene[PANOPTIC]
    save_png(rgb(panoptic.ids), folder / "panoptic" / name)
    segments = [
        {
            "id": segment.id,
            "category_id": segment.label + 1,
            "iscrowd": int(segment.crowd),
            **({} if segment.object is None else {"annotation_id": first + segment.object}),
        }
        for segment in panoptic.segments
    ]
    return {"file_name": f"panoptic/{name}", "segments_info": segments}


def rgb(ids: Int[Tensor, "H W"]) -> np.ndarray:
    """Return ids as colors.

    Args:
        ids: Ids of segments.

    Returns:
        Pixels [H W 3], with the id as R + 256 G + 65536 B.

    Raises:
        InputError: If an id does not fit.
    """
    if ids.numel() and int(ids.max()) >= 1 << 24:
        raise InputError(f"panoptic ids in a PNG must be below 2^24, got {int(ids.max())}: renumber the segments")
    return torch.stack([(ids >> shift) & 255 for shift in (0, 8, 16)], dim=-1).to(torch.uint8).numpy()


def _depth(scene: Scene, folder: Path, name: str, first: int) -> Fields:
    metres: Float[Tensor, "H W"] = scene[DEPTH].nan_to_num(0, posinf=0, neginf=0).double()
    scale = max(MILLIMETRE, float(metres.max()) / 65535)
    save_png((metres / scale).round().numpy().astype(np.uint16), folder / "depth" / name)
    return {"file_name": f"depth/{name}", "scale": scale}


_MAPS: Mapping[Key[Any, Any], Callable[[Scene, Path, str, int], Any]] = {
    SEMANTIC: _semantic,
    PANOPTIC: _panoptic,
    DEPTH: _depth,
}


def save_png(pixels: np.ndarray, path: Path) -> None:
    """Write a PNG file; its folder is created.

    Args:
        pixels: Pixels [H W] or [H W 3].
        path: The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    write_atomically(path, stream.getvalue())
