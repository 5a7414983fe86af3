"""What a check is, and how one is run.

A check is a function that raises `RuleError` with what happened, or `SkipError` with why it says nothing about this
task; whatever else a head raises counts as a broken rule too.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scenekit.errors import one_line
from scenekit.testing.bench import Bench

_OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))


class RuleError(Exception):
    """A rule is broken; the message says what happened."""


class SkipError(Exception):
    """A check says nothing about this task; the message says why."""


@dataclass(frozen=True)
class Check:
    """One rule.

    `name` is what the report calls it, `rule` what it demands, `remedy` what the author can do where it is broken.
    After an `essential` one is broken the others would only fail alike: they are not run.
    """

    name: str
    rule: str
    remedy: str
    run: Callable[[Bench], None]
    essential: bool = False


def check(remedy: str, essential: bool = False) -> Callable[[Callable[[Bench], None]], Check]:
    """Make a check of a function: its name is that of the check, the first line of its docstring the rule."""

    def made(function: Callable[[Bench], None]) -> Check:
        rule = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__, rule, remedy, function, essential)

    return made


def broken(check: Check, bench: Bench) -> str | None:
    """What happened where the rule is broken, in one line; None where it is kept. Raises SkipError."""
    try:
        with seeded(0):
            check.run(bench)
    except SkipError:
        raise
    except RuleError as error:
        return str(error)
    except Exception as error:
        return explained(error)
    return None


def explained(error: Exception) -> str:
    """The kind of error, its message in one line, and the line of the plugin that it comes from."""
    shown = f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    return f"{shown} ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else shown


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Every global source of random numbers at a known place; afterwards as before."""
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
