"""Errors that are the user's to mend; the command line prints them in one line and exits with status 2."""

import difflib
from collections.abc import Collection

SHOWN = 40
"""How many known names an error lists before it only counts."""


class ScenekitError(Exception):
    """Base of every error that scenekit raises on purpose."""


class InputError(ScenekitError, ValueError):
    """Something that was handed in is unusable; the message says what was expected, what came and what to do."""


class BoardError(ScenekitError):
    """A task broke the rules of the board: an undeclared read, a second write, a value of the wrong shape."""


class UndeclaredReadError(BoardError):
    """A task read a key that its TaskSpec does not name."""


class WrongShapeError(BoardError):
    """A task put a value on the board that does not have as many rows, or the shape, that its key declares."""


class PluginError(ScenekitError):
    """A plugin is unusable: it fails to import, misuses a hook, or shares a name; the message names it."""


def nearest(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?` for the closest of `known`, or the list of what is known when nothing is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = sorted(known)[:SHOWN]
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"; known: {', '.join(shown)}{more}" if known else "; nothing is registered"
