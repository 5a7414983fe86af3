"""Errors of scenekit; the command line prints an `InputError` in one line and exits with status 2."""

import difflib
import functools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

SHOWN = 40
"""How many known names an error lists before it only counts."""

LONGEST = 400
"""How many characters of another library's message are repeated."""


class ScenekitError(Exception):
    """Base class of every error that scenekit raises on purpose."""


class InputError(ScenekitError, ValueError):
    """Unusable input; the message says what is wrong, what was expected and what to do."""


class SkippedSampleError(InputError):
    """A sample that its data set leaves out, as its files cannot be used; training and evaluation go on without it."""


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
    close = difflib.get_close_matches(word[:LONGEST], known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {listed(sorted(known), SHOWN)}" if known else "; nothing is registered"


def listed(items: Iterable[str], most: int, separator: str = ", ") -> str:
    """Return the first items, and how many more there are.

    Args:
        items: Names or sentences, in the order in which they are listed.
        most: How many items to list before the rest are only counted.
        separator: What stands between two items.

    Returns:
        Such as `a, b and 3 more`; with the separator "; " such as `a; b; and 3 more`.
    """
    shown = list(items)
    rest = len(shown) - most
    more = f"{separator.rstrip(', ')} and {rest} more" if rest > 0 else ""
    return separator.join(shown[:most]) + more


def one_line(error: BaseException, longest: int = LONGEST) -> str:
    """Return the message of an error in one line.

    Args:
        error: Whatever another library raised.
        longest: How many characters to keep.

    Returns:
        The message without line breaks, cut off by "..."; the name of the error's type where it has no message.
    """
    try:
        text = " ".join(str(error).split())
    except Exception:  # a plugin's error may fail to say what it is
        text = ""
    text = text or type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]}..."


def summary(error: BaseException) -> str:
    """Return kind and message of an error in one line, such as `ImportError: no module named x`.

    Args:
        error: Whatever a plugin or another library raised.

    Returns:
        One line; the kind alone where there is no message.
    """
    kind, text = type(error).__name__, one_line(error)
    return kind if text == kind else f"{kind}: {text}"


def repr_of(value: object, longest: int = 90) -> str:
    """Return a value as it is written in Python, for an error message.

    Args:
        value: Any value.
        longest: How many characters to keep.

    Returns:
        One line, cut off by "..."; the name of the type where the value cannot be written.
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of more digits than Python writes
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= longest else f"{text[:longest]}..."


@contextmanager
def collecting() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Collect the input errors of several attempts, so that all of them are named at once.

    Yields:
        A context manager for an attempt.

    Raises:
        InputError: In the end, with the messages of all attempts that failed.
    """
    issues: list[str] = []

    @contextmanager
    def attempt() -> Iterator[None]:
        try:
            yield
        except InputError as error:
            issues.append(str(error))

    yield attempt
    if issues:
        raise InputError("; ".join(dict.fromkeys(issues)))


@functools.lru_cache(maxsize=4096)
def warn_once(log: logging.Logger, message: str) -> None:
    """Log a warning, unless this process has logged the same one: every epoch meets the same data.

    Args:
        log: The logger of the module that warns.
        message: The warning.
    """
    log.warning(message)
