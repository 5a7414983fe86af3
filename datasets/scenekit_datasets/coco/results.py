"""Predictions as COCO's results files (https://cocodataset.org/#format-results).

One file for each kind of value, as COCO's server expects: a result that holds a box and a mask would be ranged by the
area of its box when masks are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scenekit.io.coco_records import CocoReader
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, Key
from scenekit.scene import Scene
from scenekit_datasets.coco.dataset import CocoDataset
from scenekit_datasets.coco.export import rgb, save_png
from scenekit_datasets.results import Ids, write_json

Row = dict[str, Any]

_KEYS: Mapping[str, Key[Any, Any]] = {"segm": MASKS, "keypoints": KEYPOINTS}


class CocoResults:
    """Writes `bbox.json`, `segm.json`, `keypoints.json`, and `panoptic.json` with the folder `panoptic`.

    A kind that no scene has is not written. Where the data set is not of COCO's style, `image_info.json` lists the ids.

    Args:
        folder: Where to write.
        data: The data set, or None.
    """

    def __init__(self, folder: Path, data: Any = None) -> None:
        self.folder = folder
        self.ids = Ids(data.category_ids if isinstance(data, CocoDataset) else None)
        self._reader = data.sources[0].index.reader if isinstance(data, CocoDataset) else CocoReader()
        self._rows: dict[str, list[Row]] = {}

    def add(self, scene: Scene, id: int, name: str) -> None:
        """Add one image.

        Args:
            scene: Its predictions.
            id: Its id.
            name: Its path or another name.
        """
        self.ids.image(scene, id, name)
        if OBJECTS in scene.streams:
            self._add_objects(scene, id)
        if PANOPTIC in scene:
            self._rows.setdefault("panoptic", []).append(self._panoptic(scene, id))

    def finish(self) -> list[Path]:
        """Write the files.

        Returns:
            Their paths.
        """
        wrap = {"panoptic": lambda rows: {"annotations": rows}}
        paths = [
            write_json(self.folder / f"{kind}.json", wrap.get(kind, list)(rows)) for kind, rows in self._rows.items()
        ]
        return [*paths, *self.ids.finish(self.folder)]

    def _add_objects(self, scene: Scene, id: int) -> None:
        image, objects, names = self._reader.images.name(id), scene.objects, scene.vocabulary.things
        scores = torch.ones(len(objects)) if objects.scores is None else objects.scores
        categories = [self.ids.category(names[label]) for label in objects.labels.tolist()]
        values: dict[str, list[Row]] = {"bbox": [{"bbox": _xywh(box)} for box in objects.boxes.tolist()]}
        if MASKS in scene:
            values["segm"] = [{"segmentation": rle} for rle in scene[MASKS].to_json()]
        if KEYPOINTS in scene:
            values["keypoints"] = [{"keypoints": points} for points in _triplets(scene)]
        for kind, fields in values.items():
            valid = scene.rows_with(_KEYS[kind]).tolist() if kind in _KEYS else [True] * len(objects)
            self._rows.setdefault(kind, []).extend(
                {"image_id": image, "category_id": self._reader.categories.name(category), "score": score, **field}
                for category, score, field, is_valid in zip(categories, scores.tolist(), fields, valid, strict=True)
                if is_valid and category is not None
            )

    def _panoptic(self, scene: Scene, id: int) -> Row:
        """Write the map of an image, and return its entry; pixels of classes that are left out have the id 0."""
        panoptic, file_name = scene[PANOPTIC], f"{id:012d}.png"
        categories = {
            segment.id: self.ids.category(scene.vocabulary.labels[segment.label]) for segment in panoptic.segments
        }
        named = {n: self._reader.categories.name(id) for n, id in categories.items() if id is not None}
        kept = torch.isin(panoptic.ids, torch.tensor(list(named), dtype=panoptic.ids.dtype))
        save_png(rgb(torch.where(kept, panoptic.ids, 0)), self.folder / "panoptic" / file_name)
        segments = [{"id": number, "category_id": category} for number, category in named.items()]
        return {"image_id": self._reader.images.name(id), "file_name": file_name, "segments_info": segments}


def _xywh(box: list[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _triplets(scene: Scene) -> list[list[float]]:
    """Return x, y, visibility of all keypoints of each object."""
    points = scene[KEYPOINTS]
    rows = torch.cat((points.xy.nan_to_num(0), points.visibility[..., None].float()), dim=-1)
    return rows.flatten(1).tolist()
