"""How many images had labels and predictions of a task: why its metrics are missing, or 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from scenekit.keys import OBJECTS, Key, Stream

if TYPE_CHECKING:
    from scenekit.data.sample import Sample
    from scenekit.scene import Scene


@dataclass
class Coverage:
    """Counts the images of an evaluation.

    Attributes:
        keys: those that the task predicts; none of an additional measure, whose labels are unknown.
        images: all images.
        annotated: images with ground truth of any of the keys.
        predicted: images with ground truth for which the model predicts any of the keys.
    """

    keys: tuple[Key[Any, Any], ...] = ()
    images: int = 0
    annotated: int = 0
    predicted: int = 0

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth.
            prediction: What the model predicts, without being given a part of the ground truth.
        """
        supervision = sample.supervision
        supervised = [key for key in self.keys if key in supervision.keys or key in supervision.streams]
        annotated = _holds_any(sample.scene, supervised)
        self.images += 1
        self.annotated += annotated
        self.predicted += annotated and _holds_any(prediction, self.keys)

    def remark(self, result: Mapping[str, Any]) -> str | None:
        """Return why the metrics of the task are missing, or those of a model without predictions.

        Args:
            result: The metrics.

        Returns:
            What to say of the task; None where there is nothing to explain, and for additional measures.
        """
        if not self.keys:
            return None
        names = " or ".join("boxes" if key is OBJECTS else key.name for key in self.keys)
        if not self.annotated:
            return f"was not measured: none of the {self.images} images has ground truth of {names}"
        annotated = f"{self.annotated} of {self.images} images have ground truth of {names}"
        if not self.predicted:
            found = "predicted nothing" if was_measured(result) else "was not measured"
            return f"{found}: {annotated}, but the model predicts none in any of these"
        if not was_measured(result):
            skipped = "its evaluator skips all of them (AP needs images that annotate every instance)"
            return f"was not measured: {annotated}, but {skipped}"
        return None


def was_measured(result: Mapping[str, Any]) -> bool:
    """Return whether any metric of a task is a number.

    Args:
        result: The metrics by name.

    Returns:
        False where all of them are NaN.
    """
    numbers = [value for value in result.values() if isinstance(value, float)]
    return not numbers or any(value == value for value in numbers)


def _holds_any(scene: Scene, keys: Iterable[Key[Any, Any]]) -> bool:
    return any(_holds(scene, key) for key in keys)


def _holds(scene: Scene, key: Key[Any, Any]) -> bool:
    """Return whether a scene has a value of the key for at least one row, or for the image."""
    if isinstance(key, Stream):
        return len(scene.regions(key)) > 0
    if key.of is not None:
        return bool(scene.rows_with(key).any())
    value = scene.values.get(key)
    if isinstance(value, Tensor):  # that of one number has no length
        return value.numel() > 0
    return value is not None and (not isinstance(value, Sized) or len(value) > 0)
