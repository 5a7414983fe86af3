"""What a scorer leaves out of its numbers, and what is odd about the files that it scores."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from scenekit.errors import SHOWN, InputError, listed, nearest, warn_once

_log = logging.getLogger(__name__)

NOTHING = "nothing is measured"
"""End of the note of a scorer all of whose numbers are NaN."""


class Notes:
    """What is left out or odd in files that can be scored all the same, by kind.

    Args:
        strict: Refuse it instead.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._first: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, where: object, what: str, count: int = 1) -> None:
        """Add a note.

        Args:
            where: A file, or an entry of one.
            what: What is odd about it, as a clause such as "repeats another".
            count: How many there are of this kind.

        Raises:
            InputError: Oddities are refused.
        """
        if self.strict:
            raise InputError(f"{where} {what}")
        self._first.setdefault(what, str(where))
        self._count[what] += count

    def lines(self) -> list[str]:
        """Return one line per kind.

        Returns:
            The first place of each kind, and how many there are.
        """
        return [
            f"{where} {what}" + (f" ({self._count[what]} such)" if self._count[what] > 1 else "")
            for what, where in self._first.items()
        ]

    def beside(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """Add the lines to scores.

        Args:
            scores: Metrics by name.

        Returns:
            The same, with `notes` where there are any.
        """
        lines = self.lines()
        return {**scores, "notes": lines} if lines else dict(scores)


@contextmanager
def collected(notes: Notes | None) -> Iterator[Notes]:
    """Provide notes to add to; those that the caller does not collect are logged as warnings at the end.

    Args:
        notes: The caller's, if any.

    Yields:
        The notes.
    """
    own = notes or Notes()
    yield own
    if notes is None:
        for line in own.lines():
            warn_once(_log, line)


def note_unknown(
    notes: Notes,
    where: object,
    counts: Mapping[str, int],
    scored: Collection[str],
    known: Collection[str] = (),
    silent: bool = False,
) -> None:
    """Add the classes that a protocol leaves out to notes, with the nearest name that it scores.

    Args:
        notes: Collects the notes.
        where: The file or the folder.
        counts: How many objects there are by class.
        scored: The classes that the protocol scores.
        known: Further names that are no mistake; they get no hint.
        silent: Whether these are left out without a note.

    Raises:
        InputError: There are objects, but none of a class that is scored; or `notes` refuses oddities.
    """
    right, proper = ({name.lower() for name in names} for names in (scored, known))
    unknown = {name: count for name, count in counts.items() if name.lower() not in right}
    if counts and len(unknown) == len(counts):
        names = listed((f"{name!r} ({count})" for name, count in counts.items()), SHOWN)
        raise InputError(
            f"{where} has no object of a class that is scored: expected {', '.join(scored)}; its objects are {names}"
        )
    for name, count in unknown.items():
        is_proper = name.lower() in proper
        if not (is_proper and silent):
            hint = "" if is_proper else nearest(name, list(scored))
            notes.add(where, f"has objects of the class {name!r}, which is not scored{hint}", count)
