"""Omni3D's files, and JSON in their style, as a data set of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import BOXES3D, DEPTH, OBJECTS, TRUNCATION, VISIBILITY, Key
from scenekit.scene import Scene
from scenekit.structures import Camera
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.image_labels import Labels
from scenekit_datasets.omni3d.depth import depth_file, read_depth
from scenekit_datasets.omni3d.index import IGNORED_NAMES, Index
from scenekit_datasets.omni3d.labels import Row, Rules, labels_of
from scenekit_datasets.omni3d.layout import ClassNames
from scenekit_datasets.roots import (
    Exif,
    Faulty,
    ImageReporter,
    check_index,
    image_of_size,
    lacking,
    located,
    report,
)

KEYS: tuple[Key[Any, Any], ...] = (BOXES3D, TRUNCATION, VISIBILITY)
"""Labels of the files beside objects."""

ON_REQUEST: tuple[Key[Any, Any], ...] = (DEPTH,)
"""Labels that are read only if they are named."""

Place = tuple[int, int]
"""Index of a file, and of an image in it."""


class Omni3D(FileDataset):
    """The images of all files.

    Args:
        indices: Indices of the files.
        images: Folder that their paths are relative to.
        classes: Categories to learn.
        rules: How labels are created.
        exhaustive: Whether all objects of the categories that a file lists are annotated.
        drop_empty: Whether to skip images without an annotation of the categories.
        faulty: Whether to refuse faulty entries or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        indices: Sequence[Index],
        images: Path,
        classes: ClassNames,
        rules: Rules,
        *,
        exhaustive: bool = True,
        drop_empty: bool = False,
        faulty: Faulty = "skip",
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        self.indices, self.images, self.classes, self.rules = tuple(indices), images, classes, rules
        self.exhaustive = exhaustive
        self.vocabulary = Vocabulary(classes.things)
        refuse_repeated(self.indices)
        self.files = {place: path for place, path in self._files() if not drop_empty or self._has_objects(place)}
        self.places = list(self.files)
        if not self.places:
            names = ", ".join(str(index.path) for index in self.indices)
            raise InputError(f"no image of {names} is left; check the options root, categories and drop_empty")
        self.reporter = ImageReporter(faulty)
        if faulty == "refuse":
            report([issue for index in range(len(self)) for issue in self.issues(index)], faulty)

    @property
    def category_ids(self) -> dict[str, int]:
        """Ids of the categories by their name in the vocabulary; of several under one name, the first."""
        ids: dict[str, int] = {}
        for index in self.indices:
            for id, name in index.categories.items():
                if name in self.classes.labels:
                    ids.setdefault(self.classes.things[self.classes.labels[name]], id)
        return ids

    def __len__(self) -> int:
        return len(self.places)

    def _sample(self, index: int) -> Sample:
        file, place = self.places[index]
        source, id = self.indices[file], int(self.indices[file].ids[place])
        scene, issues = self._read(index)
        self.reporter.report(index, issues)
        image = image_of_size(Path(str(scene.path)), scene.size, f"{source.path}: image id {id}", self.exif)
        return Sample(image, scene, self._supervision(scene, source), id)

    def scene(self, index: int) -> Scene:
        """Return the labels of an image without reading the image.

        Args:
            index: Index of the image.

        Returns:
            The ground truth.
        """
        return self._read(index)[0]

    def issues(self, index: int) -> list[str]:
        """Return the issues of the annotations of an image.

        Args:
            index: Index of the image.

        Returns:
            One message per issue.
        """
        return self._read(index)[1]

    def _read(self, index: int) -> tuple[Scene, list[str]]:
        check_index(index, len(self))
        file, place = self.places[index]
        source = self.indices[file]
        height, width = source.sizes[place].tolist()
        labels: Labels = labels_of(self._rows(source, place), (height, width), self.rules)
        camera = Camera(torch.from_numpy(source.intrinsics[place]).float())
        path = str(self.images / self.files[file, place])
        streams = {OBJECTS: labels.objects}
        values, issues = dict(labels.values), list(labels.issues)
        if DEPTH in self.rules.keys and (stored := depth_file(Path(path))) is not None:
            try:
                values[DEPTH] = read_depth(stored, (height, width))
            except InputError as error:
                issues.append(str(error))
        return Scene((height, width), self.vocabulary, streams, values, labels.valid, camera, path), issues

    def _rows(self, source: Index, place: int) -> list[Row]:
        """Return annotations of the categories; a region that may contain any object is one of every category."""
        numbers = source.rows_of(place)
        rows: list[Row] = []
        for record, number in zip(source.annotations.read(numbers), numbers, strict=True):
            name = source.categories[int(source.category_ids[number])]
            if name in IGNORED_NAMES:
                rows += [Row(record, label, region=True) for label in range(len(self.classes.things))]
            elif name in self.classes.labels:
                rows.append(Row(record, self.classes.labels[name]))
        return rows

    def _supervision(self, scene: Scene, source: Index) -> Supervision:
        """Return the supervision; categories that a file does not list are not annotated in its images."""
        listed = {self.classes.labels[name] for name in source.categories.values() if name in self.classes.labels}
        classes = None if len(listed) == len(self.classes.things) else frozenset(self.classes.things[n] for n in listed)
        return Supervision(
            keys=frozenset(scene.values),
            classes=classes,
            exhaustive=frozenset({OBJECTS} if self.exhaustive else ()),
        )

    def _files(self) -> Iterator[tuple[Place, str]]:
        """Yield the images whose file exists, and its path."""
        for file, source in enumerate(self.indices):
            found = located(source.names, self.images)
            missing = (
                f"{source.path}: image id {id}: 'file_path' is {lacking(name, self.images)}"
                for id, name, path in zip(source.ids, source.names, found, strict=True)
                if path is None
            )
            report(list(missing), self.faulty)
            yield from (((file, place), path) for place, path in enumerate(found) if path is not None)

    def _has_objects(self, place: Place) -> bool:
        source = self.indices[place[0]]
        ids = source.category_ids[source.rows_of(place[1])]
        return any(source.categories[id] in self.classes.labels for id in ids.tolist())


def refuse_repeated(indices: Sequence[Index]) -> None:
    """Check that ids of images are unique.

    Args:
        indices: Indices of the files.

    Raises:
        InputError: If two files have images of the same id.
    """
    owner: dict[int, Path] = {}
    for index in indices:
        for id in index.ids.tolist():
            if id in owner:
                raise InputError(f"{index.path} and {owner[id]} both have an image id {id}; open them as two data sets")
            owner[id] = index.path
