"""ADE20K's folders as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from scenekit.data.sample import Sample
from scenekit.keys import MASKS, OBJECTS, PANOPTIC, SEMANTIC, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures import Masks
from scenekit_datasets.ade20k.classes import Classes
from scenekit_datasets.ade20k.layout import Image
from scenekit_datasets.ade20k.segments import Segments, read_segments
from scenekit_datasets.file_dataset import FileDataset, exhaustive
from scenekit_datasets.label_maps import masks_in
from scenekit_datasets.roots import Exif, Faulty

KEYS: tuple[Key[Any, Any], ...] = (MASKS, SEMANTIC, PANOPTIC)
"""Labels of the files beside objects."""


class ADE20K(FileDataset):
    """Images with their label maps.

    Args:
        images: Files of the images.
        classes: The classes.
        keys: Labels to load beside objects.
        faulty: Whether to refuse damaged files or to skip their images.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        images: Sequence[Image],
        classes: Classes,
        *,
        keys: Collection[Key[Any, Any]] = KEYS,
        faulty: Faulty = "refuse",
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        self.images, self.classes, self.keys = tuple(images), classes, frozenset(keys)
        self.vocabulary = classes.vocabulary
        numbers = [files.id for files in self.images]
        self.ids = numbers if len(set(numbers)) == len(numbers) else list(range(len(numbers)))

    def __len__(self) -> int:
        return len(self.images)

    def _sample(self, index: int) -> Sample:
        files = self.images[index]
        image = self._image(files.image)
        scene = self._scene(files, (int(image.shape[1]), int(image.shape[2])))
        return Sample(image, scene, exhaustive(scene), self.ids[index])

    def _scene(self, files: Image, size: tuple[int, int]) -> Scene:
        segments = read_segments(files, size, self.classes)
        streams: dict[Stream, Objects] = {}
        values: dict[Key[Any, Any], Any] = {}
        if segments.instances is not None:
            values[MASKS] = masks_in(segments.instances, list(segments.labels))
            streams[OBJECTS] = objects_of(segments, values[MASKS])
        if segments.semantic is not None:
            values[SEMANTIC] = torch.from_numpy(segments.semantic)
        if (panoptic := segments.panoptic(len(self.vocabulary.things))) is not None:
            values[PANOPTIC] = panoptic
        wanted = {key: value for key, value in values.items() if key in self.keys}
        return Scene(size, self.vocabulary, streams, wanted, path=str(files.image))


def objects_of(segments: Segments, masks: Masks) -> Objects:
    """Create objects with the boxes and areas of their masks.

    Args:
        segments: The maps.
        masks: A mask for each instance.

    Returns:
        The objects; their ids are those of the instances.
    """
    return Objects(
        masks.boxes,
        torch.tensor(list(segments.labels.values()), dtype=torch.int64),
        ids=torch.tensor(list(segments.labels), dtype=torch.int64),
        area=masks.area,
    )
