"""`scenekit score NAME`: metrics of result files against ground-truth files, without a model.

A protocol's command is an entry point of the group `scenekit.score`: a function with typer annotations whose module
imports neither torch nor numpy before the command runs. Only the module of the command that runs is imported.
"""

from functools import cached_property
from importlib.metadata import EntryPoints, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from scenekit.cli.program import add_command

GROUP = "scenekit.score"


class ScoreGroup(TyperGroup):
    """The commands of all installed distributions, each imported when it is needed."""

    # Contexts and commands are those of click or of the copy that typer brings, depending on its version: hence Any.

    @cached_property
    def entries(self) -> EntryPoints:
        """The entry points of the group."""
        return entry_points(group=GROUP)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands.

        Args:
            ctx: The context of the command line.

        Returns:
            Names, in order.
        """
        return sorted(self.entries.names)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command.

        Args:
            ctx: The context of the command line.
            cmd_name: Its name.

        Returns:
            The command; one that reports why, where it cannot be imported; None where there is none.
        """
        if cmd_name not in self.entries.names:
            return None
        app = typer.Typer(add_completion=False)
        add_command(app, self.entries[cmd_name])
        return typer.main.get_command(app)


app = typer.Typer(
    cls=ScoreGroup, no_args_is_help=True, help="Score result files against ground truth, without a model."
)


@app.callback()
def score() -> None:
    """Score result files against ground truth, without a model."""
