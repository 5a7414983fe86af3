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
    """What is odd in a file and can be scored all the same: kept by kind, or refused where `strict`."""

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._first: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, where: str, what: str) -> None:
        """Take down that `where`, an entry of a file, does `what`; InputError where strict."""
        if self.strict:
            raise InputError(f"{where} {what}")
        self._first.setdefault(what, where)
        self._count[what] += 1

    def lines(self) -> list[str]:
        """One line per kind: the first place, and how many there are."""
        return [
            f"{where} {what}" + (f" ({self._count[what]} such)" if self._count[what] > 1 else "")
            for what, where in self._first.items()
        ]


def paired_images(truth: Any, truth_path: Path, prediction: Path) -> list[ImagePair]:
    """The images of the ground truth (the content of `truth_path`) in its order, each with its prediction.

    Raises InputError, naming file and id, where an id occurs twice, where an image has no prediction (which may be
    empty), and where the ground truth lacks a predicted image.
    """
    known = _by_id(read_records(truth, truth_path, "images", "image"))
    found = _by_id(read_records(read_json(prediction), prediction, "images", "image"))
    if missing := [i for i in known if i not in found]:
        raise InputError(
            f"{prediction} has no prediction for image {missing[0]} ({len(missing)} of {len(known)} are missing)"
        )
    if unknown := [i for i in found if i not in known]:
        raise InputError(f"{prediction} has a prediction for image {unknown[0]}, which {truth_path} does not list")
    return [(record, found[i]) for i, record in known.items()]


@contextmanager
def named(record: Record) -> Iterator[None]:
    """Errors inside say which file and image they are about."""
    try:
        yield
    except InputError as error:
        said = str(error)  # which may have been named further inside
        raise InputError(said if said.startswith(str(record)) else f"{record}: {said}") from None


def _by_id(records: list[Record]) -> dict[int | str, Record]:
    found: dict[int | str, Record] = {}
    for record in records:
        identity = record.get("id")
        if not isinstance(identity, int | str) or isinstance(identity, bool):
            raise InputError(f"{record}: 'id' must be an integer or text, not {brief(identity)}")
        if identity in found:
            raise InputError(f"{record}: the id {identity} occurs twice")
        found[identity] = record
    return found
