"""Open Images as a data set of samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from scenekit.data.sample import Sample, Supervision
from scenekit.io.images import image_size
from scenekit.keys import ATTRIBUTES, MASKS, OBJECTS, RELATIONS, Key
from scenekit.scene import Scene
from scenekit.structures.geometry import Size
from scenekit_datasets.csv_index import CsvIndex, Row
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.open_images.labels import attributes_of, masks_of, objects_of, read_boxes, relations_of
from scenekit_datasets.open_images.layout import Listing, Tables
from scenekit_datasets.open_images.names import Names
from scenekit_datasets.roots import Exif, Faulty, ImageReporter, check_index, skipping

KEYS: tuple[Key[Any, Any], ...] = (MASKS, ATTRIBUTES, RELATIONS)
"""Labels of the files beside objects."""

MACHINE = "activemil"
"""Source of boxes that a machine drew, one of a class."""


class OpenImages(FileDataset):
    """The images of a split that are there.

    Args:
        tables: Rows of the files by image.
        names: Names of the files.
        listing: The images.
        masks: Folders that may have the masks.
        keys: Labels to load beside objects.
        faulty: Whether to refuse faulty rows and files or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        tables: Tables,
        names: Names,
        listing: Listing,
        masks: Sequence[Path],
        *,
        keys: Collection[Key[Any, Any]],
        faulty: Faulty = "skip",
        exif: Exif = "ignore",
    ) -> None:
        super().__init__(faulty, exif)
        self.tables, self.names, self.listing, self.masks = tables, names, listing, tuple(masks)
        self.vocabulary = names.vocabulary
        self.keys = frozenset(keys)
        self.reporter = ImageReporter(faulty)

    def __len__(self) -> int:
        return len(self.listing.ids)

    def _sample(self, index: int) -> Sample:
        image = self._image(self.listing.paths[index])
        scene = self._scene(index, (int(image.shape[1]), int(image.shape[2])))
        return Sample(image, scene, self._supervision(index, scene), self.listing.numbers[index])

    def scene(self, index: int) -> Scene:
        """Return the labels of an image; of the image only its size is read.

        Args:
            index: Index of the image.

        Returns:
            The ground truth.
        """
        check_index(index, len(self))
        with skipping(self.faulty):
            return self._scene(index, image_size(self.listing.paths[index], upright=self.exif == "apply"))

    def _scene(self, index: int, size: Size) -> Scene:
        id, issues = self.listing.ids[index], list[str]()
        values: dict[Key[Any, Any], Any] = {}
        valid: dict[Key[Any, Any], Bool[Tensor, " N"]] = {}
        boxes = read_boxes(self.tables.boxes.rows(id), self.names, self._where(self.tables.boxes, id), issues)
        relations = self._rows(self.tables.relations, id)
        where = self._where(self.tables.relations, id)
        if ATTRIBUTES in self.keys and boxes:
            values[ATTRIBUTES] = attributes_of(boxes, relations, self.names, where, issues)
        if RELATIONS in self.keys and relations:
            values[RELATIONS] = relations_of(boxes, relations, self.names, where, issues)
        if MASKS in self.keys and (rows := self._rows(self.tables.masks, id)):
            place = self._where(self.tables.masks, id)
            values[MASKS], valid[MASKS] = masks_of(boxes, rows, self.masks, self.names, size, place, issues)
        self.reporter.report(index, issues)
        path = str(self.listing.paths[index])
        return Scene(size, self.vocabulary, {OBJECTS: objects_of(boxes, size)}, values, valid, path=path)

    def _supervision(self, index: int, scene: Scene) -> Supervision:
        """Return the classes that were verified; annotators drew every instance of those with boxes.

        Of a broader class than one with boxes, only some instances have its name, and of one with boxes that a machine
        drew or that are faulty, only some have boxes.
        """
        id, names = self.listing.ids[index], self.names
        rows = [row for row in self.tables.boxes.rows(id) if row["LabelName"] in names.labels]
        labels = Counter(names.labels[row["LabelName"]] for row in rows)
        boxed, faulty = set(labels), set(labels - Counter(scene.objects.labels.tolist()))
        machine = {names.labels[row["LabelName"]] for row in rows if row.get("Source") == MACHINE}
        broader = frozenset().union(*(names.ancestors.get(label, frozenset()) for label in boxed))
        partial = faulty | machine | (boxed & broader)
        covered = (boxed - partial) | (self._absent(id) - boxed - broader)
        things = self.vocabulary.things
        return Supervision(
            keys=frozenset(scene.values),
            classes=frozenset(things[label] for label in covered),
            partial=frozenset(things[label] for label in partial),
        )

    def _absent(self, id: str) -> set[int]:
        """Return the classes that were verified to be absent, and the narrower ones, unless others saw them."""
        labels = self.names.labels
        rows = [row for row in self._rows(self.tables.labels, id) if row["LabelName"] in labels]
        absent = {labels[row["LabelName"]] for row in rows if _is_zero(row["Confidence"])}
        seen = {labels[row["LabelName"]] for row in rows if not _is_zero(row["Confidence"])}
        return absent.union(*(self.names.below(label) for label in absent)) - seen

    @staticmethod
    def _rows(table: CsvIndex | None, id: str) -> list[Row]:
        return [] if table is None else table.rows(id)

    @staticmethod
    def _where(table: CsvIndex | None, id: str) -> str:
        return "" if table is None else f"{table.path}: image {id}"


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False
