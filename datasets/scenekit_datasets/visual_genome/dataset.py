"""Visual Genome as a data set of samples."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError, nearest
from scenekit.keys import ATTRIBUTES, OBJECTS, PHRASE_CAPTIONS, PHRASES, RELATIONS, Key, Stream
from scenekit.scene import Scene
from scenekit_datasets.flips import is_mirrorable
from scenekit_datasets.roots import Faulty, image_of_size, report
from scenekit_datasets.visual_genome.image import ImageReader, Rules, with_known_object
from scenekit_datasets.visual_genome.index import Index
from scenekit_datasets.visual_genome.layout import located
from scenekit_datasets.visual_genome.names import NameIndex

_log = logging.getLogger(__name__)

KEYS: tuple[Key[Any, Any], ...] = (ATTRIBUTES, RELATIONS, PHRASE_CAPTIONS)
"""What the files label beside objects."""

MAX_REPORTED = 20
"""Images whose issues are listed in warnings; `issues` tells those of any."""


class VisualGenome(Dataset[Sample]):
    """The images of an index that are in a split.

    words: the vocabulary. rules: how labels are made. exhaustive: streams whose every instance is said to be labelled.
    chosen: which images of the index. faulty: refuse what cannot be right, or leave it out with a warning.
    """

    def __init__(
        self,
        index: Index,
        images: Path,
        name_index: NameIndex,
        rules: Rules,
        *,
        chosen: np.ndarray,
        exhaustive: Collection[str] = (),
        drop_empty: bool = False,
        faulty: Faulty = "skip",
    ) -> None:
        self.index, self.vocabulary, self.rules, self.faulty = index, name_index.vocabulary, rules, faulty
        self.reader = ImageReader(index, name_index, rules)
        self.exhaustive = streams_named(exhaustive)
        if drop_empty:
            chosen = chosen & with_known_object(index, name_index.things)
        report([*index.issues, *(index.gaps() if faulty == "refuse" else ())], faulty)
        for gap in index.gaps():
            _log.warning("%s; it labels nothing there", gap)
        self.places, self.paths = with_file(index, chosen.nonzero()[0], images, faulty)
        self._reported: set[int] = set()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        scene, issues = self._read(index)
        if issues and (self.faulty == "refuse" or (index not in self._reported and len(self._reported) < MAX_REPORTED)):
            self._reported.add(index)
            report(issues, self.faulty)
        id = int(self.index.ids[self.places[index]])
        image = image_of_size(self.paths[index], scene.size, f"image {id} of image_data.json")
        return Sample(image, scene, self._supervision(scene), id)

    def scene(self, index: int) -> Scene:
        """The labels of an image, without a look at the image."""
        return self._read(index)[0]

    def issues(self, index: int) -> list[str]:
        """What is wrong with the entries of an image."""
        return self._read(index)[1]

    def _read(self, index: int) -> tuple[Scene, list[str]]:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of a data set of {len(self)}")
        return self.reader.read(self.places[index], str(self.paths[index]))

    def _supervision(self, scene: Scene) -> Supervision:
        """Visual Genome labels what annotators noticed: nothing of it is exhaustive unless the user says so."""
        streams = frozenset(scene.streams)
        return Supervision(
            keys=frozenset(scene.values),
            streams=streams,
            exhaustive=self.exhaustive & streams,
            mirrorable=is_mirrorable(scene),
        )


def streams_named(names: Collection[str]) -> frozenset[Stream]:
    """OBJECTS and PHRASES by name."""
    known = {stream.name: stream for stream in (OBJECTS, PHRASES)}
    for name in names:
        if name not in known:
            raise InputError(f"exhaustive names the stream {name!r}{nearest(name, list(known))}")
    return frozenset(known[name] for name in names)


def with_file(index: Index, places: np.ndarray, images: Path, faulty: Faulty) -> tuple[list[int], list[Path]]:
    """The images whose image is there, and their files. Raises InputError where none is."""
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
            f"no image is left of {len(index.ids)} that {index.files['image_data']} lists; look at the options split,"
            " splits, images and drop_empty"
        )
    return [place for place, _ in kept], [path for _, path in kept]
