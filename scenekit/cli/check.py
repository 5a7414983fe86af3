"""`scenekit check`: whether installed tasks keep the rules that others rely on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.hooks import Registry
    from scenekit.testing import Report


def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Tasks to check.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check every installed task.")] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Check tasks, yours or others', against the rules of scenekit: each broken one with its reason and remedy.

    Exit status 1 where a task breaks a rule, 2 for an unknown task.
    """
    if bool(names) == everything:
        raise InputError("name the tasks to check, or say --all")
    # The small models run on the CPU; one check forks, which a started GPU does not survive.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from scenekit.hooks import registry
    from scenekit.testing import check_task

    found = registry()
    tasks = list(found.tasks.values()) if not names else [found.get("task", name) for name in names]
    reports = [check_task(task) for task in output.progress(tasks, "checking", len(tasks))]
    if everything:
        reports += unusable(found)
    if as_json:
        output.print_json({"ok": all(report.ok for report in reports), "tasks": [r.to_json() for r in reports]})
    else:
        print_reports(reports)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def unusable(found: Registry) -> list[Report]:
    """Plugins that could not be taken in, and names that several claim."""
    from scenekit.testing import Finding, Report

    failures = [(str(failure.origin), failure.cause, "mend or uninstall it") for failure in found.failures]
    shared = [
        (name, f"given by {' and '.join(str(origin) for _, origin in claims)}", "uninstall all but one of them")
        for name, claims in found.records.get("task", {}).items()
        if len(claims) > 1
    ]
    return [Report(name, findings=(Finding("installed", why, how),)) for name, why, how in [*failures, *shared]]


def print_reports(reports: Iterable[Report]) -> None:
    """A line for each task, what is broken with reason and remedy, and why something was not checked."""
    rows = [(r.task, "ok" if r.ok else "broken", len(r.passed), len(r.findings), len(r.skipped)) for r in reports]
    output.print_table("tasks", ("task", "verdict", "passed", "failed", "skipped"), rows)
    for report in reports:
        if not report.ok:
            findings = [(finding.check, finding.reason, finding.remedy) for finding in report.findings]
            output.print_table(f"{report.task}: broken rules", ("rule", "what happened", "what to do"), findings)
    skipped = [(report.task, name, why) for report in reports for name, why in report.skipped.items()]
    if skipped:
        output.print_table("not checked", ("task", "rule", "why"), skipped)
