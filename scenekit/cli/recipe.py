"""`scenekit recipe`: a recipe with all values filled in, and the JSON schema of recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output

app = typer.Typer(
    name="recipe", no_args_is_help=True, help="Show a recipe with all values, or the JSON schema of recipes."
)


@app.command("show")
def show(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in YAML, such as recipes/small.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Replace one entry of the recipe; repeatable."),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Print the whole recipe, each value with its origin: file, override, init, preset or default.

    Options of backbone, detector, tasks, data sets and balancer are filled in. The output is a valid recipe.
    """
    from scenekit.recipe.provenance import resolve
    from scenekit.weights import config_of

    resolved = resolve(recipe, overrides or (), config_of)
    if as_json:
        output.print_json(resolved.to_json())
    else:
        output.print_text(resolved.to_yaml(), end="")


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of recipes, with all installed plugins, for editors.

    Write it to a file and name that in the first line of a recipe, such as: # yaml-language-server: $schema=recipe.json
    """
    from scenekit.recipe.schema import recipe_schema

    output.print_json(recipe_schema())
