"""What tracking metrics measure: objects with ids by frame, and the similarity of those of each frame.

Letters: M objects of a sequence, G targets and P predictions of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from scenekit.errors import InputError

LEAST = np.finfo(float).eps
"""A similarity may fall short of a threshold by rounding."""


@dataclass(frozen=True, eq=False)
class MotObjects:
    """The objects of a sequence, ground truth or predictions: a row for each object in each frame."""

    frames: Int[np.ndarray, " M"]
    """Number of the frame, from 0."""
    ids: Int[np.ndarray, " M"]
    """Identities."""
    boxes: Float[np.ndarray, "M 4"]
    """Boxes, xyxy in pixels."""
    classes: Shaped[np.ndarray, " M"]
    """Numbers or names of the classes."""
    truncated: Float[np.ndarray, " M"] | None = None
    """How far ground truth is cut off by the border of the image, in KITTI's steps."""
    occluded: Float[np.ndarray, " M"] | None = None
    """How far ground truth is hidden, in KITTI's steps."""
    considered: Shaped[np.ndarray, " M"] | None = None
    """Whether ground truth counts, by MOTChallenge's flag; None where all does."""

    def __post_init__(self) -> None:
        for name, column in vars(self).items():
            if column is not None and len(column) != len(self.ids):
                raise InputError(f"{name} has {len(column)} entries for {len(self.ids)} objects; each needs one")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> MotObjects:
        columns: dict[str, Any] = {
            name: None if column is None else column[rows] for name, column in vars(self).items()
        }
        return MotObjects(**columns)

    def by_frame(self, count: int) -> list[Int[np.ndarray, " _"]]:
        """Return the rows of each frame.

        Args:
            count: The number of frames.

        Returns:
            Row numbers in the order of the rows.
        """
        order = np.argsort(self.frames, kind="stable")
        edges = np.searchsorted(self.frames[order], np.arange(count + 1))
        return [order[start:end] for start, end in pairwise(edges)]


@dataclass(frozen=True, eq=False)
class Sequence:
    """One sequence as the metrics read it: what is left of targets and predictions, frame by frame."""

    targets: tuple[Int[np.ndarray, " _"], ...]
    """Identities of the targets of each frame, from 0 without gaps."""
    predictions: tuple[Int[np.ndarray, " _"], ...]
    """Identities of the predictions of each frame, from 0 without gaps."""
    similarities: tuple[Float[np.ndarray, "_ _"], ...]
    """Of each target of the frame with each prediction, 0 to 1: the IoU of boxes or masks."""

    @classmethod
    def of(cls, targets: list[Any], predictions: list[Any], similarities: list[Any]) -> Sequence:
        """Create a sequence from any integers as identities.

        Args:
            targets: Identities of the targets of each frame.
            predictions: Identities of the predictions of each frame.
            similarities: Of each target of the frame with each prediction.

        Returns:
            The sequence.

        Raises:
            InputError: An identity repeats within a frame, or the numbers of entries do not fit.
        """
        numbered = _numbered(targets, "target"), _numbered(predictions, "prediction")
        tables = tuple(np.asarray(table, dtype=float) for table in similarities)
        for number, parts in enumerate(zip(*numbered, tables, strict=True)):
            wanted = len(parts[0]), len(parts[1])
            if parts[2].shape != wanted and parts[2].size != 0:
                raise InputError(f"frame {number}: expected similarities of shape {wanted}, got {parts[2].shape}")
        shaped = (t.reshape(len(g), len(p)) for g, p, t in zip(*numbered, tables, strict=True))
        return cls(numbered[0], numbered[1], tuple(shaped))

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[tuple[Int[np.ndarray, " G"], Int[np.ndarray, " P"], Float[np.ndarray, "G P"]]]:
        yield from zip(self.targets, self.predictions, self.similarities, strict=True)

    @cached_property
    def target_counts(self) -> Int[np.ndarray, " _"]:
        """In how many frames each target is."""
        return _counts(self.targets)

    @cached_property
    def prediction_counts(self) -> Int[np.ndarray, " _"]:
        """In how many frames each predicted identity is."""
        return _counts(self.predictions)


def _counts(ids: tuple[Int[np.ndarray, " _"], ...]) -> Int[np.ndarray, " _"]:
    return np.bincount(np.concatenate(ids) if ids else np.zeros(0, dtype=np.int64))


def _numbered(ids: list[Any], name: str) -> tuple[Int[np.ndarray, " _"], ...]:
    """Return identities as numbers from 0 in their order, without gaps."""
    frames = [np.asarray(row, dtype=np.int64).reshape(-1) for row in ids]
    for number, row in enumerate(frames):
        if len(np.unique(row)) < len(row):
            raise InputError(f"frame {number} has a {name} id more than once: {row.tolist()}; each is one object")
    _, numbers = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *frames]), return_inverse=True)
    edges = np.cumsum([len(row) for row in frames])[:-1]
    return tuple(np.split(numbers, edges)) if frames else ()
