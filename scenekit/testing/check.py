"""What a check is, and how checks are run.

A check is a function that raises `RuleError` with what happened, or `SkipError` with why it does not apply; any other
error that the plugin raises counts as a broken rule, too.

S is what is checked: a task, detector, data set or backbone, set up so that rules can run it.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

from scenekit.errors import InputError, nearest, one_line
from scenekit.testing.report import Finding, Report

BUILDS = "builds"
"""Name of the finding where what is to be checked cannot be built at all."""

_OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))

S = TypeVar("S")


class RuleError(Exception):
    """A rule is broken; the message says what happened."""


class SkipError(Exception):
    """A check does not apply; the message says why."""


@dataclass(frozen=True)
class Check(Generic[S]):
    """One rule."""

    name: str
    """The name in the report."""
    rule: str
    """The rule."""
    remedy: str
    """What the author can do where it is broken."""
    run: Callable[[S], None]
    """Raises RuleError where the rule is broken."""
    essential: bool = False
    """Whether the checks after it are skipped where it is broken, as they would fail for the same reason."""


def check(remedy: str, essential: bool = False) -> Callable[[Callable[[S], None]], Check[S]]:
    """Make a check of a function: its name is that of the check, the first line of its docstring the rule."""

    def made(function: Callable[[S], None]) -> Check[S]:
        rule = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__, rule, remedy, function, essential)

    return made


def report_of(
    kind: str,
    name: str,
    build: Callable[[], S],
    checks: Collection[Check[S]],
    only: Collection[str] | None,
    remedy: str,
) -> Report:
    """Build what is checked, and run the checks.

    Args:
        kind: What it is: "task", "detector", "dataset", "backbone" or "tracker".
        name: Its name.
        build: Sets it up; whatever it raises is the finding BUILDS, and SkipError skips all checks.
        checks: Those of the kind, in order.
        only: Names of the checks to run; all, if None.
        remedy: What the author can do where `build` fails.

    Returns:
        What passed, failed and was skipped.

    Raises:
        InputError: For a name in `only` that no check has.
    """
    chosen = _named(checks, only)
    try:
        with seeded(0):
            subject = build()
    except SkipError as skip:
        return Report(name, kind, skipped={BUILDS: str(skip)})
    except Exception as error:
        skipped = {check.name: f"the {kind} cannot be built" for check in chosen}
        return Report(name, kind, findings=(Finding(BUILDS, explained(error), remedy),), skipped=skipped)
    return _checked(kind, name, subject, chosen)


def _named(checks: Iterable[Check[S]], names: Collection[str] | None) -> list[Check[S]]:
    known = {check.name: check for check in checks}
    if unknown := [name for name in names or () if name not in known]:
        raise InputError(f"there is no check {unknown[0]!r}{nearest(unknown[0], known)}")
    return [check for name, check in known.items() if names is None or name in names]


def _checked(kind: str, name: str, subject: S, checks: Iterable[Check[S]]) -> Report:
    passed, findings, skipped, stopped = [BUILDS], [], {}, ""
    for check in checks:
        if stopped:
            skipped[check.name] = stopped
            continue
        try:
            reason = broken(check, subject)
        except SkipError as skip:
            skipped[check.name] = str(skip)
            continue
        if reason is None:
            passed.append(check.name)
        else:
            findings.append(Finding(check.name, reason, check.remedy))
            stopped = f"{check.name} comes first" if check.essential else ""
    return Report(name, kind, tuple(passed), tuple(findings), skipped)


def broken(check: Check[S], subject: S) -> str | None:
    """Return what happened where the rule is broken, in one line; None where it is kept. Raises SkipError."""
    try:
        with seeded(0):
            check.run(subject)
    except SkipError:
        raise
    except RuleError as error:
        return str(error)
    except Exception as error:
        return explained(error)
    return None


def explained(error: Exception) -> str:
    """Return the kind of error, its message in one line, and the line of the plugin that it comes from."""
    shown = f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    return f"{shown} ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else shown


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the seed of every global source of random numbers; afterwards they are as before."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
