"""A head learns from what is labelled, with all its parameters, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from scenekit.testing.bench import Bench
from scenekit.testing.check import RuleError, SkipError, check
from scenekit.testing.compare import difference
from scenekit.testing.rules.inputs import check_losses


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return parameters by name, without frozen ones."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


@check("let every parameter take part in a loss, or take it out (requires_grad=False for frozen ones)")
def gradients(bench: Bench) -> None:
    """Labelled images give every parameter a finite gradient."""
    parts = {"": bench.head} | {f"{stage.name}.": stage for stage in bench.stages}
    if not any(map(trainable, parts.values())):
        raise SkipError("it has no parameters")
    if trainable(bench.head) and not bench.spec.learns_from:
        raise RuleError("the head has parameters, but `learns_from` is empty, so that it is never asked for a loss")
    for given in bench.ways:
        losses = bench.learn(bench.samples(), given=given)
        for prefix, part in parts.items():
            if (part is bench.head) == given:
                _check_gradients(losses, {prefix + name: p for name, p in trainable(part).items()})


def _check_gradients(losses: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> None:
    if not parameters:
        return
    total = torch.stack([*losses.values()]).sum()
    found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True, retain_graph=True)
    if missing := [name for name, gradient in zip(parameters, found, strict=True) if gradient is None]:
        raise RuleError(f"no gradient reaches {', '.join(missing)}")
    finite = {n: bool(g.isfinite().all()) for n, g in zip(parameters, found, strict=True) if g is not None}
    if not all(finite.values()):
        raise RuleError(f"the gradient of {', '.join(n for n, ok in finite.items() if not ok)} is not finite")


@check("leave it to the core: name all that the head learns from in `learns_from`")
def unlabelled(bench: Bench) -> None:
    """Images without labels give zero loss and no gradient."""
    parameters = list(trainable(bench.model).values())
    losses = [bench.learn(bench.samples(labelled=False), given=given) for given in bench.ways]
    for name, loss in (item for way in losses for item in way.items()):
        if float(loss.detach()) != 0:
            raise RuleError(f"{name} is {float(loss.detach()):.3g} where nothing is labelled, expected 0")
        found = torch.autograd.grad(loss, parameters, None, True, allow_unused=True) if loss.requires_grad else ()
        if any(gradient is not None and bool(gradient.any()) for gradient in found):
            raise RuleError(f"{name} has a gradient where nothing is labelled")


@check("mask rows by `targets.learnable(KEY, board[STREAM])`, images by `targets.valid[KEY]`, blank pixels too")
def partly_labelled(bench: Bench) -> None:
    """Among labelled images one without labels changes no loss, whatever it shows."""
    if not bench.spec.learns_from:
        raise SkipError("it learns from nothing")
    labelled, other = bench.sample(0), bench.sample(1, labelled=False)
    shown = ([labelled, other], [labelled, replace(other, image=255 - other.image)])
    for given in bench.ways:
        losses, same = (bench.learn(samples, given=given) for samples in shown)
        check_losses(losses)
        if differing := difference(losses, same):
            raise RuleError(f"the losses follow an image that has no labels ({differing})")
