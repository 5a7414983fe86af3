"""Visual Genome as a data set of samples."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError, nearest
from scenekit.keys import ATTRIBUTES, OBJECTS, PHRASE_CAPTIONS, PHRASES, RELATIONS, Key, Stream
from scenekit.scene import Scene
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.roots import Exif, Faulty, ImageReporter, check_index, image_of_size, report
from scenekit_datasets.visual_genome.image import ImageReader
from scenekit_datasets.visual_genome.index import Index
from scenekit_datasets.visual_genome.layout import located

_log = logging.getLogger(__name__)

KEYS: tuple[Key[Any, Any], ...] = (ATTRIBUTES, RELATIONS, PHRASE_CAPTIONS)
"""Labels of the files beside objects."""


class VisualGenome(FileDataset):
    """The images of an index that are in a split.

    Args:
        reader: Creates the labels.
        images: Folder of the images.
        chosen: Which images of the reader's index are in the split.
        exhaustive: Streams that count as annotated exhaustively.
        faulty: Whether to refuse faulty entries or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        reader: ImageReader,
        images: Path,
        *,
        chosen: np.ndarray,
        exhaustive: Collection[str] = (),
        faulty: Faulty = "skip",
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        self.reader, self.index = reader, reader.index
        self.vocabulary, self.rules = reader.name_index.vocabulary, reader.rules
        self.exhaustive = streams_named(exhaustive)
        index = self.index
        report([*index.issues, *(index.gaps() if faulty == "refuse" else ())], faulty)
        for gap in index.gaps():
            _log.warning("%s; these images lack its labels", gap)
        self.places, self.paths = with_file(index, chosen.nonzero()[0], images, faulty)
        self.reporter = ImageReporter(faulty)
        if faulty == "refuse":
            report([issue for index in range(len(self)) for issue in self.issues(index)], faulty)

    def __len__(self) -> int:
        return len(self.places)

    def _sample(self, index: int) -> Sample:
        id = int(self.index.ids[self.places[index]])
        scene, issues = self._read(index)
        self.reporter.report(index, issues)
        image = image_of_size(self.paths[index], scene.size, f"image {id} of image_data.json", self.exif)
        return Sample(image, scene, self._supervision(scene), id)

    def scene(self, index: int) -> Scene:
        """Return the labels of an image without reading the image.

        Args:
            index: Index of the image.

        Returns:
            The ground truth.
        """
        return self._read(index)[0]

    def issues(self, index: int) -> list[str]:
        """Return the issues of the entries of an image.

        Args:
            index: Index of the image.

        Returns:
            One message per issue.
        """
        return self._read(index)[1]

    def _read(self, index: int) -> tuple[Scene, list[str]]:
        check_index(index, len(self))
        return self.reader.read(self.places[index], str(self.paths[index]))

    def _supervision(self, scene: Scene) -> Supervision:
        """Return the supervision; what is exhaustive is as the options say, since nothing is in the strict sense."""
        streams = frozenset(scene.streams)
        return Supervision(
            keys=frozenset(scene.values),
            streams=streams,
            exhaustive=self.exhaustive & streams,
        )


def streams_named(names: Collection[str]) -> frozenset[Stream]:
    """Return streams by name.

    Args:
        names: "objects" or "phrases".

    Returns:
        The streams.

    Raises:
        InputError: If a name is unknown.
    """
    known = {stream.name: stream for stream in (OBJECTS, PHRASES)}
    for name in names:
        if name not in known:
            raise InputError(f"exhaustive names the stream {name!r}{nearest(name, list(known))}")
    return frozenset(known[name] for name in names)


def with_file(index: Index, places: np.ndarray, images: Path, faulty: Faulty) -> tuple[list[int], list[Path]]:
    """Return the images whose file exists, and their files.

    Args:
        index: Index of the files.
        places: Rows of the images.
        images: Folder of the images.
        faulty: Whether to refuse missing files or to skip them.

    Returns:
        (rows of the images, files).

    Raises:
        InputError: If no file exists, or files are missing and refused.
    """
    paths = located([index.images[place] for place in places], images)
    missing = [
        f"image id {index.ids[place]}: {images} lacks {index.images[place]}"
        for place, path in zip(places, paths, strict=True)
        if path is None
    ]
    report(missing, faulty)
    kept = [(int(place), path) for place, path in zip(places, paths, strict=True) if path is not None]
    if not kept:
        raise InputError(
            f"no image is left of {len(index.ids)} that {index.files['image_data']} lists; check the options split,"
            " splits, images and drop_empty"
        )
    return [place for place, _ in kept], [path for _, path in kept]
