"""Joining the heads of several models on one trunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scenekit.errors import InputError, listed, nearest
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights import load

CORE = ("trunk", "detection")
"""Names of what the first model gives in any case: the backbone with its pyramid, and the stages of the detector."""
SECTIONS = ("input", "backbone", "pyramid", "detector", "detector_options")
"""Sections of the configuration that all models must share."""


@dataclass(frozen=True)
class Scion:
    """A model, and which of its tasks are joined."""

    name: str
    """The model, as `scenekit.load` knows it."""
    parts: tuple[str, ...] | None = None
    """Its tasks, of the first model also `trunk` and `detection`; None for all."""

    @classmethod
    def parse(cls, text: str) -> Scion:
        """Create it from `MODEL` or `MODEL:PART,PART`.

        Args:
            text: The text.

        Returns:
            The model with its parts.

        Raises:
            InputError: If a name is missing.
        """
        name, colon, parts = text.rpartition(":")
        if not colon or "/" in parts or "\\" in parts:  # a colon within a path
            return cls(text)
        chosen = tuple(part.strip() for part in parts.split(","))
        if not name or not all(chosen):
            raise InputError(f"expected a model and its parts, as runs/a/model:captions,relations; got {text!r}")
        return cls(name, chosen)


def graft(scions: Sequence[Scion]) -> tuple[SceneModel, dict[str, str]]:
    """Join tasks of several models on the trunk and the detector of the first one.

    A task may come from another model if everything that it reads there has the same weights in the joint model, so
    that its predictions stay the same to the bit. Stages of a stream that a task brings come along.

    Args:
        scions: The models with their tasks; the first gives trunk and detector.

    Returns:
        The model, in evaluation mode, and the name of the model that each of its stages and tasks is from.

    Raises:
        InputError: If a model lacks a part, two give the same task, or what a task reads differs.
    """
    return _joint(scions, [load(scion.name, networks=False) for scion in scions])


def limited_to(tasks: Sequence[str], model: SceneModel, name: str) -> SceneModel:
    """Return a model that has only some tasks of another one.

    Args:
        tasks: The tasks; `detection` alone for a model without any.
        model: The other model.
        name: Its name, for messages.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the other model lacks a task, or they read what one that is not named predicts.
    """
    known = [*model.specs, *(step for step in CORE if step in model.plan.steps)]
    for task in tasks:
        if task not in known:
            raise InputError(f"{name} has no task {task!r}{nearest(task, known)}")
    if unnamed := [each for each in model.plan.needed(tasks) if each in model.specs and each not in tasks]:
        raise InputError(
            f"{', '.join(tasks)}: what {', '.join(unnamed)} predicts is read; name all of them: "
            f"--tasks {','.join((*tasks, *unnamed))}"
        )
    return _joint([Scion(name, (*CORE, *(task for task in tasks if task in model.specs)))], [model])[0]


def _joint(scions: Sequence[Scion], models: Sequence[SceneModel]) -> tuple[SceneModel, dict[str, str]]:
    """Join tasks of loaded models."""
    first, base = scions[0], models[0]
    vocabulary = base.vocabulary
    owners = {name: (first, base) for name in base.core_stages}
    for scion, model in zip(scions, models, strict=True):
        if model is not base:
            _check_alike(first.name, base, scion.name, model)
            vocabulary = _joined(first.name, vocabulary, scion.name, model.vocabulary)
        for task in _tasks_of(scion, model, core=CORE if model is base else ()):
            if task in owners:
                raise InputError(f"{owners[task][0].name} and {scion.name} both give {task!r}; name it for one of them")
            owners[task] = (scion, model)
    for task, (scion, model) in list(owners.items()):
        if task in model.specs:
            owners |= dict(_brought(task, scion, model, owners))
    tasks = {name: model.config.tasks[name] for name, (_, model) in owners.items() if name in model.specs}
    joint = build(base.config.model_copy(update={"tasks": tasks}), vocabulary)
    for name, part in joint.parts.items():
        part.load_state_dict(owners[name][1].parts[name].state_dict())
    return joint.eval(), {name: scion.name for name, (scion, _) in owners.items()}


def _tasks_of(scion: Scion, model: SceneModel, core: Sequence[str]) -> Iterator[str]:
    """Yield the tasks that a model gives."""
    for part in model.specs if scion.parts is None else scion.parts:
        if part in CORE and part not in core:
            raise InputError(f"{scion.name}: {' and '.join(CORE)} are those of the first model; name only tasks here")
        if part in model.specs:
            yield part
        elif part not in core:
            raise InputError(f"{scion.name} has no task {part!r}{nearest(part, [*core, *model.specs])}")


def _check_alike(name: str, base: SceneModel, other: str, model: SceneModel) -> None:
    """Check that images, trunk and detector are configured alike."""
    differing = [section for section in SECTIONS if getattr(base.config, section) != getattr(model.config, section)]
    if differing:
        raise InputError(
            f"{name} and {other} differ in model.{', model.'.join(differing)}; only heads that were trained on the same"
            " trunk and detector can be joined, see `scenekit train --add-task`"
        )


def _joined(name: str, known: Vocabulary, other: str, more: Vocabulary) -> Vocabulary:
    """Return the vocabulary with the lists of another model that it lacks."""
    if differing := known.differing(more):
        raise InputError(f"{name} and {other} have different {' and '.join(differing)}; their heads cannot be joined")
    return known.completed(more)


Owners = Mapping[str, tuple[Scion, SceneModel]]


def _brought(
    task: str, scion: Scion, model: SceneModel, owners: Owners
) -> Iterator[tuple[str, tuple[Scion, SceneModel]]]:
    """Yield the stages that a task brings, after a check that all else that it reads is the same in the joint model."""
    for name in model.plan.needed([task]):
        if name not in owners and name in model.specs:
            raise InputError(f"{task!r} of {scion.name} reads what {name!r} predicts; add it: {scion.name}:{name},...")
        if name not in owners:
            yield name, (scion, model)
            continue
        owner, other = owners[name]
        if differing := _differences(model.parts[name], other.parts[name]):
            shown = listed(differing, 2)
            raise InputError(
                f"{task!r} of {scion.name} reads {name!r}, whose weights differ in {owner.name}: {shown}; only"
                " heads that were trained on the same weights can be joined"
            )


def _differences(first: nn.Module, second: nn.Module) -> list[str]:
    """Return the names of the weights that differ, or that only one of two parts has."""
    ours, theirs = first.state_dict(), second.state_dict()
    return [name for name in {**ours, **theirs} if not _equal(ours.get(name), theirs.get(name))]


def _equal(first: Tensor | None, second: Tensor | None) -> bool:
    return first is not None and second is not None and torch.equal(first, second)
