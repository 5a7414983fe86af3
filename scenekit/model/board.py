"""The typed, write-once blackboard of one batch.

Letters: N regions, C channels, S side of pooled features.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import BoardError, UndeclaredReadError, WrongShapeError
from scenekit.keys import FEATURES, IMAGES, Key, Stream
from scenekit.model.tracing import untraced
from scenekit.model.watch import Watch
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


@runtime_checkable
class FixedPooler(Protocol):
    """A pooler that has a form for passes with fixed shapes."""

    def fixed(self) -> Pooler:
        """Return a pooler of the same features, none of whose shapes depends on the boxes."""


@runtime_checkable
class Pooler(Protocol):
    """RoI features of boxes: a pure function of each row, so that pooling some rows now and some later is the same."""

    def __call__(self, features: FeaturePyramid, regions: Regions, size: int) -> Float[Tensor, "N C S S"]:
        """Pool every row at `size` x `size`."""


class PoolMemo:
    """Features of one set of root regions at one size: every row is pooled at most once."""

    def __init__(self, pooler: Pooler, features: FeaturePyramid, root: Regions, size: int) -> None:
        self._pooler, self._features, self._root, self._size = pooler, features, root, size
        self._place = torch.full((len(root),), -1, device=root.boxes.device)
        self._pooled: Tensor | None = None
        self._whole = False

    @property
    def pooled(self) -> Tensor | None:
        """The features of the rows that are pooled already."""
        return self._pooled

    def rows(self, regions: Regions) -> Float[Tensor, "N C S S"]:
        """Return the features of `regions`, a subset of the root; only rows that are not pooled yet are computed."""
        if self._pooled is None and regions.rows is None:
            self._pooled, self._whole = self._pooler(self._features, self._root, self._size), True
        if self._whole and self._pooled is not None:
            return self._pooled if regions.rows is None else self._pooled[regions.rows]
        rows = regions.root_rows
        missing = (self._place[rows] < 0).nonzero()[:, 0]
        if len(missing) or self._pooled is None:
            fresh = torch.unique(rows[missing])
            done = 0 if self._pooled is None else len(self._pooled)
            self._place[fresh] = torch.arange(done, done + len(fresh), device=fresh.device)
            pooled = self._pooler(self._features, self._root.subset(fresh), self._size)
            self._pooled = pooled if self._pooled is None else torch.cat((self._pooled, pooled))
        places = self._place[rows]
        all_in_order = torch.arange(len(self._pooled), device=places.device)
        return self._pooled if torch.equal(places, all_in_order) else self._pooled[places]


class PaddedPoolMemo(PoolMemo):
    """Features of regions with a fixed number of rows: all are pooled at once, so that no shape depends on values."""

    def rows(self, regions: Regions) -> Float[Tensor, "N C S S"]:
        """Return the features of `regions`, a subset of the root."""
        if self._pooled is None:
            self._pooled = self._pooler(self._features, self._root, self._size)
        return self._pooled if regions.rows is None else self._pooled[regions.rows]


ForOtherRows: TypeAlias = Callable[[Key[Any, Any], Regions], Mapping[Key[Any, Any], tuple[Any, Regions]]]
"""From a key and a root of regions to (value, its rows) by key."""


@dataclass
class _Store:
    images: ImageBatch
    pooler: Pooler
    given: Mapping[Key[Any, Any], Any]
    values: dict[Key[Any, Any], Any] = field(default_factory=dict)
    writers: dict[Key[Any, Any], str] = field(default_factory=dict)
    rows: dict[Key[Any, Any], Regions] = field(default_factory=dict)
    pools: dict[tuple[int, int, str], PoolMemo] = field(default_factory=dict)
    others: dict[tuple[Key[Any, Any], int], tuple[Any, Regions]] = field(default_factory=dict)
    compute: dict[Key[Any, Any], ForOtherRows] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)


class Board:
    """The values of one forward pass by key; each key is written once and read by steps that declare it.

    `board[KEY]` reads a value, `board.pool(OBJECTS, size=7)` returns RoI features. A head gets a `view`: limited to
    what its task declares, and with its own rows of each stream in place of all of them.

    Args:
        images: The batch.
        pooler: Pools RoI features.
        given: External values by key, such as regions.
    """

    def __init__(self, images: ImageBatch, pooler: Pooler, given: Mapping[Key[Any, Any], Any] | None = None) -> None:
        self._store = _Store(images, pooler, dict(given or {}))
        self._store.values[IMAGES] = images
        self._store.watch.add("the images", images)
        self._store.watch.add("an external value", dict(given or {}))
        self._owner = "core"
        self._reads: frozenset[Key[Any, Any]] | None = None
        self._regions: Mapping[Stream, Regions] = {}

    @property
    def images(self) -> ImageBatch:
        """The batch itself."""
        return self._store.images

    @property
    def given(self) -> Mapping[Key[Any, Any], Any]:
        """External values by key, which providers honor."""
        return self._store.given

    @property
    def keys(self) -> tuple[Key[Any, Any], ...]:
        """Keys of the values that it holds."""
        return tuple(self._store.values)

    @property
    def pooler(self) -> Pooler:
        """What RoI features are pooled with."""
        return self._store.pooler

    @untraced
    def view(self, owner: str, reads: Collection[Key[Any, Any]], regions: Mapping[Stream, Regions]) -> Board:
        """Return the board as one step may read it.

        Args:
            owner: The name of the step, for messages.
            reads: The keys that it declares.
            regions: Its rows of each stream.

        Returns:
            A view of the same values.
        """
        board = Board.__new__(Board)
        board._store, board._owner = self._store, owner
        board._reads, board._regions = frozenset(reads), dict(regions)
        return board

    @untraced
    def __contains__(self, key: Key[Any, Any]) -> bool:
        self._check_declared(key)
        return key in self._store.values

    @untraced
    def __getitem__(self, key: Key[Any, Any]) -> Any:
        self._check_declared(key)
        if isinstance(key, Stream) and key in self._regions:
            return self._regions[key]
        if key not in self._store.values:
            present = ", ".join(sorted(k.name for k in self._store.values))
            raise BoardError(f"{self._owner} reads {key.name!r}, which is not on the board; it holds {present}")
        value = self._store.values[key]
        return value if key.of is None or self._reads is None else self._own_rows(key, value)

    @untraced
    def put(self, key: Key[Any, Any], value: Any, rows: Regions | None = None) -> None:
        """Write a value, once.

        Args:
            key: The key.
            value: Its value.
            rows: The regions that the value belongs to, for a key that follows a stream; all by default.

        Raises:
            BoardError: The key is on the board already.
            WrongShapeError: The value has another number of rows, or another shape than the key declares.
        """
        if key in self._store.values:
            writer = self._store.writers.get(key, "the caller")
            raise BoardError(f"{self._owner} puts {key.name!r} on the board, where {writer} already put it")
        if key.of is not None:
            rows = self[key.of] if rows is None else rows
            self._store.rows[key] = rows
        self._check_shape(key, value, rows)
        self._store.values[key] = value
        self._store.writers[key] = self._owner
        self._store.watch.add(repr(key.name), value)

    def check_unchanged(self, owner: str) -> None:
        """Check that a step changed nothing in place that the board holds.

        Args:
            owner: The step, for the message.

        Raises:
            BoardError: It did.
        """
        self._store.watch.check(owner)

    def compute_for_others(self, keys: Collection[Key[Any, Any]], compute: ForOtherRows) -> None:
        """Set how values on the board are computed for readers with other regions, at the first such read.

        Args:
            keys: Keys that are on the board.
            compute: Returns the values on the regions of a root.
        """
        self._store.compute |= dict.fromkeys(keys, compute)

    def of_root(self, key: Key[Any, Any]) -> Any:
        """Return a row value on all rows of the regions that its rows are taken from; rows without it are blank.

        Args:
            key: The key.

        Returns:
            The value.
        """
        return _over_root(key, self[key], self.rows_of(key))

    def rows_of(self, key: Key[Any, Any]) -> Regions:
        """Return the regions that the value of a row key belongs to, row by row.

        Args:
            key: The key.

        Returns:
            The regions.
        """
        self._check_declared(key)
        return self._store.rows[key]

    @untraced
    def pool(
        self, regions: Stream | Regions, size: int, source: Key[FeaturePyramid, Any] = FEATURES
    ) -> Float[Tensor, "N C S S"]:
        """Return RoI features, pooled once per row, size and source.

        A subset shares the features of the regions that it was taken from, so its boxes must be theirs.

        Args:
            regions: A stream, for the rows of this view, or any regions.
            size: The side of the features.
            source: The pyramid to pool from.

        Returns:
            The features of each row.

        Raises:
            UndeclaredReadError: The stream or the source is not declared.
        """
        boxes: Regions = self[regions] if isinstance(regions, Stream) else regions
        root = boxes.root
        memo_key = (id(root), size, source.name)
        if memo_key not in self._store.pools:
            memo_of = PoolMemo if root.valid is None else PaddedPoolMemo
            self._store.pools[memo_key] = memo_of(self._store.pooler, self._features(source), root, size)
        memo = self._store.pools[memo_key]
        before, features = memo.pooled, memo.rows(boxes)
        if memo.pooled is not before:
            self._store.watch.add(f"RoI features of side {size} pooled from {source.name!r}", memo.pooled, memo_key)
        return features

    @untraced
    def release(self, regions: Regions) -> None:
        """Remove the RoI features of regions; where they are read again, they are pooled again.

        Args:
            regions: Regions, or a subset of them.
        """
        for place in [place for place in self._store.pools if place[0] == id(regions.root)]:
            del self._store.pools[place]
            self._store.watch.remove(place)

    def _features(self, source: Key[FeaturePyramid, Any]) -> FeaturePyramid:
        """Return a pyramid: each step that may pool regions may read FEATURES; any other source must be declared."""
        if source == FEATURES and source in self._store.values:
            shared: FeaturePyramid = self._store.values[source]
            return shared
        declared: FeaturePyramid = self[source]
        return declared

    def _own_rows(self, key: Key[Any, Any], value: Any) -> Any:
        """Return a row value re-ordered to this view's rows of the stream; rows that do not carry it are blank."""
        own, theirs = self._regions.get(key.of) if key.of else None, self._store.rows[key]
        if own is None or own is theirs:
            return value
        if own.root is not theirs.root:
            value, theirs = self._on_other_rows(key, own.root)
        return key.field.select(_over_root(key, value, theirs), own.root_rows)

    def _on_other_rows(self, key: Key[Any, Any], root: Regions) -> tuple[Any, Regions]:
        place = (key, id(root))
        if place not in self._store.others and key in self._store.compute:
            made = self._store.compute[key](key, root)
            self._store.others |= {(other, id(root)): part for other, part in made.items()}
        if place not in self._store.others:
            raise BoardError(
                f"{self._owner} reads {key.name!r}, which follows other regions than its own; give both one policy"
            )
        return self._store.others[place]

    def _check_declared(self, key: Key[Any, Any]) -> None:
        if self._reads is not None and key not in self._reads:
            declared = ", ".join(sorted(k.name for k in self._reads))
            raise UndeclaredReadError(
                f"task {self._owner!r} reads {key.name!r} without declaring it; add it to `requires` or `uses` of "
                f"its TaskSpec (declared: {declared})"
            )

    def _check_shape(self, key: Key[Any, Any], value: Any, rows: Regions | None) -> None:
        if rows is not None and _count(value) != len(rows):
            received = f"{_count(value)} rows" if _count(value) >= 0 else f"a {type(value).__name__} without rows"
            raise WrongShapeError(
                f"{self._owner} put {received} of {key.name!r} on the board, expected {len(rows)} rows"
            )
        clips = len(self.images.clips or ())
        if key.of_clip and _count(value) != clips:
            raise WrongShapeError(
                f"{self._owner} put {_count(value)} entries of {key.name!r} on the board, expected one for each of "
                f"{clips} clips"
            )
        count = clips if key.of_clip else len(self.images)
        if key.shape is not None and isinstance(value, Tensor) and not _fits(value, key.shape, count):
            expected = " ".join(map(str, key.shape))
            raise WrongShapeError(f"{self._owner} put {key.name!r} of shape {list(value.shape)}, expected [{expected}]")


def _over_root(key: Key[Any, Any], value: Any, rows: Regions) -> Any:
    """Spread a row value over the root of its rows; rows that do not carry it, and padding, are blank."""
    count = len(rows.root)
    if rows.valid is None:
        return key.field.scatter(value, rows.root_rows, count)
    beyond = key.field.scatter(value, rows.root_rows.where(rows.valid, count), count + 1)
    return key.field.select(beyond, torch.arange(count, device=rows.boxes.device))


def _count(value: Any) -> int:
    """Return the number of rows, -1 for what has none (None, a scalar)."""
    try:
        return len(value)
    except TypeError:
        return -1


def _fits(value: Tensor, shape: tuple[str | int, ...], images: int) -> bool:
    """Return whether a value has the declared dimensions: equal to each number, and alike where the names are alike."""
    sizes: dict[str, int] = {"B": images}
    if value.dim() != len(shape):
        return False
    for side, name in zip(value.shape, shape, strict=True):
        if side != (sizes.setdefault(name, side) if isinstance(name, str) else name):
            return False
    return True
