"""Boards that make what is computed on a board a function of tensors.

What it reads goes in, what it returns or puts comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

from torch import Tensor

from scenekit.errors import BoardError
from scenekit.keys import FEATURES, Key, Stream
from scenekit.model.board import Board
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


def as_input(value: Any) -> Any:
    """Return what of a value goes into a network: of a batch of images not their cameras, of which each may have one.

    A network that reads cameras gives other results without them, so that it is refused.

    Args:
        value: An argument, or what was read from a board.

    Returns:
        The value, whose tensors go in.
    """
    return replace(value, cameras=None) if isinstance(value, ImageBatch) else value


def recorded(value: Any, puts_on: bool = True) -> Any:
    """Return a board that notes what is read from it in place of one; other values stay as they are.

    Args:
        value: An argument.
        puts_on: Whether what is put goes to the board itself, too.

    Returns:
        A `RecordedBoard`, or the value.
    """
    return RecordedBoard(value, puts_on) if isinstance(value, Board) else value


OTHER_REGIONS = "regions of this pass alone"


class KeepingBoard(Board):
    """A board whose reads are answered by `_answer`, and which keeps what is put on it."""

    puts: dict[Key[Any, Any], Any]

    def _answer(self, question: str, read: Callable[[Board], Any]) -> Any:
        raise NotImplementedError

    @property
    def images(self) -> ImageBatch:
        """The batch itself."""
        batch: ImageBatch = self._answer("images", lambda board: board.images)
        return batch

    def __contains__(self, key: Key[Any, Any]) -> bool:
        return bool(self._answer(f"whether {key.name}", lambda board: key in board))

    def __getitem__(self, key: Key[Any, Any]) -> Any:
        return self._answer(key.name, lambda board: board[key])

    def pool(self, regions: Stream | Regions, size: int, source: Key[FeaturePyramid, Any] = FEATURES) -> Tensor:
        """Return RoI features.

        Args:
            regions: A stream, or regions, which no network reads.
            size: Side of the features.
            source: The maps that they are from.

        Returns:
            The features.
        """
        whose = regions.name if isinstance(regions, Stream) else OTHER_REGIONS
        question = f"{whose} pooled at {size} from {source.name}"
        features: Tensor = self._answer(question, lambda board: board.pool(regions, size, source))
        return features

    def put(self, key: Key[Any, Any], value: Any, rows: Regions | None = None) -> None:
        """Keep a value.

        Args:
            key: Its key.
            value: The value.
            rows: Selected regions that it belongs to; None for all of the key.

        Raises:
            BoardError: It is for selected regions.
        """
        if rows is not None:
            raise BoardError(f"{key.name!r} is put for selected regions, which no network does")
        self.puts[key] = value


@dataclass(frozen=True, eq=False)
class Read:
    """One read of a board."""

    question: str
    """What was asked for."""
    answer: Any
    """The value."""


class RecordedBoard(KeepingBoard):
    """Reads from another board and notes what is read.

    Args:
        board: The board to read from.
        puts_on: Whether what is put goes to that board, too.
    """

    def __init__(self, board: Board, puts_on: bool = True) -> None:
        vars(self).update(vars(board))  # for what is not recorded
        self.board, self.puts_on = board, puts_on
        self.reads: list[Read] = []
        self.asked: list[Callable[[Board], Any]] = []
        self.puts = {}

    def _answer(self, question: str, read: Callable[[Board], Any]) -> Any:
        self.asked.append(read)
        answer = read(self.board)
        self.reads.append(Read(question, as_input(answer)))
        return answer

    def put(self, key: Key[Any, Any], value: Any, rows: Regions | None = None) -> None:
        """Keep a value, and put it on the board if `puts_on`.

        Args:
            key: Its key.
            value: The value.
            rows: None.

        Raises:
            BoardError: It is for selected regions.
        """
        super().put(key, value, rows)
        if self.puts_on:
            self.board.put(key, value)

    @property
    def replayed(self) -> ReplayedBoard:
        """A board that answers the same reads in the same order."""
        return ReplayedBoard(tuple(self.reads))


@dataclass(frozen=True, eq=False)
class ReplayedBoard(KeepingBoard):
    """Answers reads as they were recorded, over and over; a nested value, whose tensors can be mapped."""

    reads: tuple[Read, ...]

    @property
    def _store(self) -> Any:  # type: ignore[override]
        raise BoardError("it reads more of the board than values, RoI features and images")

    def __post_init__(self) -> None:
        vars(self).update(coming=cycle(self.reads), puts={})

    def _answer(self, question: str, read: Callable[[Board], Any]) -> Any:
        answered: Read | None = next(vars(self)["coming"], None)
        if answered is None or answered.question != question or question.startswith(OTHER_REGIONS):
            raise BoardError(f"{question!r} is no read that every pass repeats")
        return answered.answer
