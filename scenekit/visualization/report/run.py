"""One HTML file on a training run: losses, evaluations, gradients of the tasks, ground truth, skipped samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from scenekit.io.files import write_atomically
from scenekit.visualization.report.chart import Points, chart
from scenekit.visualization.report.dataset import block
from scenekit.visualization.report.interference import interference_view, norm_lines
from scenekit.visualization.report.page import document, header
from scenekit.visualization.report.tables import Column, remainder, section, table, worded

MOST_METRICS = 3
"""Metrics of a task that are drawn: its first ones."""

MOST_SKIPPED = 20
"""Skipped samples that are listed."""

PER_CLASS = "per_class"
"""Metrics below this name are not drawn."""


@dataclass(frozen=True)
class RunRecords:
    """What a run left in its folder, as plain data."""

    log: Sequence[Mapping[str, Any]]
    """Lines of the log."""
    evaluations: Sequence[Mapping[str, Any]] = ()
    """Evaluations on the way."""
    interference: Sequence[Mapping[str, Any]] = ()
    """Records of the gradients of the tasks."""
    coverage: Mapping[str, Any] = field(default_factory=dict)
    """The ground truth by task and data set."""
    skipped: Sequence[Mapping[str, Any]] = ()
    """Samples that were left out."""


def write_run_report(path: str | Path, records: RunRecords, *, title: str, facts: Mapping[str, object]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The HTML file; missing folders are made.
        records: What the run left.
        title: The title of the page.
        facts: Are shown at the top.

    Raises:
        InputError: The file cannot be written.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, document(title, [header(title, facts), *parts(records)]).encode())


def parts(records: RunRecords) -> Iterator[str]:
    """Yield the parts of the page, without those that there is nothing for."""
    yield block("Losses", charts(loss_charts(records.log)))
    if records.evaluations:
        yield block("Evaluations", charts(metric_charts(records.evaluations)))
    norms = norm_lines(records.interference) or logged_norms(records.log)
    if norms:
        yield block("Gradient norms at the feature pyramid", charts([chart("by task, of the weighted losses", norms)]))
    if any(record["tasks"] for record in records.interference):
        yield block("Who pays for whom", interference_view(records.interference))
    if records.coverage:
        yield block("Ground truth", coverage_view(records.coverage))
    if records.skipped:
        yield block("Skipped samples", skipped_table(records.skipped))


def charts(figures: Sequence[str]) -> str:
    """Return charts beside each other, as many as fit."""
    return f'<div class="views">{"".join(figures)}</div>'


def loss_charts(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a chart of the loss as a whole, and one for each task."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in log:
        for name, value in record["losses"].items():
            task, _, loss = name.partition(".")
            lines.setdefault(task, {}).setdefault(loss, []).append((record["step"], number(value)))
    whole = {"loss": [(record["step"], number(record["loss"])) for record in log]}
    return [chart("all tasks", whole), *(chart(task, own) for task, own in lines.items())]


def metric_charts(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a chart of the first metrics of each task that was evaluated, on each data set where there are several."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for evaluation in evaluations:
        for group, metrics in measured(evaluation["results"], evaluation.get("data", "")):
            for name, value in list(metrics.items())[:MOST_METRICS]:
                lines.setdefault(group, {}).setdefault(name, []).append((evaluation["step"], value))
    return [chart(group, own) for group, own in lines.items()]


def measured(results: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each task that was measured, under the name of the data set if it has one, with its metrics."""
    own = {name: float(value) for name, value in results.items() if isinstance(value, int | float)}
    counts_alone = None in results.values() and not any(isinstance(value, float) for value in results.values())
    if own and path and not counts_alone:
        yield path, own
    for name, value in results.items():
        if isinstance(value, Mapping) and name != PER_CLASS:
            yield from measured(value, f"{path}, {name}" if path else name)


def logged_norms(log: Sequence[Mapping[str, Any]]) -> dict[str, Points]:
    """Return the gradient norms by task that the log has."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in log:
        for task, norm in record["grad_norm"].items():
            if task != "total" and norm:
                lines.setdefault(task, []).append((record["step"], norm))
    return dict(lines)


def coverage_view(coverage: Mapping[str, Any]) -> str:
    """Return warnings, the table of task by data set, and the mixture."""
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in coverage["warnings"])
    rows = [
        (task, key, name, numbers)
        for task, keys in coverage["tasks"].items()
        for key, sets in keys.items()
        for name, numbers in sets.items()
        if numbers["images"]
    ]
    columns = [
        *(
            Column(title, [escape(row[n]) for row in rows])
            for n, title in enumerate(("task", "learns from", "data set"))
        ),
        *(Column(name, [estimate(row[3], name) for row in rows], numeric=True) for name in ("images", "instances")),
        Column("classes", [str(len(row[3]["classes"]) or "") for row in rows], numeric=True),
    ]
    estimated = any(row[3]["estimated_from"] is not None for row in rows)
    note = '<p class="note">≈ is estimated from a part of the images.</p>' if estimated else ""
    found = section("By task and data set", table(columns) + note)
    listed = f'<ul class="conflicts">{warnings}</ul>' if warnings else ""
    return f'{listed}<div class="tables">{found}{section("Mixture", mixture_table(coverage["data"]))}</div>'


def estimate(numbers: Mapping[str, Any], name: str) -> str:
    """Return a number of a data set, marked if it is an estimate."""
    mark = "" if numbers["estimated_from"] is None else "≈ "
    return "" if numbers[name] is None else f"{mark}{numbers[name]:,}"


def mixture_table(sets: Sequence[Mapping[str, Any]]) -> str:
    """Return the share of each data set, and how often the run passes it."""
    columns = [
        Column("data set", [escape(each["name"]) for each in sets]),
        Column("images", [f"{each['samples']:,}" for each in sets], numeric=True),
        Column("share", [f"{each['share']:.1%}" for each in sets], numeric=True),
        Column("passes", [f"{each['drawn'] / max(each['samples'], 1):.2f}" for each in sets], numeric=True),
    ]
    return table(columns)


def skipped_table(skipped: Sequence[Mapping[str, Any]]) -> str:
    """Return the first skipped samples with their reasons."""
    shown = skipped[:MOST_SKIPPED]
    columns = [
        Column("data set", [escape(each["origin"]) for each in shown]),
        Column("sample", [str(each["index"]) for each in shown], numeric=True),
        Column("reason", [escape(each["reason"]) for each in shown]),
    ]
    return worded(columns) + remainder(len(shown), len(skipped))


def number(value: float | None) -> float:
    """Return a number of the log, in which one that is not finite is null."""
    return float("nan") if value is None else value
