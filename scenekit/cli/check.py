"""`scenekit check`: whether installed plugins keep the rules that others rely on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output
from scenekit.cli.evaluate import parsed_options
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.hooks import Registry
    from scenekit.testing import Report

    Run = Callable[[], Report]

Names = list[str] | None


def check(
    names: Annotated[Names, typer.Argument(metavar="NAME...", help="Tasks to check.")] = None,
    detectors: Annotated[Names, typer.Option("--detector", metavar="NAME", help="A detector; repeatable.")] = None,
    data: Annotated[Names, typer.Option("--data", metavar="NAME", help="A data set; repeatable.")] = None,
    backbones: Annotated[Names, typer.Option("--backbone", metavar="NAME", help="A backbone; repeatable.")] = None,
    trackers: Annotated[Names, typer.Option("--tracker", metavar="NAME", help="A tracker; repeatable.")] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Which part of the data set; its first by default.")
    ] = None,
    option: Annotated[
        Names, typer.Option("--set", metavar="KEY=VALUE", help="For the data set, as root=/data; repeatable.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check everything that is installed.")] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Check tasks, detectors, data sets, backbones and trackers against the rules of scenekit.

    Each broken rule is shown with its reason and remedy. Exit status 1 where a rule is broken, 2 for an unknown name.
    With --all, data sets whose files are not here are skipped, and one backbone of each builder is checked.
    """
    if everything == any((names, detectors, data, backbones, trackers)):
        raise InputError(
            "name what to check (tasks, --detector, --data, --backbone, --tracker), or everything with --all"
        )
    if not data and (split is not None or option):
        raise InputError("--split and --set are for a data set; name it with --data")
    # The small models run on the CPU; one check forks, which a started GPU does not survive.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from scenekit.hooks import registry

    found = registry()
    if everything:
        chosen = {kind: found.names(kind) for kind in ("task", "detector", "dataset", "backbone", "tracker")}
        chosen["task"] = list(found.tasks)
        chosen["backbone"] = one_of_each_builder(found)
    else:
        chosen = {
            "task": names or [],
            "detector": detectors or [],
            "dataset": data or [],
            "backbone": backbones or [],
            "tracker": trackers or [],
        }
    runs = [run for kind, wanted in chosen.items() for run in runs_of(kind, wanted, split, option or (), everything)]
    reports = [run() for run in output.progress(runs, "checking", len(runs))]
    if everything:
        reports += unusable(found)
    if as_json:
        output.print_json({"ok": all(report.ok for report in reports), "reports": [r.to_json() for r in reports]})
    else:
        print_reports(reports)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def runs_of(
    kind: str, names: Iterable[str], split: str | None, options: Sequence[str], skip_missing: bool
) -> Iterator[Run]:
    """Yield the check of each name of a kind, to be called later; raises InputError for an unknown name."""
    from scenekit.hooks import registry
    from scenekit.testing import check_backbone, check_dataset, check_detector, check_task, check_tracker

    check_data = partial(
        check_dataset, split=split, options=parsed_options(options, "--set"), skip_missing=skip_missing
    )
    checks: dict[str, Callable[..., Report]] = {
        "task": check_task,
        "detector": check_detector,
        "dataset": check_data,
        "backbone": check_backbone,
        "tracker": check_tracker,
    }
    for name in names:
        yield partial(checks[kind], registry().get(kind, name))


def one_of_each_builder(found: Registry) -> list[str]:
    """Return the backbones to check for all: the first of those that one function builds, and no whole libraries."""
    specs = [found.get("backbone", name) for name in found.names("backbone")]
    first: dict[object, str] = {}
    for spec in specs:
        if spec.names is None:
            first.setdefault(getattr(spec.build, "func", spec.build), spec.name)
    return list(first.values())


def unusable(found: Registry) -> list[Report]:
    """Return a report for each plugin that failed to load and each name that several plugins claim."""
    from scenekit.testing import Finding, Report

    failures = [("plugin", str(entry.origin), entry.cause, "fix or uninstall it") for entry in found.failures]
    shared = [
        (kind, name, f"given by {' and '.join(str(origin) for _, origin in claims)}", "uninstall all but one of them")
        for kind, named in found.records.items()
        for name, claims in named.items()
        if len(claims) > 1
    ]
    return [
        Report(name, kind, findings=(Finding("installed", why, how),)) for kind, name, why, how in [*failures, *shared]
    ]


def print_reports(reports: Iterable[Report]) -> None:
    """Print a line for each report, broken rules with reason and remedy, and why something was skipped."""
    rows = [
        (r.kind, r.name, "ok" if r.ok else "broken", len(r.passed), len(r.findings), len(r.skipped)) for r in reports
    ]
    output.print_table("checked", ("kind", "name", "verdict", "passed", "failed", "skipped"), rows)
    for report in reports:
        if not report.ok:
            findings = [(finding.check, finding.reason, finding.remedy) for finding in report.findings]
            output.print_table(f"{report.name}: broken rules", ("rule", "what happened", "what to do"), findings)
    skipped = [(report.kind, report.name, name, why) for report in reports for name, why in report.skipped.items()]
    if skipped:
        output.print_table("skipped", ("kind", "name", "rule", "why"), skipped)
