"""Curves of a run for TensorBoard, in the run's folder; without TensorBoard nothing is written.

`pip install "scenekit[train]"`, train, then `tensorboard --logdir runs`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import scenekit as sk

FOLDER = "tensorboard"
"""Folder of the event files inside the run's."""


class TensorBoard:
    """An observer that writes all numbers of the log and of evaluations under their names there."""

    def __init__(self) -> None:
        self.writer: Any = None

    @sk.hookimpl
    def scenekit_run_started(self, folder: str) -> None:
        """Open the event file.

        Args:
            folder: Folder of the run.
        """
        try:
            writers = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            return
        self.writer = writers.SummaryWriter(str(Path(folder) / FOLDER))

    @sk.hookimpl
    def scenekit_step_done(self, step: int, record: Mapping[str, Any]) -> None:
        """Write one line of the log.

        Args:
            step: Number of finished steps.
            record: The line.
        """
        self._write({name: value for name, value in record.items() if name != "step"}, step)

    @sk.hookimpl
    def scenekit_evaluated(self, step: int | None, results: Mapping[str, Mapping[str, Any]], data: str | None) -> None:
        """Write an evaluation during training; others have no step and are skipped.

        Args:
            step: Number of finished steps; None outside of training.
            results: Metrics by task and name.
            data: Name of the data set where there are several.
        """
        if step is not None:
            self._write({"evaluation": results if data is None else {data: results}}, step)

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
    """Yield every number in nested mappings, by its path with slashes."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


observer = TensorBoard()
