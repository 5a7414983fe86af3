"""ADE20K's folders as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from scenekit.data.sample import Sample, Supervision
from scenekit.io.images import read_image
from scenekit.keys import MASKS, OBJECTS, PANOPTIC, SEMANTIC, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures import Masks
from scenekit_datasets.ade20k.classes import Classes
from scenekit_datasets.ade20k.layout import Image
from scenekit_datasets.ade20k.segments import Segments, read_segments
from scenekit_datasets.label_maps import masks_in
from scenekit_datasets.roots import Exif, Faulty, check_index, skipping

KEYS: tuple[Key[Any, Any], ...] = (MASKS, SEMANTIC, PANOPTIC)
"""Labels of the files beside objects."""


class ADE20K(Dataset[Sample]):
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
        self.images, self.classes, self.keys = tuple(images), classes, frozenset(keys)
        self.vocabulary = classes.vocabulary
        self.faulty: Faulty = faulty
        self.exif: Exif = exif
        numbers = [files.id for files in self.images]
        self.ids = numbers if len(set(numbers)) == len(numbers) else list(range(len(numbers)))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Load one sample.

        Args:
            index: Index of the image.

        Returns:
            The sample.

        Raises:
            InputError: If a file is damaged; SkippedSampleError for faulty="skip".
        """
        check_index(index, len(self))
        files = self.images[index]
        with skipping(self.faulty):
            image = read_image(files.image, upright=self.exif == "apply")
            scene = self._scene(files, (int(image.shape[1]), int(image.shape[2])))
        streams = frozenset(scene.streams)
        return Sample(
            image, scene, Supervision(frozenset(scene.values), streams=streams, exhaustive=streams), self.ids[index]
        )

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
