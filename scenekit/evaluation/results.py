"""Predictions as files in the format of a data set, for its server or for `scenekit score`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from scenekit.errors import InputError, nearest
from scenekit.hooks import registry

if TYPE_CHECKING:
    from scenekit.data.datasets import SampleSet
    from scenekit.data.sample import Sample
    from scenekit.scene import Scene
    from scenekit.structures.label_map import LabelMap

FALLBACK = "coco"
"""The format of data sets that have none of their own."""


@runtime_checkable
class ResultsWriter(Protocol):
    """Writes predictions, an image after the other."""

    def add(self, scene: Scene, id: int, name: str) -> None:
        """Add one image.

        Args:
            scene: Its predictions, in original pixels.
            id: Its id in the data set, or its number.
            name: Its path or another name, for formats that name a file by it.
        """

    def finish(self) -> list[Path]:
        """Write what is not written yet.

        Returns:
            Paths of the files, or of the folder where there is one for each image.
        """


class ResultsEvaluator:
    """An evaluator that writes the predictions, to be given to `sk.evaluate` beside those that measure.

    Args:
        writer: Writes them.

    Example:
        ```python
        writer = results_writer("coco", "results", data)
        sk.evaluate(model, data, evaluators={"predictions": ResultsEvaluator(writer)})
        ```
    """

    def __init__(self, writer: ResultsWriter) -> None:
        self.writer = writer

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, of which only id and path are read.
            prediction: What the model predicts for the image, in original pixels.
        """
        self.writer.add(prediction, sample.id, sample.scene.path or str(sample.id))

    def merge(self, other: Any) -> None:
        """Raise an error: each process would write the same files.

        Args:
            other: Another instance.

        Raises:
            InputError: Always.
        """
        raise InputError("predictions are written by one process; evaluate in one to write them")

    def result(self) -> dict[str, Any]:
        """Write what is not written yet.

        Returns:
            `files`: the paths.
        """
        return {"files": [str(path) for path in self.writer.finish()]}


class RenamedWriter:
    """A writer of predictions in the names of a data set, for a model that has other names.

    Args:
        writer: Writes them.
        labels: What the names of the model become.
    """

    def __init__(self, writer: ResultsWriter, labels: LabelMap) -> None:
        self.writer, self.labels = writer, labels

    def add(self, scene: Scene, id: int, name: str) -> None:
        """Add one image; predictions of classes that the data set lacks are dropped.

        Args:
            scene: Its predictions, in original pixels.
            id: Its id in the data set, or its number.
            name: Its path or another name.
        """
        from scenekit.data.relabel import mapped_scene

        self.writer.add(mapped_scene(scene, self.labels), id, name)

    def finish(self) -> list[Path]:
        """Write what is not written yet.

        Returns:
            Paths of the files.
        """
        return self.writer.finish()


def results_formats() -> list[str]:
    """Return the formats in which predictions can be written.

    Returns:
        Names of data sets.
    """
    known = registry()
    return [name for name in sorted(known.names("dataset")) if known.get("dataset", name).results is not None]


def results_writer(format: str, folder: str | Path, data: SampleSet | None = None) -> ResultsWriter:
    """Make a writer of predictions; the folder is created.

    Args:
        format: The name of a data set with a format of its own: "coco", "kitti", "omni3d".
        folder: Where to write.
        data: The data set that the predictions are of, whose ids of images and categories are written. Without it,
            category ids are the places in the vocabulary, from 1, with names beside them in a file.

    Returns:
        The writer.

    Raises:
        InputError: There is no such format, or the folder cannot be created.
    """
    formats = results_formats()
    if format not in formats:
        raise InputError(f"unknown format of results {format!r}{nearest(format, formats)}")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise InputError(f"{folder}: this folder cannot be created ({cause.strerror}); name another one") from cause
    writer: ResultsWriter = registry().get("dataset", format).results(folder, data)
    return writer


def save_results(
    scenes: Iterable[Scene], folder: str | Path, format: str = FALLBACK, data: SampleSet | None = None
) -> list[Path]:
    """Write predictions in the format of a data set; images are numbered from 1.

    `scenekit evaluate --predictions` writes those of a data set, with its ids of images.

    Args:
        scenes: Predictions.
        folder: Where to write.
        format: See `results_writer`.
        data: See `results_writer`.

    Returns:
        Paths of the files, or of the folder where there is one for each image.

    Raises:
        InputError: As for `results_writer`.
    """
    writer = results_writer(format, folder, data)
    for number, scene in enumerate(scenes, start=1):
        writer.add(scene, number, scene.path or f"{number:06d}")
    return writer.finish()
