"""The labels of one image from VG150's file.

Letters: N objects, A attributes, R relations.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from scenekit.errors import InputError
from scenekit.keys import ATTRIBUTES, PHRASE_CAPTIONS, RELATIONS, Key
from scenekit.scene import Objects
from scenekit.structures import Relations
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.image_labels import Labels
from scenekit_datasets.visual_genome.h5_file import GraphFile, Rows, open_graphs
from scenekit_datasets.visual_genome.image import ImageReader, Rules
from scenekit_datasets.visual_genome.index import Index, open_index
from scenekit_datasets.visual_genome.layout import find_files
from scenekit_datasets.visual_genome.names import KINDS, Chosen, NameIndex, chosen_vocabulary
from scenekit_datasets.visual_genome.splits import ALL, CORRUPTED, with_number


class GraphReader(ImageReader):
    """Creates labels of images: objects, relations and attributes from VG150's file, phrases from the JSON files.

    Args:
        graphs: The file.
        index: Index of the JSON files.
        name_index: The names of the file's numbers.
        rules: How labels are created.

    Raises:
        InputError: If the files list other images.
    """

    def __init__(self, graphs: GraphFile, index: Index, name_index: NameIndex, rules: Rules) -> None:
        super().__init__(index, name_index, rules)
        self.graphs = graphs
        self.rows = rows_in_file(graphs, index)

    def labels(self, place: int, issues: list[str]) -> Labels:
        """Create the objects of an image, their relations and attributes.

        Args:
            place: Row of the image, one that the file has.
            issues: Issues, to which those of the rows are added.

        Returns:
            The labels.
        """
        rows = self.graphs.rows(int(self.rows[place]))
        boxes = pixel_boxes(rows.boxes, self.graphs.scale, self.size(place))
        where = f"{self.graphs.path}: image {self.index.ids[place]}"
        kept = _kept_objects(rows, boxes, where, issues)
        values: dict[Key[Any, Any], Any] = {}
        valid: dict[Key[Any, Any], Any] = {}
        if RELATIONS in self.rules.keys:
            values[RELATIONS] = relations_of(rows.relations, kept, where, issues)
        if ATTRIBUTES in self.rules.keys and rows.attributes is not None:
            table = _attribute_table(rows.attributes[kept], self.name_index.vocabulary, self.rules)
            values[ATTRIBUTES], valid[ATTRIBUTES] = table, (table == 1).any(dim=1)
        labels = torch.from_numpy(rows.labels[kept] - 1)
        ids = torch.from_numpy(rows.first + kept.nonzero()[0])
        return Labels(Objects(torch.from_numpy(boxes[kept]).float(), labels, ids=ids), values, valid, issues)

    def chosen(self, split: str, validation: int, unrelated: bool) -> Bool[np.ndarray, " I"]:
        """Return which images are in a split.

        Args:
            split: Name of the split.
            validation: Number of first training images that are val where the file has no 1.
            unrelated: Whether images without a relation are part of the splits.

        Returns:
            True for each image in the split.
        """
        numbers = np.where(self.graphs.related | unrelated, self.graphs.split, -1)
        numbers = np.where(self.rows >= 0, numbers[self.rows], -1)
        return numbers >= 0 if split == ALL else with_number(numbers, split, validation)


def open_graph_reader(path: Path, root: Path, cache: Path | None, vocabulary: Chosen, rules: Rules) -> GraphReader:
    """Open VG150's file and the JSON files beside it that are needed: image_data, and the described regions.

    Args:
        path: VG150's file.
        root: Folder of the JSON files.
        cache: Folder of stored indices, None for none.
        vocabulary: "vg150", or the names of the file's numbers.
        rules: How labels are created.

    Returns:
        What creates the labels.

    Raises:
        InputError: If a file is missing or damaged, or the files do not belong together.
    """
    name_index = NameIndex(chosen_vocabulary(vocabulary, {kind: () for kind in KINDS}))
    graphs = open_graphs(path, name_index.vocabulary)
    lists = ["region_descriptions"] if PHRASE_CAPTIONS in rules.keys else []
    return GraphReader(graphs, open_index(find_files(root, lists, required=False), cache), name_index, rules)


def rows_in_file(graphs: GraphFile, index: Index) -> Int[np.ndarray, " I"]:
    """Return the row of each image in VG150's file, which lacks the damaged images; -1 for those.

    Args:
        graphs: The file.
        index: Index of the JSON files.

    Returns:
        A row for each image of the index.

    Raises:
        InputError: If the files list other images.
    """
    whole = ~np.isin(index.ids, CORRUPTED)
    count = len(graphs.images)
    if count not in (len(index.ids), int(whole.sum())):
        raise InputError(
            f"{graphs.path} has {count} images, but {index.files['image_data']} lists {int(whole.sum())} besides the"
            f" damaged {', '.join(map(str, CORRUPTED))}; expected the official image_data.json with its 108,077 images"
        )
    listed = np.ones(len(whole), dtype=bool) if count == len(whole) else whole
    rows: Int[np.ndarray, " I"] = np.where(listed, np.cumsum(listed) - 1, -1)
    return rows


def pixel_boxes(boxes: Shaped[np.ndarray, "N 4"], scale: int, size: Size) -> Float[np.ndarray, "N 4"]:
    """Convert boxes of the file.

    The corner is cut to whole numbers where the file has those, as in all published evaluations.

    Args:
        boxes: Centers, widths and heights in pixels of the scaled image.
        scale: Length of the longer side of the scaled image.
        size: (height, width) of the image in pixels.

    Returns:
        Boxes, xyxy in pixels, clipped to the image.
    """
    low = (boxes[:, :2] - boxes[:, 2:] / 2).astype(boxes.dtype)
    corners = np.concatenate((low, low + boxes[:, 2:]), axis=1) * (max(size) / scale)
    clipped: Float[np.ndarray, "N 4"] = corners.clip(0, np.array([size[1], size[0]] * 2, dtype=np.float64))
    return clipped


def _kept_objects(rows: Rows, boxes: Float[np.ndarray, "N 4"], where: str, issues: list[str]) -> Bool[np.ndarray, " N"]:
    empty: np.ndarray = np.any(boxes[:, 2:] <= boxes[:, :2], axis=1)
    nameless = rows.labels < 1
    issues.extend(f"{where}: object {n} is empty or outside the image" for n in empty.nonzero()[0].tolist())
    issues.extend(
        f"{where}: object {n} has the label {rows.labels[n]}, below 1" for n in nameless.nonzero()[0].tolist()
    )
    kept: Bool[np.ndarray, " N"] = ~(empty | nameless)
    return kept


def relations_of(
    triples: Int[np.ndarray, "R 3"], kept: Bool[np.ndarray, " N"], where: str, issues: list[str]
) -> Relations:
    """Create relations, each once, with the number of times that the file has it.

    Args:
        triples: Rows of subject and object, number of the predicate.
        kept: Which objects are kept.
        where: Beginning of messages.
        issues: Issues, to which those of the relations are added.

    Returns:
        Relations of the kept objects.
    """
    invalid = dict(_invalid(triples, len(kept)))
    issues.extend(f"{where}: relation {row} {what}" for row, what in invalid.items())
    number = np.cumsum(kept) - 1
    counts: dict[tuple[int, int, int], int] = {}
    for row, (subject, target, predicate) in enumerate(triples.tolist()):
        if row not in invalid and kept[subject] and kept[target]:
            triple = (int(number[subject]), int(number[target]), predicate - 1)
            counts[triple] = counts.get(triple, 0) + 1
    subject, target, predicate = torch.tensor(list(counts), dtype=torch.int64).reshape(-1, 3).unbind(1)
    return Relations(subject, target, predicate, count=torch.tensor(list(counts.values()), dtype=torch.int64))


def _invalid(triples: Int[np.ndarray, "R 3"], count: int) -> Iterator[tuple[int, str]]:
    """Yield rows of relations that mean nothing, and why."""
    for row, (subject, target, predicate) in enumerate(triples.tolist()):
        if not (0 <= subject < count and 0 <= target < count):
            yield row, f"is of the objects {subject} and {target}; the image has {count}"
        elif predicate < 1:
            yield row, f"has the predicate {predicate}"
        elif subject == target:
            yield row, f"is of object {subject} with itself"


def _attribute_table(numbers: Int[np.ndarray, "N _"], vocabulary: Vocabulary, rules: Rules) -> Float[Tensor, "N A"]:
    """Return 1 where an attribute is listed, 0 or NaN where it is not; rows without any are NaN."""
    listed = torch.zeros((len(numbers), len(vocabulary.attributes) + 1), dtype=torch.bool)
    listed.scatter_(1, torch.from_numpy(numbers.clip(min=0)), True)
    listed = listed[:, 1:]
    absent = 0.0 if rules.unlisted == "absent" else torch.nan
    table = torch.where(listed, 1.0, absent)
    table[~listed.any(dim=1)] = torch.nan
    return table
