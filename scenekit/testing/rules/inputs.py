"""A head takes any number of images and regions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import UndeclaredReadError, WrongShapeError
from scenekit.testing.bench import Bench
from scenekit.testing.check import RuleError, SkipError, check


@check("name the key in `requires` (always there) or `uses` (where the model has it) of the TaskSpec", essential=True)
def reads(bench: Bench) -> None:
    """A head reads only keys that its TaskSpec declares."""
    with _nothing_but(UndeclaredReadError):
        bench.learn(bench.samples())
    with _nothing_but(UndeclaredReadError):
        bench.predict(bench.samples())


@check(
    "let `decode` give a row for each region of `board[STREAM]`, an entry for each image where the key is of the "
    "image, in the shape that the key declares",
    essential=True,
)
def shapes(bench: Bench) -> None:
    """Values on the board have a row for each region or an entry for each image, in the shape of their key."""
    values: dict[str, Any] = {}
    with _nothing_but(WrongShapeError):
        values = bench.predict(bench.alike(3))
    of_image = [key.name for key in bench.spec.provides if key.of is None and key.name in values]
    for name in of_image:
        if isinstance(values[name], Tensor | list | tuple) and len(values[name]) != 3:
            raise RuleError(f"{name!r} has {len(values[name])} entries for a batch of 3 images")


@check(
    "see the error: forward, loss, decode and finish must run for one and for several images, of any size",
    essential=True,
)
def batches(bench: Bench) -> None:
    """Batches of one image, of images of one size and of three sizes give finite losses and scenes."""
    for samples in (bench.samples(1), bench.alike(2), bench.samples(3)):
        run_through(bench, samples)
    if bench.spec.learns_from and not bench.learn(bench.samples()):
        raise RuleError("labelled images give no loss, although the task says what it learns from")


@check("take means over max(count, 1) values, as `sk.safe_mean` does, and let every layer take zero rows")
def no_objects(bench: Bench) -> None:
    """Images without a single object give finite losses and scenes."""
    run_through(bench, bench.samples(labels=()))
    run_through(bench, [bench.sample(0), bench.sample(1, labels=())])


@check("let every layer take zero rows: a detector may find nothing that `applies_to` allows")
def nothing_applies(bench: Bench) -> None:
    """Objects none of which the task applies to give finite losses and scenes."""
    if not bench.unserved:
        raise SkipError("it applies to every label")
    run_through(bench, bench.samples(labels=bench.unserved[:1] * 2))


def run_through(bench: Bench, samples: Sequence[Sample]) -> None:
    """Train and predict on regions near the ground truth, then on detections."""
    for given in (True, False):
        check_losses(bench.learn(samples, given=given))
        bench.scenes(bench.run(samples, learning=False, given=given))


def check_losses(losses: Mapping[str, Tensor]) -> None:
    """Raise RuleError for a loss that is no finite number."""
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.dim():
            came = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise RuleError(f"{name} is {came}, expected a tensor without dimensions")
        if not torch.isfinite(loss):
            raise RuleError(f"{name} is {float(loss.detach())}, expected a finite number")


@contextmanager
def _nothing_but(kind: type[Exception]) -> Iterator[None]:
    """Turn one kind of error into a violation; others are the business of other checks."""
    try:
        yield
    except kind as error:
        raise RuleError(str(error)) from error
    except Exception:
        return
