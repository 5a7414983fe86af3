"""How the values of a key behave: packed, moved with the image, written and read.

A `Field` is what a `Key` needs to know about the type behind it. Row tensors and numbers need none of this: the plain
`Field` serves. Letters: N rows of one image, G rows of a batch, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.io.files import plain
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.meshes import Meshes
from scenekit.structures.objects import Objects
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary

NOT_FINITE = "values that are not finite"

MOST_NUMBERS = 64
"""A tensor with more of them in a row is not described number by number."""

Batch = TypeVar("Batch")
Item = TypeVar("Item")

SHOWN_FROM = 0.5
"""The least probability of what tables show."""

FEW_NUMBERS = 9
"""A cell of a table shows at most so many numbers one by one."""

FREE = 4
"""How long a dimension of an example is that the key's shape leaves open."""

Shape: TypeAlias = tuple[str | int, ...] | None
"""What a key declares: named or fixed dimensions, the first for rows or images; None where it declares nothing."""


@dataclass(frozen=True)
class Swatch:
    """A cell of a table that is shown beside a color."""

    text: str
    label: int | None = None
    """The label whose color it gets."""
    row: int | None = None
    """The object whose color it gets, before that of a label."""


Columns: TypeAlias = Mapping[str, Sequence[str | Swatch]]
"""Cells of a table by the title of their column."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What a field may know of the image that a value belongs to."""

    size: Size
    """Height and width in pixels."""
    vocabulary: Vocabulary
    """What the integers mean."""
    regions: Objects | None = None
    """Regions of the stream that the key follows, the objects for a key of the image; None where there are none."""
    camera: Camera | None = None
    """The camera, if it is known."""
    valid: Bool[Tensor, " N"] | None = None
    """Rows that carry the value; None for a key of the image."""

    @property
    def boxes(self) -> Float[Tensor, "N 4"]:
        """Boxes of the regions, xyxy in pixels."""
        return torch.zeros((0, 4)) if self.regions is None else self.regions.boxes


@dataclass(frozen=True)
class Issue:
    """Something that is wrong with a value, or may be."""

    kind: str
    """A phrase in the plural, such as "empty masks"; issues are counted by it."""
    message: str = ""
    """What is wrong there and what was expected, to follow the name of the place."""
    row: int | None = None
    """The row of the stream; None where the issue is not about a row."""
    entry: int | None = None
    """The number of the entry of a value of the image, such as of a relation."""
    note: bool = False
    """Whether the value is right and may only surprise."""


class Validated(NamedTuple):
    """What is left of a value without what cannot be right."""

    value: Any
    """The value; None where nothing of it can be used."""
    valid: Bool[Tensor, " N"] | None = None
    """Rows that still carry it; None where that has not changed, and for a value of the image."""
    issues: Sequence[Issue] = ()
    """What cannot be right."""


class Edges(NamedTuple):
    """Edges between the objects of an image."""

    subject: Int[Tensor, " R"]
    """The row where each edge starts."""
    object: Int[Tensor, " R"]
    """The row where it ends."""
    score: Float[Tensor, " R"] | None
    """How certain it is; None where that is not known."""
    attributes: Sequence[Mapping[str, Any]]
    """What else each edge holds, in plain JSON values."""


class Field(Generic[Batch, Item]):
    """A tensor whose first dimension are the rows of a stream; the base of all other kinds.

    `dims` is the number of its dimensions, so that JSON without a single row is read in the right form. NaN is an
    issue, unless `nan_is_unknown`.
    """

    lists: tuple[str, ...] = ()
    """Lists of the vocabulary that the integers of a value refer to, such as "predicates"."""
    example_names: tuple[str, ...] = ("first", "second", "third")
    """Names that `scenekit check` puts into those of the `lists` that a plugin brings."""

    bounds_regions: bool = False
    """Whether `extent` says which part of the image a row covers."""

    stands_in: bool = False
    """Whether `solids` only stand in for objects that have no finer ones, as 3D boxes do for meshes."""

    def __init__(self, dims: int = 1, nan_is_unknown: bool = False) -> None:
        self.dims = dims
        self.nan_is_unknown = nan_is_unknown

    def select(self, value: Any, rows: Tensor) -> Any:
        """Some rows of an item or of a packed batch."""
        return value[rows]

    def scatter(self, item: Any, rows: Tensor, count: int) -> Any:
        """An item of `count` rows that has `item` at `rows` and nothing (NaN, 0, empty) elsewhere."""
        return scattered(item, rows, count)

    def collate(self, items: Sequence[Any], size: Size) -> Any:
        """Pack the items of a batch whose padded images are `size` pixels."""
        return torch.cat(list(items))

    def image(self, value: Any, index: int, rows: Tensor) -> Any:
        """The part of a batch that belongs to one image: its `rows` of the packed values."""
        return self.select(value, rows)

    def transform(self, item: Any, geometry: Geometry, vocabulary: Vocabulary) -> Any:
        """Follow the image through a crop, resize and mirroring."""
        return item

    def encode(self, item: Any, vocabulary: Vocabulary) -> Any:
        """Plain JSON values: one entry a row, `null` for what is not finite."""
        return [plain(row) for row in item.detach().cpu().tolist()]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Any:
        """Read what `encode` wrote for an image of `size`."""
        return tensor_of(data, *[0] * (self.dims - 1))

    def describe(self, item: Any, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """What the nodes of a scene's graph say: an entry of plain JSON per row, None where there is nothing to say.

        What `encode` writes, unless told otherwise; the shape alone of large tensors. Probabilities below `threshold`
        may be left out.
        """
        if isinstance(item, Tensor) and item[:1].numel() > MOST_NUMBERS:
            return [{"shape": list(item.shape[1:])} for _ in item]
        return list(self.encode(item, vocabulary))

    def remap(self, item: Any, index_map: Int[Tensor, " N"]) -> Any:
        """Return the value after regions that it may name were dropped or reordered.

        Args:
            item: The value of one image; that of a key with rows has its new rows already.
            index_map: The new row of each former one, -1 where it was dropped.

        Returns:
            The value with the new row numbers, without what named a dropped row.
        """
        return item

    def relabel(self, item: Any, old: Vocabulary, new: Vocabulary) -> Any:
        """Return the value with the integers of another vocabulary, translated by name.

        Args:
            item: The value of one image.
            old: The vocabulary that its integers refer to.
            new: The one that they shall refer to.

        Returns:
            The value without what `new` has no name for.
        """
        return item

    def validate(self, item: Any, frame: Frame) -> Validated:
        """Drop what cannot be right; by default rows with numbers that are not finite.

        Args:
            item: The value of one image.
            frame: What is known of the image.

        Returns:
            The value without it, the rows that still carry the value, and what is wrong.
        """
        faulty = self.not_finite(item)
        if faulty is None:
            return Validated(item)
        counts = faulty.reshape(len(faulty), -1).sum(dim=1)
        total, expected = faulty[0].numel(), "a finite number or NaN" if self.nan_is_unknown else "a finite number"
        return without_rows(
            item,
            frame,
            (
                Issue(NOT_FINITE, f"{int(counts[row])} of {total} numbers are not finite; expected {expected}", row=row)
                for row in row_numbers(counts > 0)
            ),
        )

    def not_finite(self, item: Any) -> Bool[Tensor, "*shape"] | None:
        """Return which numbers of a tensor are not finite; None where all are, and for anything but floats."""
        if not isinstance(item, Tensor) or not item.is_floating_point():
            return None
        faulty = item.isinf() if self.nan_is_unknown else ~item.isfinite()
        return faulty if bool(faulty.any()) else None

    def extent(self, item: Any) -> tuple[Float[Tensor, "N 4"], Float[Tensor, " N"]]:
        """Return what each row covers, asked where the field `bounds_regions`: after a crop boxes shrink to it.

        Args:
            item: The value of one image.

        Returns:
            The tightest box around each row, empty where nothing is left, and its area; pixels.
        """
        raise NotImplementedError(f"{type(self).__name__} bounds regions: it must define extent")

    def edges(self, item: Any, vocabulary: Vocabulary) -> Edges | None:
        """Return what a value of the image adds to the graph of a scene, if anything.

        Args:
            item: The value of one image.
            vocabulary: What its integers mean.

        Returns:
            Edges between rows of the objects; None for a kind of value that has none.
        """
        return None

    def warnings(self, item: Any, frame: Frame) -> Iterator[Issue]:
        """Yield what is suspicious but may be right, for `scenekit doctor data`; nothing is dropped for it.

        Args:
            item: The value of one image, as it was read.
            frame: What is known of the image.

        Yields:
            An issue each; a `note` where the value is right and may only surprise.
        """
        yield from ()

    def statistics(self, item: Any, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield numbers that describe the value, for `scenekit doctor data`.

        Args:
            item: The value of one image, without what cannot be right.
            frame: What is known of the image.

        Yields:
            What is measured with its unit, such as "area, px", and the numbers of this image.
        """
        if isinstance(item, Tensor) and item.is_floating_point():
            yield "values", item if frame.valid is None else item[frame.valid]

    def occurrences(self, item: Any, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield names that occur in the value, for `scenekit doctor data`.

        Args:
            item: The value of one image, without what cannot be right.
            frame: What is known of the image.

        Yields:
            The list of the vocabulary and one of its names, once for each time that it occurs.
        """
        yield from ()

    def columns(self, item: Any, frame: Frame) -> Columns:
        """Return what tables of the report show: of each row, or in a table of its own for a value of the image.

        Unless a kind of value says otherwise, what `describe` says, in one column.

        Args:
            item: The value of one image.
            frame: What is known of the image.

        Returns:
            Cells by the title of their column, one per row; an empty title stands for the name of the key.
        """
        return {"": [brief(entry) for entry in self.describe(item, frame.vocabulary, SHOWN_FROM)]}

    def example(self, frame: Frame, shape: Shape = None) -> Any:
        """Return made-up ground truth, so that `scenekit check` needs no data set.

        Unless a kind of value says otherwise, numbers between 0 and 1 in the shape that the key declares.

        Args:
            frame: An image with its regions.
            shape: The shape that the key declares; free dimensions get the length `FREE`.

        Returns:
            A value for every row of the regions, or for the image.
        """
        sides = shape[1:] if shape else ("free",) * (self.dims - 1)
        return fractions(len(rows_in(frame)), *(side if isinstance(side, int) else FREE for side in sides))

    def misplaced(self, item: Any, frame: Frame) -> str | None:
        """Return what is wrong with the place of a value in the image.

        Args:
            item: The finished value of one image, in pixels of the original image.
            frame: What is known of the image.

        Returns:
            A phrase that follows the name of the key, such as "has 3 x 4 pixels"; None where nothing is wrong.
        """
        return None

    def solids(self, item: Any) -> Meshes | None:
        """Return the shapes of the rows for files of solids (GLB, OBJ) and 3D viewers.

        Args:
            item: The value of one image.

        Returns:
            A mesh per row in the camera frame, in metres, empty where a row has none; None where this kind of value has
            no shape in space.
        """
        return None


class ImageField(Field[Batch, Item]):
    """A value of a whole image; a batch is a list unless a subclass packs it."""

    def collate(self, items: Sequence[Any], size: Size) -> Any:
        return list(items)

    def image(self, value: Any, index: int, rows: Tensor) -> Any:
        return value[index]

    def absent(self, size: Size) -> Any:
        """What stands for an image without this label in a packed batch."""
        return None

    def validate(self, item: Any, frame: Frame) -> Validated:
        """Drop a value with numbers that are not finite."""
        faulty = self.not_finite(torch.tensor(item) if isinstance(item, float) else item)
        if faulty is None:
            return Validated(item)
        expected = "finite numbers or NaN" if self.nan_is_unknown else "finite numbers"
        message = f"{int(faulty.sum())} of {faulty.numel()} numbers are not finite; expected {expected}"
        return Validated(None, None, [Issue(NOT_FINITE, message)])

    def encode(self, item: Any, vocabulary: Vocabulary) -> Any:
        return plain(item.tolist() if isinstance(item, Tensor) else item)

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Any:
        return torch.tensor(floats(data)) if isinstance(data, list) else data

    def columns(self, item: Any, frame: Frame) -> Columns:
        return {"": [brief(self.encode(item, frame.vocabulary))]}

    def example(self, frame: Frame, shape: Shape = None) -> Any:
        sides = [side if isinstance(side, int) else FREE for side in (shape or ())[1:]]
        return fractions(*sides) if sides else 0.5


def rows_in(frame: Frame) -> Objects:
    """Return the regions that a value's rows follow, or the objects; none where the image has none."""
    return Objects.empty() if frame.regions is None else frame.regions


def bitmaps_of(frame: Frame) -> Bool[Tensor, "N H W"]:
    """Return the boxes of the regions as bitmaps."""
    regions = rows_in(frame)
    dense = torch.zeros(len(regions), *frame.size, dtype=torch.bool)
    for bitmap, (x0, y0, x1, y1) in zip(dense, regions.boxes.round().long().tolist(), strict=True):
        bitmap[y0:y1, x0:x1] = True
    return dense


def fractions(*shape: int) -> Tensor:
    """Return numbers between 0 and 1, neither of which is among them, so that they may stand for most things."""
    return torch.linspace(0.1, 0.9, math.prod(shape)).reshape(shape)


def brief(value: Any) -> str:
    """Return plain JSON as the text of a table's cell: numbers with three digits, of long lists the shape alone."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {brief(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        sides = list(np.shape(np.asarray(value, dtype=object)))
        return (
            ", ".join(brief(entry) or "–" for entry in value)
            if math.prod(sides) <= FEW_NUMBERS
            else f"[{' × '.join(map(str, sides))}]"
        )
    return "" if value is None else str(value)


def without_rows(item: Any, frame: Frame, found: Iterable[Issue]) -> Validated:
    """Return a value whose rows with issues no longer carry it; issues of rows that do not carry it are left out."""
    carried = torch.ones(len(item), dtype=torch.bool) if frame.valid is None else frame.valid
    issues = [issue for issue in found if issue.row is not None and carried[issue.row]]
    if not issues:
        return Validated(item)
    valid = carried.clone()
    valid[[issue.row for issue in issues]] = False
    return Validated(item, valid, issues)


def scattered(item: Any, rows: Tensor, count: int) -> Any:
    """`count` rows that hold those of `item` at `rows` and NaN (or 0) elsewhere; None stays None."""
    if item is None:
        return None
    full = item.new_full((count, *item.shape[1:]), torch.nan if item.is_floating_point() else 0)
    full[rows] = item
    return full


def floats(value: Any) -> Any:
    """The inverse of `files.plain`: nested lists with NaN for None."""
    if isinstance(value, list):
        return [floats(entry) for entry in value]
    return torch.nan if value is None else value


def tensor_of(rows: Sequence[Any], *shape: int) -> Tensor:
    """Nested lists as a tensor; `shape` is what a row has when there is none to tell."""
    return torch.tensor(floats(list(rows))) if rows else torch.zeros((0, *shape))


def scores_of(rows: Sequence[Any]) -> Tensor | None:
    """A column of the rows, or None where no row says anything."""
    return None if all(row is None for row in rows) else tensor_of(rows)
