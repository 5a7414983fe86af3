"""The metric `example`: the share of objects that a detection of their class overlaps. Start here and make it yours.

`Example` measures scenes, in `sk.evaluate`; `example` measures files, as the command `scenekit score example`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import scenekit as sk


class Example:
    """Recall at IoU 0.5, over all objects. Pass the class to `sk.evaluate(..., evaluators={"example": Example})`."""

    def __init__(self, vocabulary: "sk.Vocabulary") -> None:
        self.objects, self.detected = 0, 0

    def update(self, sample: "sk.Sample", prediction: "sk.Scene") -> None:
        """Add one image: the sample with its ground truth, and the prediction, both in original pixels."""
        self.add(sample.scene, prediction)

    def add(self, target: "sk.Scene", prediction: "sk.Scene") -> None:
        """Add one image by its scenes. Class names are compared, as files may count them differently."""
        from torchvision.ops import box_iou

        objects = target.objects[~target.objects.crowd & ~target.objects.ignore]
        names = [target.vocabulary.things[label] for label in objects.labels.tolist()]
        detected = prediction.names()
        overlaps = box_iou(objects.boxes, prediction.objects.boxes)
        for name, row in zip(names, overlaps.tolist(), strict=True):
            self.objects += 1
            self.detected += any(iou >= 0.5 and name == other for iou, other in zip(row, detected, strict=True))

    def merge(self, other: "Example") -> None:
        """Add what another process measured on other images."""
        self.objects += other.objects
        self.detected += other.detected

    def result(self) -> Mapping[str, float]:
        """Return fractions by name; NaN where there was nothing to measure."""
        return {"recall": self.detected / self.objects if self.objects else float("nan")}


def example(
    ground_truth: Annotated[Path, typer.Argument(metavar="FOLDER", help="Scenes with ground truth, JSON files.")],
    predictions: Annotated[Path, typer.Argument(metavar="FOLDER", help="Predicted scenes under the same names.")],
) -> None:
    """Print the share of objects that a detection of their class overlaps."""
    import scenekit as sk  # not at the top: commands that are not run must not load torch

    files = sorted(ground_truth.glob("*.json"))
    if not files:
        raise sk.InputError(f"{ground_truth} holds no scenes; expected JSON files that sk.Scene.save wrote")
    metric = Example(sk.Vocabulary(()))
    for file in files:
        metric.add(sk.Scene.load(file), sk.Scene.load(predictions / file.name))
    result: Any = metric.result()
    print(json.dumps(result))
