"""Cityscapes' folders as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import BOXES3D, MASKS, OBJECTS, PANOPTIC, SEMANTIC, TRUNCATION, VISIBILITY, Key
from scenekit.scene import Scene
from scenekit.structures import Camera
from scenekit.structures.geometry import Size
from scenekit_datasets.cityscapes.boxes import VehicleFile, read_camera, read_vehicles
from scenekit_datasets.cityscapes.classes import VOCABULARY
from scenekit_datasets.cityscapes.labels import VEHICLES, labels_of
from scenekit_datasets.cityscapes.layout import Image
from scenekit_datasets.cityscapes.segments import read_segments
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.image_labels import Labels
from scenekit_datasets.roots import Faulty, ImageReporter

KEYS: tuple[Key[Any, Any], ...] = (MASKS, SEMANTIC, PANOPTIC, BOXES3D, TRUNCATION, VISIBILITY)
"""Labels of the files beside objects."""


class Cityscapes(FileDataset):
    """Images with maps of instances and 3D boxes of vehicles, as far as they exist.

    Args:
        images: Files of the images.
        keys: Labels to load beside objects.
        exhaustive: Whether every object is annotated.
        faulty: Whether to refuse faulty entries and damaged files or to skip them.
    """

    def __init__(
        self,
        images: Sequence[Image],
        *,
        keys: Collection[Key[Any, Any]] = KEYS,
        exhaustive: bool = True,
        faulty: Faulty = "refuse",
    ) -> None:
        super().__init__(faulty)
        self.images, self.keys, self.exhaustive = tuple(images), frozenset(keys), exhaustive
        self.vocabulary = VOCABULARY
        self.reporter = ImageReporter(faulty)

    def __len__(self) -> int:
        return len(self.images)

    def _sample(self, index: int) -> Sample:
        files = self.images[index]
        image = self._image(files.image)
        scene = self._scene(index, files, (int(image.shape[1]), int(image.shape[2])))
        streams = frozenset(scene.streams)
        supervision = Supervision(
            keys=frozenset(scene.values),
            classes=None if files.instances or not streams else VEHICLES,
            streams=streams,
            exhaustive=streams if self.exhaustive else frozenset(),
        )
        return Sample(image, scene, supervision, index)

    def _scene(self, index: int, files: Image, size: Size) -> Scene:
        vehicles = None if files.boxes is None else read_vehicles(files.boxes)
        scene = Scene(size, self.vocabulary, camera=_camera(files, vehicles, size), path=str(files.image))
        if files.classes is not None and SEMANTIC in self.keys:
            scene = replace(scene, values={SEMANTIC: read_segments(files.classes, size).semantic})
        if files.instances is None and vehicles is None:
            return scene
        segments = None if files.instances is None else read_segments(files.instances, size)
        labels: Labels = labels_of(segments, vehicles, size)
        self.reporter.report(index, labels.issues)
        values = {key: value for key, value in {**scene.values, **labels.values}.items() if key in self.keys}
        valid = {key: rows for key, rows in labels.valid.items() if key in self.keys}
        return replace(scene, streams={OBJECTS: labels.objects}, values=values, valid=valid)


def _camera(files: Image, vehicles: VehicleFile | None, size: Size) -> Camera | None:
    """Return the camera of the 3D boxes, else that of a file of its own."""
    camera = vehicles.camera if vehicles is not None else read_camera(files.camera) if files.camera else None
    if camera is not None:
        try:
            camera.check(size)
        except InputError as error:
            raise InputError(f"{files.boxes or files.camera}: {error}") from None
    return camera
