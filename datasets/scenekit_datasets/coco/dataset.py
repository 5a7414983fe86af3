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
from scenekit_datasets.coco import images as pictures
from scenekit_datasets.coco.further_keys import PREFIX, image_values, keys_in, rows_of
from scenekit_datasets.coco.index import Index
from scenekit_datasets.coco.labels import ROW_LABELS, Frame, carried, objects_of
from scenekit_datasets.coco.records import Notes, Source, notes_on
from scenekit_datasets.coco.supervision import supervision_of
from scenekit_datasets.roots import Faulty, image_of_size, keys_named, present, report

KEYS: tuple[Key[Any, Any], ...] = (*ROW_LABELS, SEMANTIC, PANOPTIC, DEPTH, RELATIONS, PHRASE_CAPTIONS)
"""Every kind of label that the files may hold."""


@dataclass(frozen=True)
class SemanticMaps:
    """A folder with a label map per image, by the image's name; a value + `offset` is the id of a category."""

    folder: Path
    offset: int = 0


class CocoDataset(Dataset[Sample]):
    """The images of the first file, with what all files say about them.

    sources: annotation files, joined by the ids of images and annotations. images: the folder of the images. keys:
    names of the labels to carry (all that are there, if None). semantic: label maps beside the files. drop_empty: leave
    out images without annotations. faulty: refuse images that are missing and relations of missing objects, or skip
    them.
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
            raise InputError(f"{first.path}: no image is left; look at the options drop_empty and faulty")
        self.ids = first.ids[kept]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        notes, path = self._notes(index)
        image = image_of_size(path, _size(notes), notes.image)
        scene = self._scene(notes, path)
        return Sample(image, scene, supervision_of(notes, scene), int(self.ids[index]))

    def scene(self, index: int) -> Scene:
        """The labels of an image, without a look at the image."""
        return self._scene(*self._notes(index))

    def _notes(self, index: int) -> tuple[Notes, Path]:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of a data set of {len(self)}")
        notes = notes_on(self.sources, int(self.ids[index]), self.vocabulary)
        return notes, self.images / notes.image.text("file_name")

    def _annotated(self, id: int) -> bool:
        found = (source.index for source in self.sources if id in source.index.places)
        return any(index.rows_of(index.places[id]) for index in found)

    def _scene(self, notes: Notes, path: Path) -> Scene:
        frame = Frame(_size(notes), self.vocabulary)
        streams = {OBJECTS: objects_of(notes.things)}
        values: dict[Key[Any, Any], Any] = dict(self._row_labels(notes, frame))
        valid = {key: rows for key in values if not bool((rows := carried(key, notes.things)).all())}
        for key in self._further_of_objects(notes):
            records = [row.record for row in notes.things]
            values[key], rows = rows_of(key, records, frame.size, self.vocabulary)
            if not bool(rows.all()):
                valid[key] = rows
        values.update(self._maps(notes, frame))
        if RELATIONS in self.keys and "relations" in notes.image.data:
            values[RELATIONS] = pictures.relations_of(notes.image, notes.things, frame, self.faulty)
        if PHRASE_CAPTIONS in self.keys and "phrases" in notes.image.data:
            streams[PHRASES], values[PHRASE_CAPTIONS] = pictures.phrases_of(notes.image)
        further = [key for key in self.further if key in self.keys]
        values.update(image_values(notes.image, further, frame.size, self.vocabulary))
        camera = pictures.camera_of(notes.image)
        return Scene(frame.size, self.vocabulary, streams, values, valid, camera, str(path))

    def _row_labels(self, notes: Notes, frame: Frame) -> Iterator[tuple[Key[Any, Any], Any]]:
        for key, label in ROW_LABELS.items():
            if key in self.keys and notes.fields & set(label.fields):
                yield key, label.make(notes.things, frame)

    def _further_of_objects(self, notes: Notes) -> Iterator[Key[Any, Any]]:
        for key in self.further:
            if key in self.keys and key.of == OBJECTS and PREFIX + key.name in notes.fields:
                yield key

    def _maps(self, notes: Notes, frame: Frame) -> Iterator[tuple[Key[Any, Any], Any]]:
        """What is said of every pixel, and masks where only the panoptic map has them."""
        folder = notes.image.path.parent
        masks_missing = MASKS in self.keys and "segmentation" not in notes.fields
        if notes.segmentation is not None and (self.keys & {SEMANTIC, PANOPTIC} or masks_missing):
            yield from self._segments(notes, frame, masks_missing)
        elif SEMANTIC in self.keys and notes.stuff:
            yield SEMANTIC, pictures.painted((*notes.stuff, *notes.things), frame.size)
        if SEMANTIC in self.keys and "semantic" in notes.image.data:
            name, _ = pictures.file_of(notes.image, "semantic")
            yield SEMANTIC, pictures.label_map(folder / name, self._labels(notes.indices), frame.size)
        elif SEMANTIC in self.keys and self.semantic is not None:
            name = str(Path(notes.image.text("file_name")).with_suffix(".png"))
            labels = self._labels(notes.indices)
            yield SEMANTIC, pictures.label_map(self.semantic.folder / name, labels, frame.size, self.semantic.offset)
        if DEPTH in self.keys and "depth" in notes.image.data:
            name, more = pictures.file_of(notes.image, "depth")
            yield DEPTH, pictures.depth_of(folder / name, more.get("scale", pictures.MILLIMETRE), frame.size)

    def _segments(self, notes: Notes, frame: Frame, masks_missing: bool) -> Iterator[tuple[Key[Any, Any], Any]]:
        assert notes.segmentation is not None
        place = {row.record.integer("id"): n for n, row in enumerate(notes.things)}
        panoptic = pictures.panoptic_of(notes.segmentation, frame, place)
        if PANOPTIC in self.keys:
            yield PANOPTIC, panoptic
        if SEMANTIC in self.keys:
            yield SEMANTIC, pictures.semantic_of(panoptic)
        if masks_missing:
            yield MASKS, pictures.segment_masks(panoptic, len(notes.things))

    def _labels(self, indices: Sequence[Index]) -> dict[int, int]:
        """Labels by the ids of categories, of which the first file's count."""
        found: dict[int, int] = {}
        for index in indices:
            for id, category in index.categories.items():
                found.setdefault(id, self.vocabulary.label(category.name))
        return found


def _size(notes: Notes) -> Size:
    return notes.image.integer("height"), notes.image.integer("width")


def joined_vocabulary(indices: Sequence[Index]) -> Vocabulary:
    """The names of all files, the first one's first."""
    vocabulary: Vocabulary = reduce(Vocabulary.merged, [index.vocabulary for index in indices])
    return vocabulary


def places_with_image(index: Index, folder: Path, faulty: Faulty) -> list[int]:
    """Places of the images whose file is there. Raises InputError that names the first ones that are not."""
    found = present(index.names, folder)
    missing = [
        f"{index.path}: image id {id}: 'file_name' is {name!r}, which {folder} lacks"
        for id, name, is_there in zip(index.ids, index.names, found, strict=True)
        if not is_there
    ]
    report(missing, faulty)
    return [place for place, is_there in enumerate(found) if is_there]
