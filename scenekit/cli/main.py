"""The `scenekit` program: runs a command, and turns every way in which it can end into an exit status.

What it needs is imported while signals are handled, so that Ctrl-C is one line from the start.
"""

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from scenekit.cli import signals
from scenekit.errors import InputError, ScenekitError, one_line, summary
from scenekit.io import streams

USER_ERROR, FAILURE = 2, 1
INTERRUPTED, CLOSED = 128 + signal.SIGINT, 128 + 13  # as shells report a program that a signal ended; 13 is SIGPIPE

LONGEST = 10_000
"""How many characters of an error are printed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done, 2 bad input (one line on standard error), 1 any other failure, 130 interrupted, 143 terminated,
    141 (without a word) where the reader of standard output has left.

    Args:
        arguments: Arguments; those of the process if None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        sys.exit(report("standard output is closed; send it to a file, or to /dev/null", FAILURE))
    with signals.handled():
        with streams.reserved() as output:
            status = run(words)
        if (number := signals.received()) is not None:
            status = report(signals.REASONS[signal.Signals(number)], 128 + number)
        elif (failure := getattr(output, "failure", None)) is not None:
            status = unwritten(failure)
    sys.exit(status)


def run(words: Sequence[str]) -> str | int | None:
    """Run a command, and print the line of its error.

    Args:
        words: Arguments of the command line.

    Returns:
        The exit status, as `sys.exit` takes it.
    """
    try:
        from scenekit.cli.program import application

        application(words)(words, prog_name="scenekit")
    except SystemExit as leaving:
        interrupted = leaving.code == INTERRUPTED and signals.received() is None
        return report("interrupted", INTERRUPTED) if interrupted else leaving.code
    except InputError as error:
        return report(error, USER_ERROR)
    except ScenekitError as error:
        return report(error, FAILURE)
    except Exception:
        if signals.received() is None and getattr(sys.stdout, "failure", None) is None:
            raise
        return FAILURE
    except BaseException as error:
        return report(f"{' '.join(words[:1])} ended with {summary(error)}", FAILURE)
    return 0


def unwritten(failure: OSError) -> int:
    """Report that results could not be written; a reader that has left, as in `| head`, knows it.

    Args:
        failure: The error of standard output.

    Returns:
        The exit status.
    """
    if isinstance(failure, BrokenPipeError):
        return CLOSED
    return report(f"cannot write to standard output: {failure.strerror or one_line(failure)}", FAILURE)


def report(reason: object, status: int) -> int:
    """Print `error: reason` as one line on standard error.

    Args:
        reason: The error.
        status: Exit status.

    Returns:
        The exit status.
    """
    text = one_line(reason, LONGEST) if isinstance(reason, BaseException) else " ".join(str(reason).split())
    with suppress(OSError):  # standard error may be full, too
        print(f"error: {text}", file=sys.stderr, flush=True)
    return status
