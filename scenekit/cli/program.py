"""The commands of the `scenekit` program, found among the installed distributions.

A command is an entry point of the group `scenekit.commands`: a function with typer annotations, or a `typer.Typer`.
Only the module of the command that runs is imported; a command that fails to import affects no other.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from scenekit.errors import PluginError, ScenekitError, summary
from scenekit.io import streams

GROUP = "scenekit.commands"


class Command(TyperCommand):
    """A command that writes its results by `scenekit.cli.output`: what is printed while it runs is a message."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; options that the function lists in `optional_values` may stand without a value.

        Args:
            ctx: The context of the command line.
            args: The arguments.

        Returns:
            Those that are left.
        """
        return super().parse_args(ctx, with_values(args, getattr(self.callback, "optional_values", {})))

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Args:
            ctx: The context of the command line.

        Returns:
            What the command returns.
        """
        try:
            with streams.diverted():
                return super().invoke(ctx)
        except SystemExit as leaving:
            raise PluginError(f"a plugin must not end the program: {summary(leaving)}") from leaving


def with_values(arguments: Sequence[str], suffixes: Mapping[str, tuple[str, ...] | Callable[[str], bool]]) -> list[str]:
    """Set options whose value is optional to "-" where they have none, which typer cannot do.

    Args:
        arguments: Arguments of a command.
        suffixes: By option the suffixes of files that are its value, or what says whether a word is; "-" is one, too.

    Returns:
        The arguments, with `--option=-` in place of an option before anything else.
    """
    words: list[str] = []
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        if word == "--":
            return [*words, *arguments[len(words) :]]
        rule = suffixes.get(word, ())
        has_value = following == "-" or (rule(following) if callable(rule) else following.lower().endswith(rule))
        words.append(f"{word}=-" if word in suffixes and not has_value else word)
    return words


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
        with streams.diverted():
            command = entry.load()
        if not callable(command):
            raise TypeError(f"expected a function or a typer.Typer, got {type(command).__name__}")
    except KeyboardInterrupt:
        raise
    except BaseException as cause:
        app.command(entry.name, help=f"(not available: {summary(cause)})", context_settings=PASS_EVERYTHING)(
            unavailable(entry, cause)
        )
        return
    kind = Command if entry.dist is not None and entry.dist.name == OWN else TyperCommand
    if isinstance(command, typer.Typer):
        for part in command.registered_commands:
            part.cls = kind
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name, cls=kind)(command)


OWN = "scenekit"
"""The distribution whose commands write results by `scenekit.cli.output`; those of others may print them."""


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
            f"the command {entry.name!r} of {origin} cannot be imported from {entry.value}: {summary(cause)}"
        ) from cause

    return command


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
