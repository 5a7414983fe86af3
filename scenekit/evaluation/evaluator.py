"""The evaluator protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from scenekit.data.sample import Sample
    from scenekit.model.external_regions import Given
    from scenekit.scene import Scene


@runtime_checkable
class Evaluator(Protocol):
    """Accumulates one image after the other, then computes a metric over all of them.

    An evaluator stores what it needs compactly (masks as run lengths), never dense images. It can be pickled, and two
    of them that measured different images can be merged.
    """

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image; samples that do not supervise the task are skipped.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels, without a score threshold.
        """

    def merge(self, other: Any) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same class.
        """

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            Fractions by their usual names (AP, AP50, mIoU, PQ); NaN where nothing could be measured.
        """


@runtime_checkable
class Limited(Protocol):
    """A stage or an evaluator that keeps only so many detections.

    Attributes:
        max_detections: Replaces its own limit; None for that.
    """

    max_detections: int | None


@contextmanager
def limited_to(max_detections: int | None, parts: Iterable[object]) -> Iterator[None]:
    """Replace the limits of detections for a while.

    Args:
        max_detections: The limit; None to change nothing.
        parts: Stages and evaluators, of which those that are `Limited` change.

    Yields:
        Once.
    """
    own = [(part, part.max_detections) for part in parts if isinstance(part, Limited)]
    try:
        for part, _ in own if max_detections is not None else ():
            part.max_detections = max_detections
        yield
    finally:
        for part, limit in own:
            part.max_detections = limit


class ModalEvaluator:
    """An evaluator of a task that has several protocols, its modes: an evaluator each, results as "mode/name".

    Modes without an entry in `given` measure the predictions of the model alone.

    Args:
        evaluators: By mode.
        given: For modes that give the model a part of the ground truth, a function that returns this part: the model
            then runs once more on the image with it (not where it returns None). A function of a module, so
            that the evaluator can be pickled.
    """

    def __init__(
        self, evaluators: Mapping[str, Evaluator], given: Mapping[str, Callable[[Sample], Given | None]]
    ) -> None:
        self.evaluators = dict(evaluators)
        self.given = dict(given)

    def update(self, sample: Sample, prediction: Scene, mode: str | None = None) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
            mode: The mode whose part of the ground truth the model was given; None if it was given nothing.
        """
        for name, evaluator in self.evaluators.items():
            if name == mode or (mode is None and name not in self.given):
                evaluator.update(sample, prediction)

    def merge(self, other: ModalEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same modes.
        """
        for mode, evaluator in self.evaluators.items():
            evaluator.merge(other.evaluators[mode])

    def result(self) -> dict[str, Any]:
        """Compute the metrics of all modes.

        Returns:
            Metrics by "mode/name".
        """
        return {
            f"{mode}/{name}": value
            for mode, evaluator in self.evaluators.items()
            for name, value in evaluator.result().items()
        }
