"""The data sets that a run is evaluated on, and their results."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit.data.datasets import SampleSet
from scenekit.data.labelers import Labeler
from scenekit.errors import InputError
from scenekit.evaluation.loop import evaluate
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import DatasetConfig, Recipe
from scenekit.training.log import read_log
from scenekit.training.preparation import open_source
from scenekit.weights.card import evaluation_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValSet:
    """A data set that a run is evaluated on."""

    entry: DatasetConfig
    """Its entry in the recipe."""
    name: str
    """The name of its results, as in `DataConfig.val_names`."""
    data: SampleSet
    """The data set."""


def open_val(recipe: Recipe, labelers: Sequence[Labeler]) -> tuple[ValSet, ...]:
    """Open the data sets that a run is evaluated on.

    Args:
        recipe: The recipe of the run.
        labelers: Labelers that derive further ground truth.

    Returns:
        The data sets; none where the run evaluates nothing. They are opened then, too: a warning says why one cannot
        be.

    Raises:
        InputError: If evaluations are due, and a data set cannot be opened.
    """
    due, opened = recipe.train.evaluate_every > 0, []
    for entry, name in zip(recipe.data.val_entries, recipe.data.val_names, strict=True):
        try:
            source = open_source(entry, labelers, recipe.data.label_space, recipe.data.inputs)
            opened.append(ValSet(entry, name, source.data))
        except InputError as error:
            if due:
                raise
            _log.warning("data.val cannot be opened, so that the model cannot be evaluated on it: %s", error)
    return tuple(opened) if due else ()


def evaluated(
    model: SceneModel, sets: Sequence[ValSet], recipe: Recipe, step: int, strict: bool
) -> Iterator[dict[str, Any]]:
    """Measure a model on each data set.

    Args:
        model: The model.
        sets: The data sets.
        recipe: The recipe of the run.
        step: Number of finished steps.
        strict: Whether to refuse labels that the model lacks.

    Yields:
        A line of the log of evaluations for each; with the name of the data set, `data`, where the recipe lists
        several.
    """
    config = recipe.train
    for each in sets:
        named = {"data": each.name} if isinstance(recipe.data.val, tuple) else {}
        results = evaluate(
            model,
            each.data,
            limit=config.evaluate_limit,
            max_skipped=config.max_skipped,
            step=step,
            strict=strict,
            name=named.get("data"),
        )
        yield {"step": step, **named, "results": results}


def last_evaluations(log: Path, sets: Sequence[ValSet], recipe: Recipe, step: int) -> list[dict[str, Any]]:
    """Return what a manifest says of the evaluations after a step.

    Args:
        log: The log of evaluations.
        sets: The data sets.
        recipe: The recipe of the run.
        step: The step.

    Returns:
        An `Evaluation` for each data set, as plain data; none where there was no evaluation.
    """
    found = {record.get("data"): record["results"] for record in read_log(log) if record["step"] == step}
    records = []
    for each in sets:
        name = each.name if isinstance(recipe.data.val, tuple) else None
        if name in found:
            images = min(recipe.train.evaluate_limit, len(each.data))
            records.append(evaluation_of(each.entry, found[name], images, name).model_dump(mode="json"))
    return records
