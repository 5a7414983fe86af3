"""What a task finds out before training is kept with the weights."""

from __future__ import annotations

import json

from scenekit.testing.bench import Bench, scenes_for
from scenekit.testing.check import RuleError, SkipError, check


@check("let `prepare` give a new config in which all is filled in, in plain values; a complete one as it came")
def prepares(bench: Bench) -> None:
    """What `prepare` finds out is the same each time, can be stored, and stays as it is in a complete config."""
    if bench.spec.prepare is None:
        raise SkipError("it finds nothing out before training")
    scenes = scenes_for(bench.spec, bench.given, bench.vocabulary)
    if bench.spec.prepare(bench.given, iter(scenes)) != bench.options:
        raise RuleError("`prepare` gives something else the second time")
    stored = json.loads(json.dumps(bench.options.model_dump(mode="json")))
    if bench.spec.config.model_validate(stored) != bench.options:
        raise RuleError("what `prepare` gave comes back from JSON as something else")
    if bench.spec.prepare(bench.options, iter(())) != bench.options:
        raise RuleError("`prepare` changes a config that is complete")
