"""Pascal VOC as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.io.images import image_size
from scenekit.keys import ATTRIBUTES, MASKS, OBJECTS, SEMANTIC, Key
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.file_dataset import FileDataset, exhaustive
from scenekit_datasets.roots import Exif, Faulty, ImageReporter, check_index, image_of_size, skipping
from scenekit_datasets.voc.annotation import FLAGS, Rules, labels_of, read_annotation, size_of
from scenekit_datasets.voc.layout import ImageFiles
from scenekit_datasets.voc.maps import masks_of, semantic_of

KEYS: tuple[Key[Any, Any], ...] = (SEMANTIC, MASKS, ATTRIBUTES)
"""Labels of the files beside objects."""

BACKGROUND = "background"
"""The kind of stuff of all pixels that belong to no class."""


class VOC(FileDataset):
    """The images of a split.

    Args:
        images: Files of the images.
        rules: How objects are created.
        keys: Labels to load beside objects.
        drop_empty: Whether to skip images without an object.
        faulty: Whether to refuse faulty objects and maps or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        images: Sequence[ImageFiles],
        rules: Rules,
        *,
        keys: Collection[Key[Any, Any]] = KEYS,
        drop_empty: bool = False,
        faulty: Faulty = "skip",
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        self.rules, self.keys = rules, frozenset(keys)
        mapped = SEMANTIC in self.keys and any(files.classes for files in images)
        self.vocabulary = Vocabulary(rules.classes, stuff=(BACKGROUND,) if mapped else (), attributes=FLAGS)
        self.reporter = ImageReporter(faulty)
        self.images = tuple(images)
        if drop_empty:
            self.images = tuple(files for files in images if self._has_objects(files))
        if not self.images:
            raise InputError("no image is left; check the options classes and drop_empty")

    def __len__(self) -> int:
        return len(self.images)

    def _sample(self, index: int) -> Sample:
        files = self.images[index]
        scene = self.scene(index)
        image = image_of_size(files.image, scene.size, files.annotation or files.image, self.exif)
        return Sample(image, scene, exhaustive(scene), index)

    def scene(self, index: int) -> Scene:
        """Return the labels of an image without reading the image.

        Args:
            index: Index of the image.

        Returns:
            The ground truth.
        """
        check_index(index, len(self))
        files, issues = self.images[index], list[str]()
        with skipping(self.faulty):
            scene = self._with_objects(files, issues)
            if files.classes is not None and self.keys & {SEMANTIC, MASKS}:
                scene = self._with_maps(scene, files, issues)
            self.reporter.report(index, issues)
        return scene

    def _with_objects(self, files: ImageFiles, issues: list[str]) -> Scene:
        if files.annotation is None:
            size = image_size(files.image, upright=self.exif == "apply")
            return Scene(size, self.vocabulary, path=str(files.image))
        element = read_annotation(files.annotation)
        size = size_of(element, files.annotation)
        labels = labels_of(element, files.annotation, self.rules, size)
        issues += labels.issues
        values = {key: value for key, value in labels.values.items() if key in self.keys}
        return Scene(size, self.vocabulary, {OBJECTS: labels.objects}, values, path=str(files.image))

    def _with_maps(self, scene: Scene, files: ImageFiles, issues: list[str]) -> Scene:
        """Add the labels of pixels; those of damaged files are issues."""
        assert files.classes is not None
        values, valid = dict(scene.values), dict(scene.valid)
        try:
            semantic = semantic_of(files.classes, scene.size, len(self.rules.classes))
            if SEMANTIC in self.keys:
                values[SEMANTIC] = semantic
            if MASKS in self.keys and files.objects is not None and OBJECTS in scene.streams:
                values[MASKS], valid[MASKS] = masks_of(files.objects, semantic, scene.objects, issues)
        except InputError as error:
            issues.append(str(error))
        return replace(scene, values=values, valid=valid)

    def _has_objects(self, files: ImageFiles) -> bool:
        if files.annotation is None:
            return False
        return read_annotation(files.annotation).find("object") is not None
