"""The `scenekit` program: finds its commands among the installed distributions and runs the one that was asked for.

A command is an entry point of the group `scenekit.commands`: a function with typer annotations, or a `typer.Typer`.
Only the module of the command that runs is imported; a command that fails to import breaks itself and no other.
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
    """Run the command line with `arguments` (default: those of the process) and exit.

    Exit status: 0 done, 2 bad input (one line on standard error), 1 any other failure, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        application(given)(given, prog_name="scenekit")
    except InputError as error:
        leave(error, USER_ERROR)
    except ScenekitError as error:
        leave(error, FAILURE)
    except KeyboardInterrupt:
        leave("interrupted", INTERRUPTED)
    finally:
        flush_stdout()


def flush_stdout() -> None:
    """Hand over what was printed; a reader that has left, as in `| head`, has what it wanted."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python tries once more when it exits, and would complain: let it write to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(reason: object, status: int) -> None:
    """Print `error: reason` as one line on standard error and exit with `status`."""
    print(f"error: {' '.join(str(reason).split())}", file=sys.stderr)
    sys.exit(status)


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """The program with the one command that `arguments` name, or with all of them (for the help and for typos)."""
    app = typer.Typer(name="scenekit", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(overview)
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    named = [entry for entry in found if entry.name in arguments[:1]]
    for entry in named or found:
        add_command(app, entry)
    return app


def add_command(app: typer.Typer, entry: EntryPoint) -> None:
    """Hang the command of `entry` on `app`; one that cannot be imported becomes a command that says so."""
    try:
        command = entry.load()
        if not callable(command):
            raise TypeError(f"a function or a typer.Typer is expected, got {type(command).__name__}")
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
    """A command that does nothing but name the distribution and the reason why `entry` could not be imported."""

    def command() -> None:
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
        raise ScenekitError(
            f"the command {entry.name!r} of {origin} cannot be imported from {entry.value}: {summary_of(cause)}"
        ) from cause

    return command


def summary_of(cause: BaseException) -> str:
    """`ImportError: no module named x`: the kind and the first line of what went wrong."""
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


def print_version(wanted: bool) -> bool:
    """Answer `--version` before anything else is looked at."""
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
