"""Ground truth and predictions as two JSON files `{"images": [{"id": ..., ...}, ...]}`, one entry per image."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, read_json, read_records

ImagePair = tuple[Record, Record]
"""The entries of one image in the ground truth and in the predictions."""


class Notes:
    """Oddities of a file that can be scored all the same, by kind.

    Args:
        strict: Refuse them instead.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._first: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, where: str, what: str) -> None:
        """Add an oddity.

        Args:
            where: An entry of a file.
            what: What is odd about it, as a clause such as "repeats another".

        Raises:
            InputError: Oddities are refused.
        """
        if self.strict:
            raise InputError(f"{where} {what}")
        self._first.setdefault(what, where)
        self._count[what] += 1

    def lines(self) -> list[str]:
        """Return one line per kind.

        Returns:
            The first place of each kind, and how many there are.
        """
        return [
            f"{where} {what}" + (f" ({self._count[what]} such)" if self._count[what] > 1 else "")
            for what, where in self._first.items()
        ]


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
    targets = _by_id(read_records(ground_truth, target_path, "images", "image"))
    predictions = _by_id(read_records(read_json(prediction), prediction, "images", "image"))
    if missing := [i for i in targets if i not in predictions]:
        raise InputError(
            f"{prediction} has no prediction for image {missing[0]} ({len(missing)} of {len(targets)} are missing)"
        )
    if unknown := [i for i in predictions if i not in targets]:
        raise InputError(f"{prediction} has a prediction for image {unknown[0]}, which {target_path} does not list")
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


def _by_id(records: list[Record]) -> dict[int | str, Record]:
    by_id: dict[int | str, Record] = {}
    for record in records:
        identity = record.get("id")
        if not isinstance(identity, int | str) or isinstance(identity, bool):
            raise InputError(f"{record}: 'id' must be an integer or text, not {brief(identity)}")
        if identity in by_id:
            raise InputError(f"{record}: the id {identity} occurs twice")
        by_id[identity] = record
    return by_id
