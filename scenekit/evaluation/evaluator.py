"""What measures a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from scenekit.data.sample import Sample
    from scenekit.structures.scene import Scene


@runtime_checkable
class Evaluator(Protocol):
    """Accumulates one picture after the other, then says the metric's usual numbers.

    An evaluator holds what it needs compactly (masks as run lengths), never dense pictures; it can be pickled, and two
    that saw different pictures can be merged.
    """

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one picture; both are in original pixels. Samples that do not supervise the task are passed over."""

    def merge(self, other: Any) -> None:
        """Take in everything that another evaluator of the same class saw."""

    def result(self) -> dict[str, float]:
        """Fractions by their usual names (AP, AP50, mIoU, PQ); NaN where nothing could be measured."""
