"""COCO's files, and JSON in their style with labels of every kind, as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.keys import DEPTH, MASKS, OBJECTS, PANOPTIC, PHRASE_CAPTIONS, PHRASES, RELATIONS, SEMANTIC, Key
from scenekit.scene import Scene
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.further_keys import PREFIX, image_values, keys_in, rows_of
from scenekit_datasets.coco.images import (
    MILLIMETRE,
    camera_of,
    depth_of,
    file_of,
    label_map,
    panoptic_of,
    phrases_of,
    rasterized,
    relations_of,
    segment_masks,
    semantic_of,
)
from scenekit_datasets.coco.index import Index
from scenekit_datasets.coco.labels import ROW_LABELS, Frame, carried, objects_of
from scenekit_datasets.coco.records import ImageEntry, Source, entry_of
from scenekit_datasets.coco.supervision import supervision_of
from scenekit_datasets.roots import Faulty, check_index, image_of_size, keys_named, present, report

KEYS: tuple[Key[Any, Any], ...] = (*ROW_LABELS, SEMANTIC, PANOPTIC, DEPTH, RELATIONS, PHRASE_CAPTIONS)
"""Every kind of label that the files may hold."""


@dataclass(frozen=True)
class SemanticMaps:
    """A folder with a label map per image, named like the image."""

    folder: Path
    """The folder."""
    offset: int = 0
    """Category ids minus values of the maps."""


class CocoDataset(Dataset[Sample]):
    """The images of the first file, with the labels of all files.

    Args:
        sources: Annotation files, joined by the ids of images and annotations.
        images: Folder of the images.
        keys: Names of the labels to load; all that the files have, if None.
        semantic: Label maps beside the files.
        drop_empty: Whether to skip images without annotations.
        faulty: Whether to refuse missing images and relations of missing objects, or to skip them.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        images: Path,
        *,
        keys: Collection[str] | None = None,
        semantic: SemanticMaps | None = None,
        drop_empty: bool = False,
        faulty: Faulty = "refuse",
    ) -> None:
        self.sources = tuple(sources)
        self.images = images
        fields = {field for source in sources for field in source.index.fields}
        self.further = keys_in(fields)
        self.keys = keys_named(keys, (*KEYS, *self.further), "COCO-style files have")
        self.semantic = semantic
        self.faulty = faulty
        self.vocabulary = joined_vocabulary([source.index for source in sources])
        first = sources[0].index
        kept = places_with_image(first, images, faulty)
        if drop_empty:
            kept = [place for place in kept if self._annotated(int(first.ids[place]))]
        if not kept:
            raise InputError(f"{first.path}: no image is left; check the options drop_empty and faulty")
        self.ids = first.ids[kept]

    @property
    def category_ids(self) -> dict[str, int]:
        """Ids of the categories by name; the first file's take precedence."""
        sources = reversed(self.sources)
        return {category.name: id for source in sources for id, category in source.index.categories.items()}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        entry, path = self._entry(index)
        image = image_of_size(path, _size(entry), entry.image)
        scene = self._scene(entry, path)
        return Sample(image, scene, supervision_of(entry, scene), int(self.ids[index]))

    def scene(self, index: int) -> Scene:
        """Return the labels of an image without reading the image.

        Args:
            index: Index of the image.

        Returns:
            The ground truth.
        """
        return self._scene(*self._entry(index))

    def _entry(self, index: int) -> tuple[ImageEntry, Path]:
        check_index(index, len(self))
        entry = entry_of(self.sources, int(self.ids[index]), self.vocabulary)
        return entry, self.images / entry.image.text("file_name")

    def _annotated(self, id: int) -> bool:
        indices = (source.index for source in self.sources if id in source.index.places)
        return any(index.rows_of(index.places[id]) for index in indices)

    def _scene(self, entry: ImageEntry, path: Path) -> Scene:
        frame = Frame(_size(entry), self.vocabulary)
        streams = {OBJECTS: objects_of(entry.things)}
        values: dict[Key[Any, Any], Any] = {
            key: label.make(entry.things, frame)
            for key, label in ROW_LABELS.items()
            if key in self.keys and entry.fields & set(label.fields)
        }
        valid = {key: rows for key in values if not bool((rows := carried(key, entry.things)).all())}
        for key in self.further:
            if key in self.keys and key.of == OBJECTS and PREFIX + key.name in entry.fields:
                records = [row.record for row in entry.things]
                values[key], rows = rows_of(key, entry.image, records, frame.size, self.vocabulary)
                if not bool(rows.all()):
                    valid[key] = rows
        values.update(self._maps(entry, frame))
        if RELATIONS in self.keys and "relations" in entry.image.data:
            values[RELATIONS] = relations_of(entry.image, entry.things, frame, self.faulty)
        if PHRASE_CAPTIONS in self.keys and "phrases" in entry.image.data:
            streams[PHRASES], values[PHRASE_CAPTIONS] = phrases_of(entry.image)
        objects = [row.record.integer("id") for row in entry.things]
        further = [key for key in self.further if key in self.keys]
        values.update(image_values(entry.image, further, objects, frame.size, self.vocabulary))
        camera = camera_of(entry.image)
        return Scene(frame.size, self.vocabulary, streams, values, valid, camera, str(path))

    def _maps(self, entry: ImageEntry, frame: Frame) -> Iterator[tuple[Key[Any, Any], Any]]:
        """Yield labels of all pixels, and masks where only the panoptic map has them."""
        folder = entry.image.path.parent
        masks_missing = MASKS in self.keys and "segmentation" not in entry.fields
        if entry.segmentation is not None and (self.keys & {SEMANTIC, PANOPTIC} or masks_missing):
            yield from self._segments(entry, frame, masks_missing)
        elif SEMANTIC in self.keys and entry.stuff:
            yield SEMANTIC, rasterized((*entry.stuff, *entry.things), frame.size)
        if SEMANTIC in self.keys and "semantic" in entry.image.data:
            name, _ = file_of(entry.image, "semantic")
            yield SEMANTIC, label_map(folder / name, self._labels(entry.indices), frame.size)
        elif SEMANTIC in self.keys and self.semantic is not None:
            name = str(Path(entry.image.text("file_name")).with_suffix(".png"))
            labels = self._labels(entry.indices)
            yield SEMANTIC, label_map(self.semantic.folder / name, labels, frame.size, self.semantic.offset)
        if DEPTH in self.keys and "depth" in entry.image.data:
            name, more = file_of(entry.image, "depth")
            yield DEPTH, depth_of(folder / name, more.get("scale", MILLIMETRE), frame.size)

    def _segments(self, entry: ImageEntry, frame: Frame, masks_missing: bool) -> Iterator[tuple[Key[Any, Any], Any]]:
        assert entry.segmentation is not None
        place = {row.record.integer("id"): n for n, row in enumerate(entry.things)}
        panoptic = panoptic_of(entry.segmentation, frame, place)
        if PANOPTIC in self.keys:
            yield PANOPTIC, panoptic
        if SEMANTIC in self.keys:
            yield SEMANTIC, semantic_of(panoptic)
        if masks_missing:
            yield MASKS, segment_masks(panoptic, len(entry.things))

    def _labels(self, indices: Sequence[Index]) -> dict[int, int]:
        """Return labels by category id, of which the first file's take precedence."""
        labels: dict[int, int] = {}
        for index in indices:
            for id, category in index.categories.items():
                labels.setdefault(id, self.vocabulary.label(category.name))
        return labels


def _size(entry: ImageEntry) -> Size:
    return entry.image.integer("height"), entry.image.integer("width")


def joined_vocabulary(indices: Sequence[Index]) -> Vocabulary:
    """Merge the vocabularies of files.

    Args:
        indices: Indices of the files.

    Returns:
        The vocabulary, names of the first file first.
    """
    vocabulary: Vocabulary = reduce(Vocabulary.merged, [index.vocabulary for index in indices])
    return vocabulary


def places_with_image(index: Index, folder: Path, faulty: Faulty) -> list[int]:
    """Return the images whose file exists.

    Args:
        index: Index of the annotation file.
        folder: Folder of the images.
        faulty: Whether to refuse missing files or to skip them.

    Returns:
        Rows of the index.

    Raises:
        InputError: If files are missing and refused; the message names the first ones.
    """
    exists = present(index.names, folder)
    missing = [
        f"{index.path}: image id {id}: 'file_name' is {name!r}, which {folder} lacks"
        for id, name, is_there in zip(index.ids, index.names, exists, strict=True)
        if not is_there
    ]
    report(missing, faulty)
    return [place for place, is_there in enumerate(exists) if is_there]
