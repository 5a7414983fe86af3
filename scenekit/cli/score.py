"""`scenekit score NAME`: metrics of result files against ground-truth files, without a model.

A protocol's command is an entry point of the group `scenekit.score`: a function with typer annotations whose module
imports neither torch nor numbers of its own at import time. Only the module of the command that runs is imported.
"""

from importlib.metadata import entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from scenekit.cli.main import add_command

GROUP = "scenekit.score"


class ScoreGroup(TyperGroup):
    """The commands of all installed distributions, each imported when it is needed."""

    # Contexts and commands are those of click or of the copy that typer brings, depending on its version: hence Any.

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in order."""
        return sorted(entry_points(group=GROUP).names)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name; one that says why where it cannot be imported, None where there is none."""
        found = entry_points(group=GROUP, name=cmd_name)
        if not found:
            return None
        app = typer.Typer(add_completion=False)
        add_command(app, found[cmd_name])
        return typer.main.get_command(app)


app = typer.Typer(
    cls=ScoreGroup, no_args_is_help=True, help="Score result files against ground truth, without a model."
)


@app.callback()
def score() -> None:
    """Score result files against ground truth, without a model."""
