"""What can be known before the first step of a run: whether it can be evaluated, resumed and written."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from scenekit.data.claims import spread_claims
from scenekit.data.loader import Source
from scenekit.errors import InputError, listed, one_line, warn_once
from scenekit.evaluation.loop import evaluators
from scenekit.hooks import registry
from scenekit.io.yaml_text import load_yaml
from scenekit.keys import OBJECTS, Stream
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import DatasetConfig, Recipe
from scenekit.training.run_folder import differences

_log = logging.getLogger(__name__)

SHOWN = 10
"""Number of classes that a warning lists."""

COPIES = {"adamw": 4, "sgd": 3}
"""Copies of each parameter in a checkpoint, by optimizer: of the model, of the run, and what the optimizer keeps."""


def check_measurable(model: SceneModel, due: bool) -> None:
    """Make the evaluators of a model once, so that what they need is known to be there.

    Args:
        model: The model that is trained.
        due: Whether the run evaluates it.

    Raises:
        InputError: If an evaluator cannot be made and evaluations are due; else a warning names it.
    """
    try:
        evaluators(model)
    except Exception as error:
        if due:
            raise
        _log.warning("the model that this run trains cannot be evaluated: %s", one_line(error))


def check_background(
    model: SceneModel, learning: Collection[str] | None, recipe: Recipe, sources: Sequence[Source]
) -> None:
    """Warn of streams that learn no background, since no image is annotated exhaustively for them.

    Some images of each data set are read for it.

    Args:
        model: The model that is trained.
        learning: Tasks and stages that are trained; None for all.
        recipe: The recipe of the run.
        sources: Its data sets.
    """
    stages = [name for name in model.stages if learning is None or name in learning]
    steps = [step for name, step in model.plan.steps.items() if name in stages]
    streams = {key for step in steps for key in step.provides if isinstance(key, Stream)}
    if OBJECTS in streams:
        _check_taught(model, recipe, sources)
    labelled: dict[Stream, list[int]] = {}
    for number, source in enumerate(sources):
        for claims in spread_claims(source.data, model.vocabulary):
            streams -= claims.exhaustive & claims.streams
            for stream in streams & claims.streams:
                labelled.setdefault(stream, []).append(number)
            if not streams:
                return
    for stream in sorted(streams & labelled.keys(), key=lambda stream: stream.name):
        _warn_of_no_background(stream, [recipe.data.train[number] for number in dict.fromkeys(labelled[stream])])


def _check_taught(model: SceneModel, recipe: Recipe, sources: Sequence[Source]) -> None:
    """Warn of classes that only teachers label: they have positives alone. Without a teacher nothing is read."""
    teachers = [entry.teacher is not None for entry in recipe.data.train]
    if not any(teachers):
        return
    claims = [list(spread_claims(source.data, model.vocabulary)) for source in sources]
    covered = {name for own in claims for each in own if OBJECTS in each.exhaustive for name in each.classes or ()}
    taught = {name for own, has in zip(claims, teachers, strict=True) if has for each in own for name in each.partial}
    if alone := sorted(taught - covered):
        _log.warning(
            "only a teacher labels %s, so that nothing teaches what is none of these, and any region may get their "
            "scores; name other `classes` of the teacher, or add a data set that covers them",
            listed(alone, SHOWN),
        )


def _warn_of_no_background(stream: Stream, entries: Sequence[DatasetConfig]) -> None:
    able = dict.fromkeys(it.name for it in entries if "exhaustive" in inspect.signature(_builder(it)).parameters)
    option = f"set the option `exhaustive` of {' or '.join(able)} if nearly all of them are annotated, or "
    _log.warning(
        "no image of %s is exhaustive for %s, so that nothing teaches what is background there, and all proposals get "
        "high scores; %sadd a data set that is exhaustive for %s",
        " and ".join(f"{entry.name}/{entry.split}" for entry in entries),
        stream.name,
        option if able else "",
        stream.name,
    )


def _builder(entry: DatasetConfig) -> Callable[..., Any]:
    builder: Callable[..., Any] = registry().get("dataset", entry.name).build
    return builder


def check_resumable(recipe: Recipe) -> None:
    """Check that a recipe is the same once it was written and read, so that the run can be resumed.

    Args:
        recipe: The recipe of the run.

    Raises:
        InputError: If it holds an option that YAML cannot express.
    """
    again = Recipe.parse(load_yaml(recipe.to_yaml(), "the recipe"))
    if changed := next(differences(recipe, again), None):
        raise InputError(f"{changed}: this value cannot be written as YAML; use text, numbers, lists and mappings")


def check_space(out: Path, model: SceneModel, recipe: Recipe) -> None:
    """Check that the disk has room for a checkpoint.

    Args:
        out: Folder of the run; it exists.
        model: The model that is trained.
        recipe: The recipe of the run.

    Raises:
        InputError: If it has not.
    """
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    needed = size * (COPIES[recipe.train.optimizer] + (recipe.train.ema is not None))
    free = shutil.disk_usage(out).free
    if free < needed:
        raise InputError(
            f"{out}: no space left for a checkpoint of {needed / 1e6:,.0f} MB, there are {free / 1e6:,.0f} MB; free "
            "some, or name another folder"
        )


def usable_workers(wanted: int) -> int:
    """Return the number of worker processes that a run starts.

    Args:
        wanted: The number that the recipe asks for.

    Returns:
        At most the number of processor cores that this process may use; a warning says so where these are fewer.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if wanted > cores:
        warn_once(_log, f"train.workers is {wanted}, but {cores} processor cores can be used: {cores} workers start")
    return min(wanted, cores)
