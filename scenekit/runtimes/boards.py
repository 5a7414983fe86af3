"""Boards that make what is computed on a board a function of tensors.

What it reads goes in, what it returns or puts comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from torch import Tensor

from scenekit.errors import BoardError
from scenekit.keys import FEATURES, Key, Stream
from scenekit.model.board import Board
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

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
        """Return RoI features."""
        whose = regions.name if isinstance(regions, Stream) else OTHER_REGIONS
        question = f"{whose} pooled at {size} from {source.name}"
        features: Tensor = self._answer(question, lambda board: board.pool(regions, size, source))
        return features

    def put(self, key: Key[Any, Any], value: Any, rows: Regions | None = None) -> None:
        """Keep a value."""
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
        self.reads.append(Read(question, read(self.board)))
        return self.reads[-1].answer

    def put(self, key: Key[Any, Any], value: Any, rows: Regions | None = None) -> None:
        """Keep a value."""
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

    def __post_init__(self) -> None:
        vars(self).update(coming=cycle(self.reads), puts={})

    def _answer(self, question: str, read: Callable[[Board], Any]) -> Any:
        answered: Read | None = next(vars(self)["coming"], None)
        if answered is None or answered.question != question or question.startswith(OTHER_REGIONS):
            raise BoardError(f"{question!r} is no read that every pass repeats")
        return answered.answer
