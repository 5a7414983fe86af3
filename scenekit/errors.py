"""Errors of scenekit; the command line prints an `InputError` in one line and exits with status 2."""

import difflib
from collections.abc import Collection

SHOWN = 40
"""How many known names an error lists before it only counts."""


class ScenekitError(Exception):
    """Base class of every error that scenekit raises on purpose."""


class InputError(ScenekitError, ValueError):
    """Unusable input; the message says what is wrong, what was expected and what to do."""


class BoardError(ScenekitError):
    """A task broke the rules of the board: an undeclared read, a second write, a value of the wrong shape."""


class UndeclaredReadError(BoardError):
    """A task read a key that its TaskSpec does not name."""


class WrongShapeError(BoardError):
    """A task put a value on the board that does not have as many rows, or the shape, that its key declares."""


class PluginError(ScenekitError):
    """A plugin is unusable: it fails to import, misuses a hook, or shares a name; the message names it."""


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint for an unknown name, to be appended to an error message.

    Args:
        word: The unknown name.
        known: The names that exist.

    Returns:
        `; did you mean 'x'?` for the closest known name, or the list of known names when none is close.
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = sorted(known)[:SHOWN]
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"; known: {', '.join(shown)}{more}" if known else "; nothing is registered"
