"""Pairs of the objects of an image, with names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.base import ImageField, Shape
from scenekit.fields.conversion import brief, scores_of
from scenekit.fields.frame import Columns, Edges, Frame, Issue, Swatch, Validated, rows_in
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.pairs import Pairs
from scenekit.structures.tensors import repeats, row_numbers
from scenekit.structures.vocabulary import Vocabulary, flip_labels, one_sided_names


class PairField(ImageField[list[Pairs], Pairs]):
    """Ordered pairs of objects, a list of `Pairs` in a batch.

    Args:
        names: The list of the vocabulary that `label` indexes; None where pairs have no labels.
        mirror: (left, right) names of that list which a flip exchanges, besides those that name a side.
    """

    def __init__(self, names: str | None = None, mirror: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self.names = names
        self.mirror = tuple((left, right) for left, right in mirror)
        self.lists = () if names is None else (names,)
        self.example_names = (*(name for pair in self.mirror for name in pair), *self.example_names)

    def transform(self, item: Pairs, geometry: Geometry, vocabulary: Vocabulary) -> Pairs:
        """Return the pairs with the labels of the flipped image."""
        if not geometry.mirrored or item.label is None or self.names is None:
            return item
        return replace(item, label=flip_labels(item.label, self.names, vocabulary, self.mirror))

    def one_sided(self, item: Pairs, frame: Frame) -> Iterator[str]:
        """Yield names without a counterpart."""
        if item.label is not None and self.names is not None:
            yield from one_sided_names(item.label, self.names, frame.vocabulary, self.mirror)

    def columns(self, item: Pairs, frame: Frame) -> Columns:
        """Return both objects of each pair, with name, values and score where there are any, by descending score."""
        surest = item if item.score is None else item[item.score.nan_to_num(0).argsort(descending=True, stable=True)]
        columns: dict[str, Sequence[str | Swatch]] = {**end_columns(surest.subject, surest.object, frame)}
        if surest.label is not None and self.names is not None:
            names = frame.vocabulary.names(self.names)
            columns[""] = [names[label] for label in surest.label.tolist()]
        for title, numbers in (("values", surest.values), ("score", surest.score)):
            if numbers is not None:
                columns[title] = [brief(entry) for entry in plain(numbers.tolist())]
        return columns

    def encode(self, item: Pairs, vocabulary: Vocabulary) -> Any:
        """Return an entry of plain JSON per pair."""
        names = () if self.names is None else vocabulary.names(self.names)
        entries = []
        for row in range(len(item)):
            entry: dict[str, Any] = {"subject": int(item.subject[row]), "object": int(item.object[row])}
            if item.label is not None:
                entry["label"] = int(item.label[row])
                entry |= {"name": names[entry["label"]]} if names else {}
            entry |= {} if item.values is None else {"values": plain(item.values[row].tolist())}
            entry |= {} if item.score is None else {"score": plain(item.score[row].tolist())}
            entries.append(entry)
        return entries

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Pairs:
        """Read what `encode` wrote."""
        subject, target = (
            torch.tensor([entry[name] for entry in data], dtype=torch.int64) for name in ("subject", "object")
        )
        labelled = bool(data) and "label" in data[0]
        label = torch.tensor([entry["label"] for entry in data], dtype=torch.int64) if labelled else None
        values, score = (scores_of([entry.get(name) for entry in data]) for name in ("values", "score"))
        return Pairs(subject, target, label, values, score)

    def remap(self, item: Pairs, index_map: Int[Tensor, " N"]) -> Pairs:
        """Return the pairs of objects that are left, with their new rows."""
        return item.remapped(index_map)

    def relabel(self, item: Pairs, labels: LabelMap) -> Pairs:
        """Return the pairs that the new vocabulary has a name for, each once."""
        if item.label is None or self.names is None:
            return item
        label = labels.apply(self.names, item.label)
        kept = label >= 0
        if labels.merges(self.names):
            kept &= first_of_each((item.subject, item.object, label))
        return replace(item, label=label)[kept]

    def validate(self, item: Pairs, frame: Frame) -> Validated:
        """Drop pairs of missing objects or of an object with itself, with unknown names or numbers, and repetitions."""
        columns = [item.subject, item.object, *([] if item.label is None else [item.label])]
        problems = [*misplaced_ends("pairs", item.subject, item.object, len(frame.boxes))]
        if item.label is not None and self.names is not None:
            problems += unknown_names("pairs", item.label, frame.vocabulary.names(self.names), self.names)
        problems += [*self._not_finite(item), *repeated("pairs", columns)]
        kept, issues = without_entries(len(item), problems)
        return Validated(item[kept] if issues else item, None, issues)

    def _not_finite(self, item: Pairs) -> Iterator[Issue]:
        if item.values is not None:
            lost = ~item.values.reshape(len(item), -1).isfinite().all(dim=1) if len(item) else item.values.isnan()
            for row in row_numbers(lost):
                yield Issue("pairs with values that are not finite", "its values are not finite", entry=row)

    def statistics(self, item: Pairs, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield how many pairs there are, and their values."""
        yield "pairs an image", torch.tensor([len(item)])
        if item.values is not None:
            yield "values", item.values

    def occurrences(self, item: Pairs, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield the name of each pair."""
        if item.label is not None and self.names is not None:
            names = frame.vocabulary.names(self.names)
            yield from ((self.names, names[label]) for label in item.label.tolist())

    def edges(self, item: Pairs, vocabulary: Vocabulary) -> Edges:
        """Return an edge per pair, with its name as `predicate` and its `values` where there are any.

        Raises:
            InputError: A label is not in the list of names.
        """
        attributes: list[dict[str, Any]] = [{} for _ in range(len(item))]
        if item.label is not None and self.names is not None:
            names = vocabulary.names(self.names)
            for issue in unknown_names("pairs", item.label, names, self.names):
                raise InputError(f"pair {issue.entry}: {issue.message}, counted from 0; use the list of the labels")
            for entry, label in zip(attributes, item.label.tolist(), strict=True):
                entry["predicate"] = names[label]
        if item.values is not None:
            for entry, values in zip(attributes, plain(item.values.tolist()), strict=True):
                entry["values"] = values
        return Edges(item.subject, item.object, item.score, attributes)

    def example(self, frame: Frame, shape: Shape = None) -> Pairs:
        """Return a pair of the first two objects; none where there are fewer."""
        count = 1 if len(frame.boxes) > 1 else 0
        label = None if self.names is None else torch.zeros(count, dtype=torch.int64)
        return Pairs(torch.zeros(count, dtype=torch.int64), torch.ones(count, dtype=torch.int64), label)


def end_columns(subject: Int[Tensor, " R"], target: Int[Tensor, " R"], frame: Frame) -> dict[str, list[Swatch]]:
    """Return the columns of a table that show both objects of each pair, in their colors.

    Args:
        subject: The row where each pair starts.
        target: The row where it ends.
        frame: The image.

    Returns:
        Cells by the title of their column.
    """
    names = [frame.vocabulary.things[label] for label in rows_in(frame).labels.tolist()]
    ends = {"subject": subject, "object": target}
    return {end: [Swatch(f"{names[row]} {row}", row=row) for row in rows.tolist()] for end, rows in ends.items()}


def misplaced_ends(noun: str, subject: Int[Tensor, " R"], target: Int[Tensor, " R"], count: int) -> Iterator[Issue]:
    """Yield pairs of objects that do not exist, and pairs of an object with itself.

    Args:
        noun: What the pairs are called in messages, in the plural.
        subject: The row where each pair starts.
        target: The row where it ends.
        count: The number of objects.

    Yields:
        An issue for each such pair.
    """
    ends = torch.stack((subject, target))
    lost = (ends < 0) | (ends >= count)
    for row in row_numbers(lost.any(dim=0)):
        end = int(ends[:, row][lost[:, row]][0])
        yield Issue(f"{noun} to missing objects", f"it names object {end}; there are {count}", entry=row)
    for row in row_numbers(subject == target):
        yield Issue(f"{noun} of an object to itself", f"it is of object {int(subject[row])} to itself", entry=row)


def unknown_names(noun: str, labels: Int[Tensor, " R"], names: Sequence[str], kind: str) -> Iterator[Issue]:
    """Yield pairs whose label the vocabulary does not name.

    Args:
        noun: What the pairs are called in messages, in the plural.
        labels: The label of each pair.
        names: The names of the labels.
        kind: The list of the vocabulary that `names` are.

    Yields:
        An issue for each such pair.
    """
    for row in row_numbers((labels < 0) | (labels >= len(names))):
        message = f"its label is {int(labels[row])}; the vocabulary has {len(names)} {kind}"
        yield Issue(f"{noun} with unknown {kind}", message, entry=row)


def repeated(noun: str, columns: Sequence[Int[Tensor, " R"]]) -> Iterator[Issue]:
    """Yield pairs that equal an earlier one in all columns.

    Args:
        noun: What the pairs are called in messages, in the plural.
        columns: The columns to compare.

    Yields:
        An issue for each such pair.
    """
    for row, first in repeats(torch.stack(list(columns), dim=1)):
        yield Issue(f"{noun} that repeat another one", f"it repeats number {first}", entry=row)


def first_of_each(columns: Sequence[Int[Tensor, " R"]]) -> Bool[Tensor, " R"]:
    """Mark the pairs that repeat no earlier one, such as after several names became one.

    Args:
        columns: The columns to compare.

    Returns:
        True for the first of equal pairs.
    """
    first = torch.ones(len(columns[0]), dtype=torch.bool)
    first[[row for row, _ in repeats(torch.stack(list(columns), dim=1))]] = False
    return first


def without_entries(count: int, issues: Iterable[Issue]) -> tuple[Tensor, list[Issue]]:
    """Separate entries with issues from the others.

    Args:
        count: The number of entries.
        issues: Issues with the number of their entry; several may concern one entry.

    Returns:
        Which entries have no issue, and the first issue of each other entry, in the order of the entries.
    """
    first: dict[int, Issue] = {}
    for issue in issues:
        assert issue.entry is not None
        first.setdefault(issue.entry, issue)
    kept = torch.ones(count, dtype=torch.bool)
    kept[list(first)] = False
    return kept, [first[entry] for entry in sorted(first)]
