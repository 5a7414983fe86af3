"""A head beside others: it does not change them, and their absence does not change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.keys import FEATURES
from scenekit.model.scene_model import Outputs, SceneModel
from scenekit.structures.tensors import map_tensors
from scenekit.testing.bench import Bench, suppliers
from scenekit.testing.check import RuleError, SkipError, check, seeded
from scenekit.testing.compare import difference
from scenekit.testing.rules.inputs import run_through
from scenekit.testing.toy_core import WITNESS_TASK, RecordingPooler, core_of


@check("write no `x += ...`, `relu_()` or `inplace=True` into what comes from the board or the targets; copy it first")
def shared_tensors(bench: Bench) -> None:
    """Shared tensors stay unchanged: images, regions, targets, features, values of other tasks."""
    batch, targets = bench.batch(bench.samples())
    for learning in (False, True):
        recorder = RecordingPooler(bench.model.pooler)
        together = bench.model_of({**bench.itself, **bench.others}, recorder)
        handed = (batch, targets, bench.regions(targets, learning))
        before = map_tensors(Tensor.clone, handed)
        features = bench.model_of(bench.others)(batch, None, handed[2]).board[FEATURES]
        board = together(batch, targets if learning else None, handed[2]).board
        if differing := difference(before, handed, tolerance=0.0):
            raise RuleError(f"images, regions or targets are no longer what they were ({differing})")
        if recorder.changed:
            raise RuleError("pooled features are no longer what the pooler gave")
        if differing := difference(features, board[FEATURES]):
            raise RuleError(f"the shared feature maps are no longer what the pyramid gave ({differing})")


@check("keep all state inside the head: neither write into other modules nor into tensors from the board")
def other_tasks(bench: Bench) -> None:
    """Losses and values of all others are the same whether the task is there or not."""
    without = bench.model_of(bench.others)
    samples = bench.samples()
    for learning in (False, True):
        for given in (False, True):
            mine, alone = (_seeded_run(bench, samples, learning, given, model) for model in (bench.model, without))
            _expect_same(mine, alone, without, "with this task in the model")


@check("read what the head needs by `requires` and `uses`, never by what happens to be on the board")
def fewer_tasks(bench: Bench) -> None:
    """Asked for alone, the task gives the same as in company; so do the others without it."""
    samples, others = bench.samples(), list(bench.others)
    crowd = bench.model_of({**bench.others, **bench.itself})  # here it runs last
    if differing := difference(bench.predict(samples, model=crowd), bench.predict(samples, tasks=[bench.name])):
        raise RuleError(f"asked for alone, the task gives something else ({differing})")
    for learning in (False, True):
        everything, fewer = (_seeded_run(bench, samples, learning, True, bench.model, t) for t in (None, others))
        _expect_same(everything, fewer, bench.model_of(bench.others), "where this task is asked for")


@check("ask `KEY in board` before reading a key of `uses`")
def optional_inputs(bench: Bench) -> None:
    """What the task only `uses` may be missing."""
    there = [key for stage in (*bench.core, *bench.stages) for key in stage.provides]
    needed = suppliers(replace(bench.spec, uses=()), there, core_of(bench.vocabulary))
    optional = set(bench.others) - {one.spec.name for one in needed} - {WITNESS_TASK.name}
    if not optional:
        raise SkipError("there is nothing that it uses without requiring it" if not bench.spec.uses else "all is there")
    fewer = {name: other for name, other in bench.others.items() if name not in optional}
    run_through(replace(bench, model=bench.model_of({**bench.itself, **fewer}), others=fewer), bench.samples())


@check("keep nothing between passes, and draw random numbers from torch's global generator and with targets only")
def deterministic(bench: Bench) -> None:
    """One batch gives the same values each time; with the same seed it gives the same losses."""
    samples = bench.samples()
    if differing := difference(bench.predict(samples), bench.predict(samples), tolerance=0.0):
        raise RuleError(f"two predictions of one batch differ ({differing})")
    losses = []
    for _ in range(2):
        with seeded(1):
            losses.append(bench.learn(samples))
    if differing := difference(losses[0], losses[1], tolerance=0.0):
        raise RuleError(f"two passes with one batch and one seed give different losses ({differing})")


def _seeded_run(
    bench: Bench, samples: Sequence[Sample], learning: bool, given: bool, model: SceneModel, tasks: Any = None
) -> Outputs:
    with seeded(1):
        return bench.run(samples, learning=learning, given=given, model=model, tasks=tasks)


def _expect_same(mine: Outputs, alone: Outputs, others: SceneModel, when: str) -> None:
    """Raise RuleError where anything that `others` give is not the same in both."""
    for name, loss in alone.losses.items():
        if differing := difference(loss, mine.losses.get(name)):
            raise RuleError(f"loss {name} changes {when} ({differing})")
    provided = [key for step in others.plan.steps.values() for key in step.provides]
    for key in provided:
        if key in alone.board and key in mine.board and (differing := difference(alone.board[key], mine.board[key])):
            raise RuleError(f"{key.name!r} changes {when} ({differing})")
