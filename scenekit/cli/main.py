"""The `scenekit` program: finds its commands among the installed distributions and runs the one that is named.

A command is an entry point of the group `scenekit.commands`: a function with typer annotations, or a `typer.Typer`.
Only the module of the command that runs is imported; a command that fails to import affects no other.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from scenekit.errors import InputError, ScenekitError

GROUP = "scenekit.commands"
USER_ERROR, FAILURE, INTERRUPTED = 2, 1, 130  # exit statuses; 130 is the shell's 128 + SIGINT


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done, 2 bad input (one line on standard error), 1 any other failure, 130 interrupted.

    Args:
        arguments: Arguments; those of the process if None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        application(words)(words, prog_name="scenekit")
    except InputError as error:
        leave(error, USER_ERROR)
    except ScenekitError as error:
        leave(error, FAILURE)
    except KeyboardInterrupt:
        leave("interrupted", INTERRUPTED)
    finally:
        flush_stdout()


def flush_stdout() -> None:
    """Flush standard output; a reader that has closed it, as in `| head`, is not an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again when it exits, and would print an error: redirect that to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(reason: object, status: int) -> None:
    """Print `error: reason` as one line on standard error and exit.

    Args:
        reason: The error.
        status: Exit status.
    """
    print(f"error: {' '.join(str(reason).split())}", file=sys.stderr)
    sys.exit(status)


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """Build the program with the one command that is named, or with all of them (for the help and for typos).

    Args:
        arguments: Arguments of the command line.

    Returns:
        The program.
    """
    app = typer.Typer(name="scenekit", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(overview)
    installed = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    named = [entry for entry in installed if entry.name in arguments[:1]]
    for entry in named or installed:
        add_command(app, entry)
    return app


def add_command(app: typer.Typer, entry: EntryPoint) -> None:
    """Add a command to the program; one that cannot be imported becomes a command that reports the error.

    Args:
        app: The program.
        entry: Entry point of the command.
    """
    try:
        command = entry.load()
        if not callable(command):
            raise TypeError(f"expected a function or a typer.Typer, got {type(command).__name__}")
    except (Exception, SystemExit) as cause:
        app.command(entry.name, help=f"(not available: {summary_of(cause)})", context_settings=PASS_EVERYTHING)(
            unavailable(entry, cause)
        )
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name)(command)


PASS_EVERYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def unavailable(entry: EntryPoint, cause: BaseException) -> Callable[[], None]:
    """Build a command that reports why an entry point cannot be imported, and its distribution.

    Args:
        entry: Entry point of the command.
        cause: The error.

    Returns:
        The command.
    """

    def command() -> None:
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
        raise ScenekitError(
            f"the command {entry.name!r} of {origin} cannot be imported from {entry.value}: {summary_of(cause)}"
        ) from cause

    return command


def summary_of(cause: BaseException) -> str:
    """Return kind and first line of an error: `ImportError: no module named x`.

    Args:
        cause: The error.

    Returns:
        One line.
    """
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


def print_version(wanted: bool) -> bool:
    """Print the version for `--version`, before other options are parsed.

    Args:
        wanted: Whether the option is set.

    Returns:
        The same.
    """
    if wanted:
        print(f"scenekit {version('scenekit')}")
        raise typer.Exit
    return wanted


def overview(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One network that understands a whole scene: from boxes and masks to captions and scene graphs, in one pass."""
