"""`scenekit evaluate`: measure a model on a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.data.datasets import SampleSet
    from scenekit.evaluation.results import ResultsEvaluator
    from scenekit.recipe import DataConfig

WRITTEN = "predictions"
"""The name among the results of the files that were written."""


def evaluate(
    model: output.ModelOption = "small",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME",
            help="A registered data set. Default: data.val of the recipe that trained the model, else synthetic.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Which part of it. Default: the recipe's, else val.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "--set", metavar="KEY=VALUE", help="For the data set, such as root=/data/coco; repeatable."
        ),
    ] = None,
    labelers: output.LabelersOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="A label file that has the data set. Default: that of the model's training.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N samples.")] = None,
    tasks: output.TasksOption = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse images that cannot be read, faulty annotations and unknown words, else left out."
        ),
    ] = False,
    max_dets: Annotated[
        int | None,
        typer.Option(
            "--max-dets",
            metavar="N",
            min=1,
            help="How many detections of an image count, and of a class for COCO's AP. Default: the detector's limit, "
            "and COCO's 100, of keypoints 20.",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="FOLDER",
            help="Write the predictions here in the format of the data set: COCO results (also for data sets without a "
            "format of their own), KITTI label files, Omni3D results.",
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="A,B,...",
            help="Modalities that images come with, such as depth, from the ground truth. Default: the recipe's.",
        ),
    ] = None,
    device: output.DeviceOption = "auto",
    as_json: output.JsonOption = False,
) -> None:
    """Measure tasks by their usual metrics; `detection` names the boxes among them."""
    wanted, options = output.task_names(tasks), parsed_options(option or ())
    import scenekit as sk
    from scenekit.cli.device import on_device
    from scenekit.data.labelers import labelers_named, labelled
    from scenekit.data.labels.opening import opened
    from scenekit.recipe.data import entry_names

    chosen = data_config(model, data, split, options, labels)
    makers = labelers_named(chosen.labelers if labelers is None else output.labeler_names(labelers))
    sets = [opened(entry, chosen.label_space) for entry in chosen.train]
    network, every = on_device(sk.load(model), device), {}
    for entry, name, named in zip(chosen.train, entry_names(chosen.train), sets, strict=True):
        folder = predictions / name if predictions is not None and len(sets) > 1 else predictions
        writers, samples = results_of(entry.name, folder, named), labelled(named, makers)
        total = len(samples) if limit is None else min(limit, len(samples))
        with output.progress_bar("evaluating", total) as done:
            every[name] = sk.evaluate(
                network,
                samples,
                tasks=wanted,
                limit=limit,
                on_sample=done,
                strict=strict,
                evaluators=writers,
                max_detections=max_dets,
                name=name if len(sets) > 1 else None,
                inputs=chosen.inputs if inputs is None else output.modality_names(inputs),
            )
        if writers:
            output.print_note(f"wrote {', '.join(every[name][WRITTEN]['files'])}")
    _show(every, as_json)


def _show(every: Mapping[str, Mapping[str, Mapping[str, Any]]], as_json: bool) -> None:
    """Print the results on each data set, under its name where there are several."""
    if as_json:
        output.print_json(every if len(every) > 1 else next(iter(every.values())))
        return
    for name, results in every.items():
        if len(every) > 1:
            output.print_text(f"{name}:")
        print_results(results)


def results_of(name: str, folder: Path | None, data: SampleSet) -> dict[str, ResultsEvaluator]:
    """Return what writes the predictions.

    Args:
        name: The name of the data set.
        folder: Where to write; None to write nothing.
        data: The data set; predictions are written in its own names.

    Returns:
        The evaluator that writes, by name.
    """
    from scenekit.data.labels.opening import MappedSet
    from scenekit.evaluation.results import FALLBACK, RenamedWriter, ResultsEvaluator, results_formats, results_writer

    if folder is None:
        return {}
    format = name if name in results_formats() else FALLBACK
    if isinstance(data, MappedSet):
        own = results_writer(format, folder, data.data)
        return {WRITTEN: ResultsEvaluator(RenamedWriter(own, data.labels.inverted))}
    return {WRITTEN: ResultsEvaluator(results_writer(format, folder, data))}


def data_config(
    model: str, data: str | None, split: str | None, options: Mapping[str, Any], labels: Path | None = None
) -> DataConfig:
    """Return the data sets to measure on: `data.val` of the recipe of the model's run, unless `data` names another.

    Args:
        model: The model, as `--model` names it.
        data: The data set that `--data` names.
        split: Replaces that of the recipe, if that has a single one.
        options: Added to those of the recipe, if that has a single one.
        labels: A label file that has the data set; by default the label space of the recipe, or else the one in the
            model's manifest, if it does.

    Returns:
        The data sets, as those to train on, with the labelers of the recipe, none for a data set that `data` names, and
        the label space.

    Raises:
        InputError: The recipe has no `data.val`, or several that would get the same split or options.
    """
    from scenekit.config import validated
    from scenekit.recipe import DataConfig, DatasetConfig, Recipe
    from scenekit.training.run_folder import recipe_of
    from scenekit.weights import label_space_of

    path = recipe_of(Path(model))
    recipe = None if path is None else Recipe.load(path)
    space: Any = None if labels is None else str(labels)
    if recipe is None or data is not None:
        entry = DatasetConfig(name=data or "synthetic", split=split or "val", options=dict(options))
        known = label_space_of(model) if recipe is None else recipe.data.label_space
        if space is None and known is not None and entry.section in known.data:
            output.print_note(f"{entry.name} in the label space of {path or model}; --labels names another file")
            space = known
        return validated(DataConfig, {"train": [entry], "labels": space}, "data")
    val = recipe.data.val_entries
    if not val:
        raise InputError(f"{path} has no data.val to measure on; name a data set with --data")
    if len(val) > 1 and (split or options):
        raise InputError(f"{path} has several data sets in data.val; --split and --set need one that --data names")
    chosen = [
        each.model_copy(update={"split": split or each.split, "options": {**each.options, **options}}) for each in val
    ]
    named = " and ".join(f"{each.name}/{each.split}" for each in chosen)
    output.print_note(f"evaluating on {named}, data.val of {path}; --data selects another data set")
    data_of = {"train": chosen, "labelers": recipe.data.labelers, "inputs": recipe.data.inputs}
    return validated(DataConfig, {**data_of, "labels": recipe.data.labels if space is None else space}, "data")


def parsed_options(texts: Sequence[str], flag: str = "--option") -> dict[str, Any]:
    """Parse options of the command line.

    Args:
        texts: Options such as `root=/data` and `year=2017`; values are YAML.
        flag: The name of the option, for messages.

    Returns:
        Keyword arguments.

    Raises:
        InputError: An option is not KEY=VALUE, or its value is not YAML.
    """
    from scenekit.io.yaml_text import load_yaml

    options = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise InputError(f"{flag} expects KEY=VALUE such as root=/data/coco, not {text!r}")
        options[name] = load_yaml(value, f"{flag} {name}")
    return options


def print_results(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row per task and metric; those at several cut-offs have a table per task, its baselines at the right.

    Tasks without any number are named in one line. Metrics per class, and all that is NaN, are for --json.
    """
    from scenekit.evaluation.coverage import was_measured

    unmeasured = [name for name, metrics in results.items() if not was_measured(metrics)]
    results = {name: metrics for name, metrics in results.items() if name not in unmeasured}
    plain: list[tuple[str, str, str]] = []
    ranked: dict[str, dict[str, dict[str, str]]] = {}
    for name, metrics in results.items():
        task, _, baseline = name.partition(" (")
        for metric, value in metrics.items():
            measure, sign, cutoff = metric.partition("@")
            if not isinstance(value, int | float):
                continue
            if sign:
                column = f"{baseline.rstrip(')')} @{cutoff}".strip()
                ranked.setdefault(task, {}).setdefault(measure, {})[column] = output.rounded(value)
            else:
                plain.append((name, metric, output.rounded(value)))
    if plain:
        output.print_table("", ("task", "metric", "value"), plain)
    for task, rows in ranked.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        cells = [(measure, *(row.get(column) for column in columns)) for measure, row in rows.items()]
        output.print_table(task, ("metric", *columns), cells)
    if unmeasured:
        output.print_text(f"not measured: {', '.join(unmeasured)}")
