"""`scenekit report`: one HTML file on a training run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/small.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The page; default: report.html in that folder.")
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Write a page on a run, finished or not: losses, evaluations, how its tasks interfere, ground truth, skips.

    Interference needs train.interference_every in the recipe of the run.
    """
    from scenekit.io.files import path_named
    from scenekit.io.records import read_json
    from scenekit.recipe import Recipe
    from scenekit.recipe.data import entry_names
    from scenekit.training.log import read_log
    from scenekit.training.run_folder import COVERAGE, EVALUATIONS, INTERFERENCE, LOG, RECIPE, SKIPPED
    from scenekit.visualization.report.interference import conflicts_of, pairs_of
    from scenekit.visualization.report.run import RunRecords, write_run_report

    folder = path_named(run)
    log = read_log(folder / LOG)
    if not log or not (folder / RECIPE).is_file():
        raise InputError(
            f"{run}: no run with a step in it; name a folder that scenekit train wrote, such as runs/small"
        )
    recipe = Recipe.load(folder / RECIPE)
    skipped = read_json(folder / SKIPPED)["skipped"] if (folder / SKIPPED).is_file() else []
    coverage = read_json(folder / COVERAGE) if (folder / COVERAGE).is_file() else {}
    interference = read_log(folder / INTERFERENCE)
    records = RunRecords(log, read_log(folder / EVALUATIONS), interference, coverage, skipped)
    facts = {
        "steps": f"{log[-1]['step']:,} of {recipe.train.steps:,}",
        "tasks": list(recipe.model.tasks),
        "data": list(entry_names(recipe.data.train)),
        "balancer": recipe.train.balancer,
        "images per step": recipe.train.batch_size * recipe.train.accumulate,
    }
    page = folder / "report.html" if out is None else out
    output.make_folder(page.parent)
    write_run_report(page, records, title=f"Run {folder.name}", facts=facts)
    conflicts = conflicts_of(pairs_of(interference))
    if as_json:
        output.print_json({"report": str(page), "conflicts": [asdict(pair) for pair in conflicts]})
        return
    for pair in conflicts:
        output.print_text(pair.sentence)
    output.print_text(f"wrote {page}")
