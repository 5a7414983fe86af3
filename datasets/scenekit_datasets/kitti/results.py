"""Predictions as KITTI's text files: a file for each image, a line for each object."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.io.files import write_atomically
from scenekit.keys import BOXES3D
from scenekit.metrics.kitti import TYPES
from scenekit.scene import Scene
from scenekit_datasets.kitti.calibration import read_calibration
from scenekit_datasets.kitti.dataset import Kitti

UNKNOWN_ANGLE, UNKNOWN_PLACE = -10.0, -1000.0
"""Of objects without a 3D box."""


class KittiResults:
    """Writes a text file for each image, named like it.

    Classes are those of the label files for the data set `kitti`, else those of the vocabulary, with underscores for
    spaces. 3D boxes of that data set are in the frame of camera 0, as its labels are; others in that of their camera.

    Args:
        folder: Where to write.
        data: The data set, or None.
    """

    def __init__(self, folder: Path, data: Any = None) -> None:
        self.folder = folder
        self.images = dict(zip(data.ids, data.images, strict=True)) if isinstance(data, Kitti) else {}
        self.names = names_of(data) if isinstance(data, Kitti) else {}
        self._stems: Counter[str] = Counter()

    def add(self, scene: Scene, id: int, name: str) -> None:
        """Write the file of one image.

        Args:
            scene: Its predictions.
            id: Its id.
            name: Its path or another name.
        """
        image = self.images.get(id)
        stem = Path(name).stem if image is None else image.name
        self._stems[stem] += 1
        stem = stem if self._stems[stem] == 1 else f"{stem}-{self._stems[stem]}"
        shift = torch.zeros(3) if image is None else read_calibration(image.calibration).shift
        text = "".join(f"{line}\n" for line in _lines(scene, shift, self.names))
        write_atomically(self.folder / f"{stem}.txt", text.encode())

    def finish(self) -> list[Path]:
        """Return the folder, in which every file is written already.

        Returns:
            The folder.
        """
        return [self.folder]


def names_of(data: Kitti) -> dict[str, str]:
    """Return the classes of the label files.

    Args:
        data: The data set.

    Returns:
        KITTI's class by name in the vocabulary; of several under one name, the first.
    """
    official, classes = {name.lower(): name for name in TYPES}, data.rules.classes
    names: dict[str, str] = {}
    for name, label in classes.labels.items():
        names.setdefault(classes.things[label], official.get(name.lower(), name))
    return names


def _lines(scene: Scene, shift: Float[Tensor, " 3"], names: Mapping[str, str]) -> list[str]:
    """Return a line for each object: class, truncation and occlusion (-1, unknown), and numbers."""
    objects, things = scene.objects, scene.vocabulary.things
    columns = objects.labels.tolist(), objects.boxes.tolist(), _places(scene, shift), _scores(scene).tolist()
    return [
        " ".join((_class(things[label], names), "-1 -1", *(f"{number:.9g}" for number in (alpha, *box, *place, score))))
        for label, box, (alpha, *place), score in zip(*columns, strict=True)
    ]


def _class(name: str, names: Mapping[str, str]) -> str:
    return "_".join(names.get(name, name).split())


def _places(scene: Scene, shift: Float[Tensor, " 3"]) -> list[list[float]]:
    """Return alpha, height, width, length, the middle of the lower face, and the yaw of each object."""
    unknown = [UNKNOWN_ANGLE, -1.0, -1.0, -1.0, *[UNKNOWN_PLACE] * 3, UNKNOWN_ANGLE]
    if BOXES3D not in scene:
        return [unknown] * len(scene.objects)
    boxes = scene[BOXES3D]
    center, size, yaw = boxes.center.double() - shift.double(), boxes.size.double(), boxes.roll_pitch_yaw[:, 2].double()
    floor = center + size[:, 1:2] / 2 * center.new_tensor([0.0, 1.0, 0.0])
    alpha = torch.remainder(yaw - torch.atan2(center[:, 0], center[:, 2]) + math.pi, 2 * math.pi) - math.pi
    columns = torch.cat((alpha[:, None], size[:, [1, 0, 2]], floor, yaw[:, None]), dim=1).tolist()
    known = (scene.rows_with(BOXES3D) & boxes.valid).tolist()
    return [row if is_known else unknown for row, is_known in zip(columns, known, strict=True)]


def _scores(scene: Scene) -> Float[Tensor, " N"]:
    """Return the scores of the 3D boxes where they have any, else those of the objects."""
    of_boxes = scene[BOXES3D].scores if BOXES3D in scene else None
    scores = scene.objects.scores if of_boxes is None else of_boxes
    return torch.ones(len(scene.objects)) if scores is None else scores.nan_to_num(0)
