"""Curves of a run for TensorBoard, in the run's folder; it only listens, and does nothing where TensorBoard is absent.

`pip install "scenekit[train]"`, train, then `tensorboard --logdir runs`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import scenekit as sk

FOLDER = "tensorboard"
"""Where the event files are, below the folder of the run."""


class TensorBoard:
    """Writes each number of the log's lines and of evaluations under the names that they have there."""

    def __init__(self) -> None:
        self.writer: Any = None

    @sk.hookimpl
    def scenekit_run_started(self, folder: str) -> None:
        """Open the event file."""
        try:
            writers = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            return
        self.writer = writers.SummaryWriter(str(Path(folder) / FOLDER))

    @sk.hookimpl
    def scenekit_step_done(self, step: int, record: Mapping[str, Any]) -> None:
        """One line of the log."""
        self._write({name: value for name, value in record.items() if name != "step"}, step)

    @sk.hookimpl
    def scenekit_evaluated(self, step: int | None, results: Mapping[str, Mapping[str, Any]]) -> None:
        """An evaluation on the way; those outside of training have no place on the axis of steps."""
        if step is not None:
            self._write({"evaluation": results}, step)

    @sk.hookimpl
    def scenekit_run_ended(self) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()
        self.writer = None

    def _write(self, values: Mapping[str, Any], step: int) -> None:
        if self.writer is not None:
            for name, value in _numbers(values):
                self.writer.add_scalar(name, value, step)


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested mappings, by its path with slashes."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


observer = TensorBoard()
