"""Predictions as Omni3D's results: a JSON list that `scenekit score omni3d` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from scenekit.keys import BOXES3D
from scenekit.scene import Scene
from scenekit_datasets.omni3d.dataset import Omni3D
from scenekit_datasets.results import Ids, write_json

FILE = "omni3d.json"


class Omni3DResults:
    """Writes `omni3d.json`: 2D box, corners in metres, depth and score of each object with a 3D box.

    Where the data set is not of Omni3D's style, `image_info.json` lists the ids. Where it joins several categories
    under one name, the first of them is written.

    Args:
        folder: Where to write.
        data: The data set, or None.
    """

    def __init__(self, folder: Path, data: Any = None) -> None:
        self.folder = folder
        self.ids = Ids(data.category_ids if isinstance(data, Omni3D) else None)
        self._rows: list[dict[str, Any]] = []

    def add(self, scene: Scene, id: int, name: str) -> None:
        """Add one image.

        Args:
            scene: Its predictions.
            id: Its id.
            name: Its path or another name.
        """
        self.ids.image(scene, id, name)
        if BOXES3D not in scene:
            return
        boxes, objects = scene[BOXES3D], scene.objects
        scores = objects.scores if boxes.scores is None else boxes.scores
        scores = torch.ones(len(objects)) if scores is None else scores
        corners = boxes.corners
        for row in (scene.rows_with(BOXES3D) & boxes.valid).nonzero()[:, 0].tolist():
            x, y, right, bottom = objects.boxes[row].tolist()
            category = self.ids.category(scene.vocabulary.things[int(objects.labels[row])])
            if category is not None:
                self._rows.append(
                    {
                        "image_id": id,
                        "category_id": category,
                        "bbox": [x, y, right - x, bottom - y],
                        "score": float(scores[row]),
                        "depth": float(boxes.center[row, 2]),
                        "bbox3D": corners[row].tolist(),
                    }
                )

    def finish(self) -> list[Path]:
        """Write the files.

        Returns:
            Their paths.
        """
        return [write_json(self.folder / FILE, self._rows), *self.ids.finish(self.folder)]
