"""What measures a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from scenekit.data.sample import Sample
    from scenekit.model.external_regions import Given
    from scenekit.scene import Scene


@runtime_checkable
class Evaluator(Protocol):
    """Accumulates one image after the other, then says the metric's usual numbers.

    An evaluator holds what it needs compactly (masks as run lengths), never dense images; it can be pickled, and two
    that saw different images can be merged.
    """

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image; both are in original pixels. Samples that do not supervise the task are passed over."""

    def merge(self, other: Any) -> None:
        """Take in everything that another evaluator of the same class saw."""

    def result(self) -> dict[str, Any]:
        """Fractions by their usual names (AP, AP50, mIoU, PQ); NaN where nothing could be measured."""


class ModalEvaluator:
    """An evaluator of a task that has several protocols, its modes: an evaluator each, results as "mode/name".

    `given` says, for modes that give the model a part of the truth, which part: for each image the model then takes
    one more pass with it (none where it says None). The other modes measure what the model finds by itself. Both
    mappings are by mode; functions are those of a module, so that the evaluator can be pickled.
    """

    def __init__(
        self, evaluators: Mapping[str, Evaluator], given: Mapping[str, Callable[[Sample], Given | None]]
    ) -> None:
        self.evaluators = dict(evaluators)
        self.given = dict(given)

    def update(self, truth: Sample, prediction: Scene, mode: str | None = None) -> None:
        """Take in what the model found with what `mode` gives, or by itself."""
        for name, evaluator in self.evaluators.items():
            if name == mode or (mode is None and name not in self.given):
                evaluator.update(truth, prediction)

    def merge(self, other: ModalEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        for mode, evaluator in self.evaluators.items():
            evaluator.merge(other.evaluators[mode])

    def result(self) -> dict[str, Any]:
        """The results of all modes."""
        return {
            f"{mode}/{name}": value
            for mode, evaluator in self.evaluators.items()
            for name, value in evaluator.result().items()
        }
