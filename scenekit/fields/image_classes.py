"""Classes of a whole image, alone or with the box of its object.

Letters: k classes of one image, best first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor

from scenekit.fields.base import ImageField, Shape
from scenekit.fields.conversion import floats
from scenekit.fields.frame import Columns, Frame, Issue, Validated, rows_in
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.image_classes import IMAGE_CLASSES, ImageClasses, LocatedClasses
from scenekit.structures.label_map import LabelMap
from scenekit.structures.tensors import map_tensors, repeats, row_numbers
from scenekit.structures.vocabulary import Vocabulary, flip_labels, names_if_any, one_sided_names

Classes = TypeVar("Classes", ImageClasses, LocatedClasses)


class ClassesField(ImageField[list[Classes], Classes], Generic[Classes]):
    """What both kinds share: labels of the list `image_classes`, best first, with scores in predictions."""

    lists = (IMAGE_CLASSES,)
    follows_crops = True

    def transform(self, item: Classes, geometry: Geometry, vocabulary: Vocabulary) -> Classes:
        return _flipped(item, vocabulary) if geometry.mirrored else item

    def one_sided(self, item: Classes, frame: Frame) -> Iterator[str]:
        """Yield class names without a counterpart."""
        if IMAGE_CLASSES in frame.vocabulary.lists:
            yield from one_sided_names(item.labels, IMAGE_CLASSES, frame.vocabulary)

    def occurrences(self, item: Classes, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield the best class."""
        names = names_if_any(frame.vocabulary, IMAGE_CLASSES)
        yield from ((IMAGE_CLASSES, names[label]) for label in item.labels[:1].tolist())

    def columns(self, item: Classes, frame: Frame) -> Columns:
        """Return the classes with their scores."""
        names = names_if_any(frame.vocabulary, IMAGE_CLASSES)
        cells: dict[str, list[str]] = {"class": [names[label] for label in item.labels.tolist()]}
        if item.scores is not None:
            cells["score"] = [f"{score:.2f}" for score in item.scores.tolist()]
        return cells

    def summary(self, item: Classes, frame: Frame) -> str:
        """Return the best class with its score."""
        cells = self.columns(item, frame)
        return " ".join(str(column[0]) for column in cells.values() if column)

    def encode(self, item: Classes, vocabulary: Vocabulary) -> Any:
        names = vocabulary.names(IMAGE_CLASSES)
        columns: dict[str, list[Any]] = {
            "label": item.labels.tolist(),
            "name": [names[label] for label in item.labels.tolist()],
            **{name: plain(values.tolist()) for name, values in self.numbers(item).items()},
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def numbers(self, item: Classes) -> dict[str, Tensor]:
        """Return what JSON holds of each class beside its label.

        Args:
            item: The value of one image.

        Returns:
            Rows of numbers by name.
        """
        return {} if item.scores is None else {"score": item.scores.detach().cpu()}

    def relabel(self, item: Classes, labels: LabelMap) -> Classes:
        """Return the classes that the new vocabulary has, with its labels; of those that become one, the best."""
        relabelled = labels.apply(IMAGE_CLASSES, item.labels)
        kept = relabelled >= 0
        kept[[row for row, _ in repeats(relabelled[:, None])]] = False
        return _chosen(replace(item, labels=relabelled), kept)

    def validate(self, item: Classes, frame: Frame) -> Validated:
        """Drop classes with an unknown label, and those of which a number is not finite."""
        count = len(names_if_any(frame.vocabulary, IMAGE_CLASSES))
        unknown = (item.labels < 0) | (item.labels >= count)
        issues = [
            Issue("image classes with an unknown label", f"the label is {int(item.labels[row])}; there are {count}")
            for row in row_numbers(unknown)
        ]
        wrong = torch.zeros_like(unknown)
        for name, values in self.numbers(item).items():
            rows = ~values.reshape(len(values), -1).isfinite().all(dim=1)
            if bool(rows.any()):
                issues.append(
                    Issue("image classes with numbers that are not finite", f"{name} of {int(rows.sum())} is")
                )
            wrong |= rows
        bad = unknown | wrong
        if not bool(bad.any()):
            return Validated(item)
        return Validated(None if bool(bad.all()) else _chosen(item, ~bad), None, issues)


class ImageClassesField(ClassesField[ImageClasses]):
    """Classes of an image."""

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> ImageClasses:
        return ImageClasses(_labels(data), _scores(data))

    def example(self, frame: Frame, shape: Shape = None) -> ImageClasses:
        """Return the label of the first object, as far as the list goes."""
        return ImageClasses.of(_example_label(frame))


class LocatedClassesField(ClassesField[LocatedClasses]):
    """Classes of an image, each with a box, which moves with the image."""

    def transform(self, item: LocatedClasses, geometry: Geometry, vocabulary: Vocabulary) -> LocatedClasses:
        """Move the boxes, clipped to the image; one that is outside of it is dropped with its class."""
        height, width = geometry.size
        boxes = geometry.boxes(item.boxes.float())
        boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
        moved = replace(super().transform(item, geometry, vocabulary), boxes=boxes)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        return moved if moved.scores is not None else _chosen(moved, inside)

    def numbers(self, item: LocatedClasses) -> dict[str, Tensor]:
        """Return scores and boxes."""
        return {**super().numbers(item), "box": item.boxes.detach().cpu()}

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> LocatedClasses:
        boxes = torch.tensor(floats([entry["box"] for entry in data]), dtype=torch.float32).reshape(-1, 4)
        return LocatedClasses(_labels(data), boxes, _scores(data))

    def validate(self, item: LocatedClasses, frame: Frame) -> Validated:
        """Drop what is invalid of any class, and boxes without an extent or outside of the image."""
        result = super().validate(item, frame)
        left: LocatedClasses | None = result.value
        if left is None or not len(left):
            return result
        height, width = frame.size
        x0, y0, x1, y1 = left.boxes.unbind(dim=1)
        bad = (x1 <= x0) | (y1 <= y0) | (x0 >= width) | (y0 >= height) | (x1 <= 0) | (y1 <= 0)
        if not bool(bad.any()):
            return result
        message = f"{[round(side, 2) for side in left.boxes[bad][0].tolist()]}; the image has {width} x {height} pixels"
        issue = Issue("boxes of images that are empty or outside", message)
        return Validated(None if bool(bad.all()) else _chosen(left, ~bad), None, [*result.issues, issue])

    def statistics(self, item: LocatedClasses, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield the share of the image that the first box covers."""
        sides = item.boxes[:1, 2:] - item.boxes[:1, :2]
        yield "share of the image", sides.prod(dim=1) / (frame.size[0] * frame.size[1])

    def example(self, frame: Frame, shape: Shape = None) -> LocatedClasses:
        """Return label and box of the first object, or half of the image."""
        height, width = frame.size
        boxes = rows_in(frame).boxes
        box = boxes[0] if len(boxes) else torch.tensor([0.0, 0.0, width / 2, height / 2])
        return LocatedClasses.of(_example_label(frame), box)

    def misplaced(self, item: LocatedClasses, frame: Frame) -> str | None:
        height, width = frame.size
        outside = (item.boxes < 0) | (item.boxes > item.boxes.new_tensor([width, height, width, height]) + 1e-3)
        return f"has a box outside of the image of {width} x {height} pixels" if bool(outside.any()) else None


def _labels(data: Any) -> Tensor:
    return torch.tensor([int(entry["label"]) for entry in data], dtype=torch.int64)


def _scores(data: Any) -> Tensor | None:
    scored = [entry["score"] for entry in data if isinstance(entry, Mapping) and "score" in entry]
    return torch.tensor(floats(scored), dtype=torch.float32) if scored else None


def _flipped(item: Classes, vocabulary: Vocabulary) -> Classes:
    if IMAGE_CLASSES not in vocabulary.lists:
        return item
    return replace(item, labels=flip_labels(item.labels, IMAGE_CLASSES, vocabulary))


def _chosen(item: Classes, rows: Bool[Tensor, " k"]) -> Classes:
    chosen: Classes = map_tensors(lambda values: values[rows], item)
    return chosen


def _example_label(frame: Frame) -> int:
    labels, count = rows_in(frame).labels.tolist(), len(names_if_any(frame.vocabulary, IMAGE_CLASSES))
    return min(labels[0] if labels else 0, count - 1)
