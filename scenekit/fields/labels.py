"""Labels of regions and of images that index a list of the vocabulary, such as one that a plugin brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import Field, ImageField, Shape
from scenekit.fields.frame import Columns, Frame, Issue, Validated, without_rows
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary, flip_labels, one_sided_names

UNKNOWN = -1
"""An unknown label; losses ignore it."""


class LabelField(Field[Tensor, Tensor]):
    """A label per region [N] int64, `UNKNOWN` where there is none.

    Args:
        names: The list of the vocabulary that labels index.
    """

    def __init__(self, names: str) -> None:
        super().__init__()
        self.names = names
        self.lists = (names,)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        """Return the labels of the flipped image."""
        return flip_labels(item, self.names, vocabulary) if geometry.mirrored else item

    def one_sided(self, item: Tensor, frame: Frame) -> Iterator[str]:
        """Yield names without a counterpart."""
        labels = item if frame.valid is None else item[frame.valid]
        yield from one_sided_names(labels, self.names, frame.vocabulary)

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        """Return an entry of plain JSON per region."""
        return [_entry(label, vocabulary.names(self.names)) for label in item.tolist()]

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the label of each region, None where it is not known."""
        entries = zip(item.tolist(), self.encode(item, vocabulary), strict=True)
        return [None if label == UNKNOWN else entry for label, entry in entries]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        """Read what `encode` wrote."""
        return torch.tensor([entry["label"] for entry in data], dtype=torch.int64)

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """Return the name of each region's label."""
        names = frame.vocabulary.names(self.names)
        return {"": ["" if label == UNKNOWN else names[label] for label in item.tolist()]}

    def relabel(self, item: Tensor, labels: LabelMap) -> Tensor:
        """Return the new labels, `UNKNOWN` where there is none."""
        return labels.apply(self.names, item)

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Drop rows whose label the vocabulary does not name."""
        names = frame.vocabulary.names(self.names)
        unknown = (item < UNKNOWN) | (item >= len(names))
        issues = (_unknown(int(item[row]), len(names), self.names, row) for row in row_numbers(unknown))
        result = without_rows(item, frame, issues)
        return result._replace(value=torch.where(unknown, UNKNOWN, item)) if result.issues else result

    def occurrences(self, item: Tensor, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield the name of each region's label."""
        names, labels = frame.vocabulary.names(self.names), item if frame.valid is None else item[frame.valid]
        yield from ((self.names, names[label]) for label in labels.tolist() if label != UNKNOWN)

    def example(self, frame: Frame, shape: Shape = None) -> Tensor:
        """Return the first name for every region."""
        return torch.zeros(len(frame.boxes), dtype=torch.int64)


class ImageLabelField(ImageField[Tensor, Tensor]):
    """A label of the image [], int64, `UNKNOWN` where there is none; packed as [B].

    Args:
        names: The list of the vocabulary that the label indexes.
    """

    def __init__(self, names: str) -> None:
        super().__init__()
        self.names = names
        self.lists = (names,)

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        """Return the labels of the batch."""
        return torch.stack(list(items))

    def absent(self, size: Size) -> Tensor:
        """Return the label of an image without one."""
        return torch.tensor(UNKNOWN)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        """Return the label of the flipped image."""
        return flip_labels(item, self.names, vocabulary) if geometry.mirrored else item

    def one_sided(self, item: Tensor, frame: Frame) -> Iterator[str]:
        """Yield the name if it has no counterpart."""
        yield from one_sided_names(item, self.names, frame.vocabulary)

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        """Return the label and its name in plain JSON."""
        return _entry(int(item), vocabulary.names(self.names))

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        """Read what `encode` wrote."""
        return torch.tensor(data["label"])

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """Return the name of the label."""
        return {"": ["unknown" if int(item) == UNKNOWN else frame.vocabulary.names(self.names)[int(item)]]}

    def relabel(self, item: Tensor, labels: LabelMap) -> Tensor:
        """Return the new label, `UNKNOWN` where there is none."""
        return labels.apply(self.names, item)

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Drop a label that the vocabulary does not name."""
        count = len(frame.vocabulary.names(self.names))
        if UNKNOWN <= int(item) < count:
            return Validated(item)
        return Validated(None, None, [_unknown(int(item), count, self.names, None)])

    def occurrences(self, item: Tensor, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield the name of the label."""
        if int(item) != UNKNOWN:
            yield self.names, frame.vocabulary.names(self.names)[int(item)]

    def example(self, frame: Frame, shape: Shape = None) -> Tensor:
        """Return the first name."""
        return torch.tensor(0)


def _entry(label: int, names: Sequence[str]) -> dict[str, Any]:
    return {"label": label, "name": None if label == UNKNOWN else names[label]}


def _unknown(label: int, count: int, names: str, row: int | None) -> Issue:
    return Issue("labels that are unknown", f"the label is {label}; the vocabulary has {count} {names}", row=row)
