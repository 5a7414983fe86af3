"""How the values of a key behave: packed, transformed with the image, encoded and decoded.

A `Field` is what a `Key` needs to know about the type behind it. Row tensors and numbers need none of this: the plain
`Field` serves. Letters: N rows of one image, G rows of a batch, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.fields.conversion import brief, floats, scattered, tensor_of
from scenekit.fields.frame import Blending, Columns, Edges, Frame, Issue, Validated, rows_in, without_rows
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.meshes import Meshes
from scenekit.structures.sides import other_side
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary, names_if_any

NOT_FINITE = "values that are not finite"

MOST_NUMBERS = 64
"""A tensor with more of them in a row is not described number by number."""

Batch = TypeVar("Batch")
Item = TypeVar("Item")

SHOWN_FROM = 0.5
"""The least probability of what tables show."""

FREE = 4
"""How long a dimension of an example is that the key's shape leaves open."""

Shape: TypeAlias = tuple[str | int, ...] | None
"""What a key declares: named or fixed dimensions, the first for rows or images; None where it declares nothing."""


class Field(Generic[Batch, Item]):
    """A tensor whose first dimension are the rows of a stream; the base of all other kinds.

    Args:
        dims: Number of dimensions, so that JSON without a single row is read in the right form.
        nan_is_unknown: Whether NaN stands for an unknown number; otherwise it is an issue.
        dtype: Type of values decoded from JSON; by default what the numbers suggest.
    """

    lists: tuple[str, ...] = ()
    """Lists of the vocabulary that the integers of a value refer to, such as "predicates"."""
    example_names: tuple[str, ...] = ("first", "second", "third")
    """Names that `scenekit check` puts into those of the `lists` that a plugin brings."""

    bounds_regions: bool = False
    """Whether `extent` returns which part of the image a row covers."""

    follows_crops: bool = False
    """Whether `transform` can undo a crop: then the window reaches beyond the image that the value belongs to."""

    parts: Mapping[str, str] = MappingProxyType({})
    """What each part of a value is, by its name, for values that are dataclasses of tensors."""

    stands_in: bool = False
    """Whether `solids` only stand in for objects that have no finer ones, as 3D boxes do for meshes."""

    def __init__(self, dims: int = 1, nan_is_unknown: bool = False, dtype: torch.dtype | None = None) -> None:
        self.dims = dims
        self.nan_is_unknown = nan_is_unknown
        self.dtype = dtype

    def select(self, value: Any, rows: Tensor) -> Any:
        """Select rows of an item or of a packed batch.

        Args:
            value: The value of one image, or of a batch.
            rows: Row numbers, or a boolean mask.

        Returns:
            The value of these rows.
        """
        return value[rows]

    def scatter(self, item: Any, rows: Tensor, count: int) -> Any:
        """Spread the rows of an item over a longer one.

        Args:
            item: The value of one image.
            rows: Where each of its rows belongs.
            count: The number of rows of the result.

        Returns:
            An item with `item` at `rows` and blank rows (NaN, 0, empty) elsewhere.
        """
        return scattered(item, rows, count)

    def collate(self, items: Sequence[Any], size: Size) -> Any:
        """Pack the items of a batch.

        Args:
            items: The value of each image.
            size: Height and width of the padded images, in pixels.

        Returns:
            The packed value, all rows in the order of the images.
        """
        return torch.cat([item for item in items if len(item)] or list(items[:1]))  # JSON tells no type without rows

    def image(self, value: Any, index: int, rows: Tensor) -> Any:
        """Return the part of a batch that belongs to one image.

        Args:
            value: The packed value.
            index: The number of the image.
            rows: The rows of the packed value that belong to it.

        Returns:
            The value of that image.
        """
        return self.select(value, rows)

    def transform(self, item: Any, geometry: Geometry, vocabulary: Vocabulary) -> Any:
        """Transform a value with its image: crop, resize and flip.

        Args:
            item: The value of one image.
            geometry: The change, in pixels of the image.
            vocabulary: What the integers mean, with the pairs that a flip exchanges.

        Returns:
            The value in pixels of the resulting image.
        """
        return item

    def one_sided(self, item: Any, frame: Frame) -> Iterator[str]:
        """Yield names and words that name a side and that `transform` does not exchange; such an image is not flipped.

        By default all names with a side that `occurrences` yields, else those of the `lists`, as the default
        `transform` leaves the value as it is.

        Args:
            item: The value of one image.
            frame: The image.

        Yields:
            A name or word each.
        """
        words, vocabulary = frame.vocabulary.mirror_words, frame.vocabulary
        named = [name for _, name in self.occurrences(item, frame)]
        named = named or [name for kind in self.lists for name in names_if_any(vocabulary, kind)]
        yield from (name for name in dict.fromkeys(named) if other_side(name, words) != name)

    def encode(self, item: Any, vocabulary: Vocabulary) -> Any:
        """Encode a value as plain JSON.

        Args:
            item: The value of one image.
            vocabulary: What the integers mean.

        Returns:
            An entry per row, `null` for what is not finite.
        """
        return [plain(row) for row in item.detach().cpu().tolist()]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Any:
        """Decode what `encode` wrote.

        Args:
            data: Plain JSON.
            size: Height and width of the image, in pixels.
            vocabulary: What the integers mean.

        Returns:
            The value of one image.
        """
        rows = tensor_of(data, *[0] * (self.dims - 1))
        return rows if self.dtype is None else rows.to(self.dtype)

    def describe(self, item: Any, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Describe each row for the nodes of a scene's graph.

        By default what `encode` writes; of large tensors only the shape.

        Args:
            item: The value of one image.
            vocabulary: What the integers mean.
            threshold: Probabilities below it may be left out.

        Returns:
            An entry of plain JSON per row, None for a row without a value.
        """
        if isinstance(item, Tensor) and item[:1].numel() > MOST_NUMBERS:
            return [{"shape": list(item.shape[1:])} for _ in item]
        return list(self.encode(item, vocabulary))

    def votes(self, item: Any, vocabulary: Vocabulary) -> list[Mapping[str, float]] | None:
        """Return what each row says in names, which a map of many images counts (see `sk.World`).

        Args:
            item: The value of one image.
            vocabulary: What the integers mean.

        Returns:
            The weight of each name, a mapping per row; None for a kind of value that a map does not keep.
        """
        return None

    def elected(self, shares: Mapping[str, float], threshold: float) -> Any:
        """Describe what the votes of many images come to, in the form of `describe`.

        Args:
            shares: The mean weight of each name, the greatest first.
            threshold: Probabilities below it may be left out.

        Returns:
            Plain JSON.
        """
        return {name: share for name, share in shares.items() if share >= threshold}

    def remap(self, item: Any, index_map: Int[Tensor, " N"]) -> Any:
        """Return the value after regions that it may name were dropped, reordered, or packed into a batch.

        In a batch and on a board, values of rows name rows of the whole batch.

        Args:
            item: The value of one image; that of a key with rows has its new rows already.
            index_map: The new row of each former one, -1 where it was dropped.

        Returns:
            The value with the new row numbers, without what named a dropped row.
        """
        return item

    def relabel(self, item: Any, labels: LabelMap) -> Any:
        """Return the value with the integers of another vocabulary; several names may become one.

        Args:
            item: The value of one image.
            labels: What the names of its vocabulary become in the other one; `labels.index("predicates")` holds the new
                index of each predicate, -1 where it becomes nothing.

        Returns:
            The value without what the other vocabulary has no name for.
        """
        return item

    def blend(self, before: Any, now: Any, blending: Blending) -> Any:
        """Smooth a value by an earlier one of the same objects, for `sk.track(..., smooth=...)`.

        By default the value is left alone.

        Args:
            before: The earlier value, smoothed already; of an object without one the row is any other's.
            now: The value of the current image, with the same rows.
            blending: The weight of the current value, and how objects and camera moved.

        Returns:
            A value with the rows of `now`.
        """
        return now

    def validate(self, item: Any, frame: Frame) -> Validated:
        """Drop invalid values; by default rows with numbers that are not finite.

        Args:
            item: The value of one image.
            frame: The image.

        Returns:
            The valid part of the value, the rows that still carry it, and the issues.
        """
        invalid = self.not_finite(item)
        if invalid is None:
            return Validated(item)
        counts = invalid.reshape(len(invalid), -1).sum(dim=1)
        total, expected = invalid[0].numel(), "a finite number or NaN" if self.nan_is_unknown else "a finite number"
        return without_rows(
            item,
            frame,
            (
                Issue(NOT_FINITE, f"{int(counts[row])} of {total} numbers are not finite; expected {expected}", row=row)
                for row in row_numbers(counts > 0)
            ),
        )

    def not_finite(self, item: Any) -> Bool[Tensor, "*shape"] | None:
        """Mark the numbers of a tensor that are not finite.

        Args:
            item: The value of one image.

        Returns:
            True where a number is not finite; None where all are, and for anything but floats.
        """
        if not isinstance(item, Tensor) or not item.is_floating_point():
            return None
        invalid = item.isinf() if self.nan_is_unknown else ~item.isfinite()
        return invalid if bool(invalid.any()) else None

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
        """Yield what is suspicious but may be valid, for `scenekit doctor data`; nothing is dropped for it.

        Args:
            item: The value of one image, as it was read.
            frame: The image.

        Yields:
            An issue each; a `note` where the value is valid and merely unusual.
        """
        yield from ()

    def statistics(self, item: Any, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield numbers that describe the value, for `scenekit doctor data`.

        Args:
            item: The value of one image, valid parts only.
            frame: The image.

        Yields:
            What is measured with its unit, such as "area, px", and the numbers of this image.
        """
        if isinstance(item, Tensor) and item.is_floating_point():
            yield "values", item if frame.valid is None else item[frame.valid]

    def occurrences(self, item: Any, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield names that occur in the value, for `scenekit doctor data`.

        Args:
            item: The value of one image, valid parts only.
            frame: The image.

        Yields:
            The list of the vocabulary and one of its names, once for each time that it occurs.
        """
        yield from ()

    def columns(self, item: Any, frame: Frame) -> Columns:
        """Return columns of a table of the report: a line per row, or a table of its own for a value of the image.

        By default one column with what `describe` returns.

        Args:
            item: The value of one image.
            frame: The image.

        Returns:
            Cells by the title of their column; an empty title stands for the name of the key.
        """
        return {"": [brief(entry) for entry in self.describe(item, frame.vocabulary, SHOWN_FROM)]}

    def summary(self, item: Any, frame: Frame) -> str:
        """Return what the one line of an image that `scenekit predict` prints shows of the value, such as a class name.

        Args:
            item: The value of one image.
            frame: The image.

        Returns:
            A few words; by default none, so that only the name of the key is shown.
        """
        return ""

    def example(self, frame: Frame, shape: Shape = None) -> Any:
        """Return made-up ground truth, so that `scenekit check` needs no data set.

        By default numbers between 0 and 1 in the shape that the key declares.

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
            frame: The image.

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
        """Return the stand-in for an image without this label in a packed batch.

        Args:
            size: Height and width of the image, in pixels.

        Returns:
            A blank value; losses ignore it.
        """
        return None

    def validate(self, item: Any, frame: Frame) -> Validated:
        """Drop a value with numbers that are not finite."""
        invalid = self.not_finite(torch.tensor(item) if isinstance(item, float) else item)
        if invalid is None:
            return Validated(item)
        expected = "finite numbers or NaN" if self.nan_is_unknown else "finite numbers"
        message = f"{int(invalid.sum())} of {invalid.numel()} numbers are not finite; expected {expected}"
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


def fractions(*shape: int) -> Tensor:
    """Return different numbers between 0 and 1, both excluded.

    Args:
        shape: The shape of the result.

    Returns:
        Numbers from 0.1 to 0.9, evenly spaced.
    """
    return torch.linspace(0.1, 0.9, math.prod(shape)).reshape(shape)
