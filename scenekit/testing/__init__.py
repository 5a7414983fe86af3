"""The contract of every task, ours and others': `sk.testing.check_task(spec)` and `scenekit check NAME`.

A task is built into a small model, with whatever installed tasks it needs, and run on made-up images. Ground truth is
made up by what a key's field says of its values, or by the key's own `example`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.hooks import TaskSpec
from scenekit.structures.vocabulary import Vocabulary
from scenekit.testing.bench import Bench, set_up
from scenekit.testing.check import Check, SkipError, broken, explained, seeded
from scenekit.testing.images import VOCABULARY, example
from scenekit.testing.report import Finding, Report
from scenekit.testing.rules import CHECKS

__all__ = ["CHECKS", "VOCABULARY", "Check", "Finding", "Report", "check_task", "example"]

BUILDS = "builds"
"""Name of the finding where a head cannot be built at all."""

_REMEDY = "see the error; `build(core, config)` must give a head, and what it requires must be installed"


def check_task(
    spec: TaskSpec,
    *,
    options: Mapping[str, Any] | None = None,
    vocabulary: Vocabulary = VOCABULARY,
    only: Collection[str] | None = None,
) -> Report:
    """Whether a task keeps the rules that others rely on; every broken one with the reason and the remedy.

    It is built with `options` (else its own, with whole numbers made small where it takes that, to be quick) and the
    words of `vocabulary`, which should have things that the task applies to. `only` names the checks to run (all, if
    None). Takes seconds on a CPU and needs no data, no weights and no network. Global random states are left as they
    were. Raises InputError for unknown checks.
    """
    checks = _named(only)
    try:
        with seeded(0):
            bench = set_up(spec, options or {}, vocabulary)
    except Exception as error:
        nothing = {check.name: "the head cannot be built" for check in checks}
        return Report(spec.name, findings=(Finding(BUILDS, explained(error), _REMEDY),), skipped=nothing)
    return _checked(spec.name, bench, checks)


def _named(names: Collection[str] | None) -> list[Check]:
    known = [check.name for check in CHECKS]
    if unknown := [name for name in names or () if name not in known]:
        raise InputError(f"there is no check {unknown[0]!r}{nearest(unknown[0], known)}")
    return [check for check in CHECKS if names is None or check.name in names]


def _checked(name: str, bench: Bench, checks: Iterable[Check]) -> Report:
    passed, findings, skipped, stopped = [BUILDS], [], {}, ""
    for check in checks:
        if stopped:
            skipped[check.name] = stopped
            continue
        try:
            reason = broken(check, bench)
        except SkipError as skip:
            skipped[check.name] = str(skip)
            continue
        if reason is None:
            passed.append(check.name)
        else:
            findings.append(Finding(check.name, reason, check.remedy))
            stopped = f"{check.name} comes first" if check.essential else ""
    return Report(name, tuple(passed), tuple(findings), skipped)
