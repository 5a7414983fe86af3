"""`scenekit doctor`: the environment; below it the content of a data set, and the ground truth of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, no_type_check

import typer

from scenekit.cli import output
from scenekit.cli.evaluate import parsed_options

if TYPE_CHECKING:
    from scenekit.cli.environment import Environment, Extra, Folder
    from scenekit.data.inspection import Inspection
    from scenekit.data.sample import Sample

app = typer.Typer(no_args_is_help=False)

BROKEN = 1
"""Exit status if something is broken."""


@app.callback(invoke_without_command=True)
@no_type_check  # typer passes a base class of typer.Context
def doctor(context: typer.Context, as_json: output.JsonOption = False) -> None:
    """Show versions, devices, extras, plugins, folders and models, and their problems.

    Exit status 1 if something is broken: a package that is missing or too old, a plugin or command that failed, a
    cache that cannot be written. Extras that are not installed are no problem.
    """
    if context.invoked_subcommand is not None:
        return
    from scenekit.cli.environment import examine

    environment = examine()
    if as_json:
        output.print_json(asdict(environment))
    else:
        print_environment(environment)
    if environment.problems:
        raise typer.Exit(BROKEN)


@app.command()
def data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered data set, such as coco.")],
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Which part of it.")] = "train",
    option: Annotated[
        list[str] | None,
        typer.Option("--set", "--option", metavar="KEY=VALUE", help="For the data set, as root=/data; repeatable."),
    ] = None,
    labelers: output.LabelersOption = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="Inspect N samples, spread evenly; 0: all.")
    ] = 1000,
    drawn: Annotated[
        int, typer.Option("--drawn", metavar="N", min=0, help="Number of samples that the page shows.")
    ] = 8,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a page, such as report.html.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse invalid annotations, as train and evaluate with --strict do.")
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Inspect a data set: counts, sizes, ranges, issues, and drawn samples in one HTML file.

    Exit status 1 if samples cannot be read.
    """
    import scenekit as sk
    from scenekit.data.checks import valid_values
    from scenekit.data.inspection import UNREADABLE, inspect, spread
    from scenekit.data.labelers import labelers_named, labelled
    from scenekit.errors import InputError

    samples = sk.dataset(name, **{"split": split, **parsed_options(option or (), "--set")})
    samples = labelled(samples, labelers_named(output.labeler_names(labelers)))
    total = min(limit or len(samples), len(samples))
    shown = set(spread(total, drawn)) if out is not None else set()
    kept: list[Sample] = []
    with output.progress_bar("inspecting", total) as advance:

        def watch(done: int, sample: Sample | None) -> None:
            advance(done)
            if sample is not None and done - 1 in shown:
                kept.append(valid_values(sample))

        inspection = inspect(samples, limit or None, watch)
    if out is not None:
        write_page(out, inspection, kept, f"{name}, {split}")
    if as_json:
        output.print_json(inspection.to_json())
    else:
        print_inspection(inspection, out)
    if strict and inspection.refused.count:
        raise InputError(f"{inspection.refused.places[0]}; {inspection.refused.count:,} samples in all are invalid")
    if UNREADABLE in inspection.findings:
        raise typer.Exit(BROKEN)


@app.command()
def coverage(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in YAML, such as recipes/small.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Replace one entry of the recipe; repeatable."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=0, help="Read N images of each data set; 0: all. Default: a few seconds."
        ),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Show which task of a recipe has ground truth in which of its data sets, as a run does before its first step.

    Numbers of data sets that are not read as a whole are estimates; --limit 0 counts. Exit status 1 if no image that
    was read supervises a task.
    """
    import math

    import scenekit as sk
    from scenekit.training.coverage import COLUMNS, MIXTURE_COLUMNS, MIXTURE_TITLE, TITLE, coverage_of

    plan = sk.Recipe.load(recipe, overrides or ())
    found = coverage_of(plan) if limit is None else coverage_of(plan, limit or None, math.inf)
    if as_json:
        output.print_json(found.to_json())
    else:
        output.print_table(TITLE, COLUMNS, found.rows())
        output.print_table(MIXTURE_TITLE, MIXTURE_COLUMNS, found.mixture())
        for warning in found.warnings:
            output.print_text(warning)
    if found.warnings:
        raise typer.Exit(BROKEN)


def write_page(path: Path, inspection: Inspection, samples: Sequence[Sample], name: str) -> None:
    """Write the HTML page of an inspection.

    Args:
        path: Path of the file.
        inspection: The inspection.
        samples: Samples to draw.
        name: Name and split of the data set.
    """
    from scenekit.visualization.report.dataset import write_data_report

    output.make_folder(path.parent)
    write_data_report(path, inspection, samples, title=f"Data set {name}", facts={"data set": name})


def print_environment(environment: Environment) -> None:
    """Print tables of the environment, and its problems at the end.

    Args:
        environment: The environment.
    """
    versions = [*environment.versions.items(), *((package.name, package.found) for package in environment.packages)]
    output.print_table("versions", ("what", "version"), versions)
    output.print_table(
        "devices", ("name", "what"), [(device.name, device.description) for device in environment.devices]
    )
    extras = [(extra.name, extra_state(extra), "" if extra.installed else extra.remedy) for extra in environment.extras]
    output.print_table("extras", ("name", "packages", "get it with"), extras)
    records = [(kind, ", ".join(names)) for kind, names in environment.plugins.items()]
    output.print_table("plugins", ("kind", "names"), records)
    folders = [(folder.purpose, folder.path, folder_state(folder)) for folder in environment.folders]
    output.print_table("caches", ("of", "folder", "state"), folders)
    output.print_table("models that come with scenekit", ("name", "folder"), environment.models.items())
    if environment.problems:
        output.print_table(
            "problems", ("what is wrong, and what to do",), [(problem,) for problem in environment.problems]
        )
    else:
        output.print_text("everything works")


def extra_state(extra: Extra) -> str:
    """Return `timm 1.0.9, onnx missing`.

    Args:
        extra: The extra.

    Returns:
        Its packages and their versions.
    """
    return ", ".join(f"{package.name} {package.found or 'missing'}" for package in extra.packages)


def folder_state(folder: Folder) -> str:
    """Return whether a folder exists and can be written.

    Args:
        folder: The folder.

    Returns:
        One line.
    """
    state = "exists" if folder.exists else "not created yet"
    return state if folder.writable else f"{state}, cannot be written"


def print_inspection(inspection: Inspection, page: Path | None) -> None:
    """Print labels, sizes and issues; the page shows more.

    Args:
        inspection: The inspection.
        page: Path of the page, if there is one.
    """
    from scenekit.data.inspection import SIZES
    from scenekit.errors import listed

    objects = f"{sum(inspection.objects.values()):,} objects of {len(inspection.objects)} classes"
    output.print_text(f"inspected {inspection.looked_at:,} of {inspection.length:,} samples: {objects}")
    labels = [
        (name, entry.images, entry.supervised, entry.rows or "") for name, entry in sorted(inspection.labels.items())
    ]
    output.print_table("labels", ("key", "images", "supervised", "rows"), labels)
    if any(inspection.sizes.values()):
        output.print_table("objects by size", ("size", "objects"), [(name, inspection.sizes[name]) for name in SIZES])
    if inspection.names:
        frequent = [
            (kind, listed((f"{count} {name}" for name, count in counts.most_common()), 5))
            for kind, counts in inspection.names.items()
        ]
        output.print_table("names, the most frequent first", ("list", "names"), frequent)
    if flips := inspection.vocabulary.flip_pairs:
        exchanged = [(kind, listed((f"{a} / {b}" for a, b in pairs), 5)) for kind, pairs in flips.items()]
        output.print_table("names that a flip exchanges", ("list", "names"), exchanged)
    if inspection.findings:
        rows = [(kind, each.count, "; ".join(each.places[:3])) for kind, each in inspection.findings.items()]
        output.print_table("issues", ("kind", "count", "where first"), rows)
    if inspection.notes:
        rows = [(kind, each.count, "; ".join(each.places[:3])) for kind, each in inspection.notes.items()]
        output.print_table("notes", ("kind", "count", "where first"), rows)
    if inspection.refused.count:
        output.print_text(f"--strict refuses {inspection.refused.count:,} of these samples")
    if page is not None:
        output.print_text(f"wrote {page}")
