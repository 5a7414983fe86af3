"""COCO's files, and JSON in their style with labels of every kind, as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import Any

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.keys import DEPTH, MASKS, OBJECTS, PANOPTIC, PHRASE_CAPTIONS, PHRASES, RELATIONS, SEMANTIC, Key
from scenekit.scene import Scene
from scenekit.structures import Panoptic
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.further_keys import PREFIX, image_values, keys_in, rows_of
from scenekit_datasets.coco.images import (
    MILLIMETRE,
    around_segments,
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
from scenekit_datasets.coco.supervision import claim_issues, claimed_names, supervision_of
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.roots import (
    Exif,
    Faulty,
    check_index,
    image_of_size,
    keys_named,
    lacking,
    located,
    located_file,
    report,
    skipping,
)

KEYS: tuple[Key[Any, Any], ...] = (*ROW_LABELS, SEMANTIC, PANOPTIC, DEPTH, RELATIONS, PHRASE_CAPTIONS)
"""Every kind of label that the files may hold."""


@dataclass(frozen=True)
class SemanticMaps:
    """A folder with a label map per image, named like the image."""

    folder: Path
    """The folder."""
    offset: int = 0
    """Category ids minus values of the maps."""


class CocoDataset(FileDataset):
    """The images of the first file, with the labels of all files.

    Args:
        sources: Annotation files, joined by the ids of images and annotations.
        images: Folder of the images.
        keys: Names of the labels to load; all that the files have, if None.
        semantic: Label maps beside the files.
        drop_empty: Whether to skip images without annotations.
        faulty: Whether to refuse missing images and relations of missing objects, or to skip them.
        exif: Whether to apply EXIF orientations of images.
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
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        self.sources = tuple(sources)
        self.images = images
        fields = {field for source in sources for field in source.index.fields}
        self.further = keys_in(fields)
        self.keys = keys_named(keys, (*KEYS, *self.further), "COCO-style files have")
        self.semantic = semantic
        self.vocabulary = joined_vocabulary([source.index for source in sources])
        first = sources[0].index
        if faulty == "refuse":
            report(relation_issues([source.index for source in sources]), faulty)
        report(list(self._claim_issues()), faulty)
        names = files_of_images(first, images, faulty)
        kept = [place for place in names if not drop_empty or self._annotated(int(first.ids[place]))]
        if not kept:
            raise InputError(f"{first.path}: no image is left; check the options drop_empty and faulty")
        self.ids = first.ids[kept]
        self.names = tuple(names[place] for place in kept)
        report(self._missing_maps(), faulty)

    @property
    def category_ids(self) -> dict[str, int]:
        """Ids of the categories by name; the first file's take precedence."""
        sources = reversed(self.sources)
        return {category.name: id for source in sources for id, category in source.index.categories.items()}

    def __len__(self) -> int:
        return len(self.ids)

    def _sample(self, index: int) -> Sample:
        entry, path = self._entry(index)
        image = image_of_size(path, _size(entry), entry.image, self.exif)
        scene = self._scene(entry, path)
        return Sample(image, scene, supervision_of(entry, scene), int(self.ids[index]))

    def scene(self, index: int) -> Scene:
        """Return the labels of an image without reading the image.

        Args:
            index: Index of the image.

        Returns:
            The ground truth.
        """
        check_index(index, len(self))
        with skipping(self.faulty):
            return self._scene(*self._entry(index))

    def _entry(self, index: int) -> tuple[ImageEntry, Path]:
        entry = entry_of(self.sources, int(self.ids[index]), self.vocabulary)
        return entry, self.images / self.names[index]

    def _claim_issues(self) -> Iterator[str]:
        """Yield issues of fields that say what is supervised; those of a whole file are errors."""
        keys = (*KEYS, *self.further)
        for index in (source.index for source in self.sources):
            of_file = [(*claim, index.path) for claim in claimed_names(index.header, index.path)]
            report(list(claim_issues(of_file, self.vocabulary, keys)), "refuse")
            of_images = [(*claim, where) for claim, where in index.claimed.items()]
            yield from claim_issues(of_images, self.vocabulary, keys)

    def _missing_maps(self) -> list[str]:
        """Return issues of label maps and panoptic maps that are missing."""
        indices = [(s.maps, s.index) for s in self.sources if self.keys & {SEMANTIC, PANOPTIC, MASKS} and s.index.maps]
        maps = [("maps", folder, [index.maps[row] for row in index.order]) for folder, index in indices]
        if SEMANTIC in self.keys and self.semantic is not None:
            maps.append(("semantic", self.semantic.folder, list(map(label_map_of, self.names))))
        return [
            f"{option}: no map {lacking(name, folder)}"
            for option, folder, names in maps
            for name, place in zip(names, located(names, folder, option), strict=True)
            if place is None
        ]

    def _annotated(self, id: int) -> bool:
        indices = (source.index for source in self.sources if id in source.index.places)
        return any(index.rows_of(index.places[id]) for index in indices)

    def _scene(self, entry: ImageEntry, path: Path) -> Scene:
        frame = Frame(_size(entry), self.vocabulary)
        panoptic = self._panoptic(entry, frame)
        objects = objects_of(entry.things, frame.size)
        if panoptic is not None and entry.segmentation is not None and entry.of_segments:
            objects = around_segments(objects, panoptic, entry.segmentation.record)
        streams = {OBJECTS: objects}
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
        values.update(self._maps(entry, frame, path, panoptic))
        if RELATIONS in self.keys and "relations" in entry.image.data:
            values[RELATIONS] = relations_of(entry.image, entry.things, frame, self.faulty)
        if PHRASE_CAPTIONS in self.keys and "phrases" in entry.image.data:
            streams[PHRASES], values[PHRASE_CAPTIONS] = phrases_of(entry.image)
        ids = [row.record.integer("id") for row in entry.things]
        further = [key for key in self.further if key in self.keys]
        values.update(image_values(entry.image, further, ids, frame.size, self.vocabulary))
        camera = camera_of(entry.image)
        return Scene(frame.size, self.vocabulary, streams, values, valid, camera, str(path))

    def _masks_missing(self, entry: ImageEntry) -> bool:
        return MASKS in self.keys and "segmentation" not in entry.fields

    def _panoptic(self, entry: ImageEntry, frame: Frame) -> Panoptic | None:
        """Return the panoptic segments, if there are any and a label needs them."""
        if entry.segmentation is None or not (self.keys & {SEMANTIC, PANOPTIC} or self._masks_missing(entry)):
            return None
        return panoptic_of(
            entry.segmentation, frame, {row.record.integer("id"): n for n, row in enumerate(entry.things)}
        )

    def _maps(
        self, entry: ImageEntry, frame: Frame, path: Path, panoptic: Panoptic | None
    ) -> Iterator[tuple[Key[Any, Any], Any]]:
        """Yield labels of all pixels, and masks where only the panoptic map has them."""
        folder = entry.image.path.parent
        if panoptic is not None:
            yield from self._segments(entry, panoptic)
        elif SEMANTIC in self.keys and entry.stuff:
            yield SEMANTIC, rasterized((*entry.stuff, *entry.things), frame.size)
        if SEMANTIC in self.keys and "semantic" in entry.image.data:
            name, _ = file_of(entry.image, "semantic")
            yield SEMANTIC, label_map(located_file(name, folder), self._labels(entry.indices), frame.size)
        elif SEMANTIC in self.keys and self.semantic is not None:
            name = label_map_of(str(path.relative_to(self.images)))
            labels = self._labels(entry.indices)
            yield SEMANTIC, label_map(self.semantic.folder / name, labels, frame.size, self.semantic.offset)
        if DEPTH in self.keys and "depth" in entry.image.data:
            name, more = file_of(entry.image, "depth")
            yield DEPTH, depth_of(located_file(name, folder), more.get("scale", MILLIMETRE), frame.size)

    def _segments(self, entry: ImageEntry, panoptic: Panoptic) -> Iterator[tuple[Key[Any, Any], Any]]:
        if PANOPTIC in self.keys:
            yield PANOPTIC, panoptic
        if SEMANTIC in self.keys:
            yield SEMANTIC, semantic_of(panoptic)
        if self._masks_missing(entry):
            yield MASKS, segment_masks(panoptic, len(entry.things))

    def _labels(self, indices: Sequence[Index]) -> dict[int, int]:
        """Return labels by category id, of which the first file's take precedence."""
        labels: dict[int, int] = {}
        for index in indices:
            for id, category in index.categories.items():
                labels.setdefault(id, self.vocabulary.label(category.name))
        return labels


def label_map_of(name: str) -> str:
    """Return the name of the label map of an image.

    Args:
        name: Name of the image.

    Returns:
        The same, ending in .png.
    """
    return str(PurePosixPath(name).with_suffix(".png"))


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


def files_of_images(index: Index, folder: Path, faulty: Faulty) -> dict[int, str]:
    """Return the file of each image that has one.

    Args:
        index: Index of the annotation file.
        folder: Folder of the images.
        faulty: Whether to refuse missing files or to skip them.

    Returns:
        Paths relative to the folder, by row of the index.

    Raises:
        InputError: If files are missing and refused; the message names the first ones.
    """
    found = located(index.names, folder)
    missing = [
        f"{index.path}: image id {index.reader.images.name(int(id))}: 'file_name' is {lacking(name, folder)}"
        for id, name, place in zip(index.ids, index.names, found, strict=True)
        if place is None
    ]
    report(missing, faulty)
    return {row: place for row, place in enumerate(found) if place is not None}


def relation_issues(indices: Sequence[Index]) -> list[str]:
    """Return issues of relations of objects that their image does not have.

    Args:
        indices: Indices of the files.

    Returns:
        One message per relation.
    """
    if not any(len(index.relations) for index in indices):
        return []
    known = {
        (int(index.ids[place]), int(id))
        for index in indices
        for place in range(len(index.ids))
        for id in index.annotation_ids[index.rows_of(place)]
    }
    return [
        f"{index.path}: image id {image}: relation of image {index.places[image]} {number}: {name!r} is {end}, which is"
        " not an object of this image"
        for index in indices
        for image, number, *ends in index.relations.tolist()
        for name, end in zip(("subject_id", "object_id"), ends, strict=True)
        if image in index.places and (image, end) not in known
    ]
