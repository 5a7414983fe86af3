"""`scenekit train`: train a model by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError
from scenekit.io.files import path_named


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in YAML, such as recipes/small.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Replace one entry of the recipe; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder to write to; default: `out` of the recipe.")
    ] = None,
    add_task: Annotated[
        str | None,
        typer.Option(
            "--add-task",
            metavar="NAME",
            help="Add this task to the model that --to names; all that the model predicts stays the same.",
        ),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="MODEL", help="The model to add the task to.")] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            "--freeze",
            metavar="NAMES",
            help="With --add-task: what stays as it is, such as trunk,detection. Default: all of the model.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in that folder exactly where it stopped.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse samples that cannot be read and invalid annotations instead of skipping them."
        ),
    ] = False,
    device: output.DeviceOption = "auto",
    as_json: output.JsonOption = False,
) -> None:
    """Train a model; log, checkpoints and the final model are written to one folder."""
    import scenekit as sk

    plan = sk.Recipe.load(recipe, overrides or ())
    if (add_task is None) != (to is None) or (freeze is not None and add_task is None):
        raise InputError("--add-task NAME and --to MODEL belong together, and --freeze NAMES goes with them")
    if add_task is not None and to is not None:
        from scenekit.training.adding import with_added_task

        frozen = None if freeze is None else [name.strip() for name in freeze.split(",")]
        plan = with_added_task(plan, add_task, to, frozen)
    folder = path_named(plan.out if out is None else out)
    sk.train(plan, out=folder, resume=resume, device=device, strict=strict)
    model = folder / "model"
    if as_json:
        steps = sk.Recipe.load(folder / "recipe.yaml").train.steps  # those of its epochs, if it has these
        output.print_json({"model": str(model), "log": str(folder / "log.jsonl"), "steps": steps})
    else:
        data = "" if plan.data.val else " --data NAME"
        output.print_text(f"wrote {model}; measure it with: scenekit evaluate --model {model}{data}")
