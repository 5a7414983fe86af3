"""Ground truth and predictions as two JSON files `{"images": [{"id": ..., ...}, ...]}`, one entry per image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.coco_records import Ids
from scenekit.io.records import Record, read_json, read_records

ImagePair = tuple[Record, Record]
"""The entries of one image in the ground truth and in the predictions."""


def paired_images(ground_truth: Any, target_path: Path, prediction: Path) -> list[ImagePair]:
    """Return the images of the ground truth in its order, each with its prediction.

    Args:
        ground_truth: The content of `target_path`.
        target_path: The file of the ground truth.
        prediction: The file of predictions.

    Returns:
        The entries of both files for each image.

    Raises:
        InputError: Names file and id where an id occurs twice, where an image has no prediction (which may be empty),
            and where the ground truth lacks a predicted image.
    """
    ids = Ids()
    targets = ids.index(read_records(ground_truth, target_path, "images", "image"))
    predictions = ids.index(read_records(read_json(prediction), prediction, "images", "image"))
    if missing := [i for i in targets if i not in predictions]:
        raise InputError(
            f"{prediction} has no prediction for image {ids.name(missing[0])} ({len(missing)} of {len(targets)} are"
            " missing)"
        )
    if unknown := [i for i in predictions if i not in targets]:
        raise InputError(
            f"{prediction} has a prediction for image {ids.name(unknown[0])}, which {target_path} does not list"
        )
    return [(record, predictions[i]) for i, record in targets.items()]


@contextmanager
def named(record: Record) -> Iterator[None]:
    """Name the file and the image in errors that are raised inside.

    Args:
        record: The entry that errors are about.

    Yields:
        Once.
    """
    try:
        yield
    except InputError as error:
        message = str(error)  # which may have been prefixed further inside
        raise InputError(message if message.startswith(str(record)) else f"{record}: {message}") from None
