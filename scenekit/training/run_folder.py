"""The folder of a run: recipe, coverage, log, evaluations, interference, skipped samples, checkpoints, model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.recipe import Recipe
from scenekit.training.preparation import adopted
from scenekit.training.state import CHECKPOINTS, checkpoints

RECIPE, LOG, EVALUATIONS, MODEL = "recipe.yaml", "log.jsonl", "evaluations.jsonl", "model"
COVERAGE, INTERFERENCE, SKIPPED = "coverage.json", "interference.jsonl", "skipped.json"

_FREE_TRAINING = (
    *("steps", "epochs", "workers", "save_every", "keep"),
    *("evaluate_every", "evaluate_limit", "interference_every", "gradient_checkpointing"),
)
FREE = frozenset({"out", "data.val", *(f"train.{name}" for name in _FREE_TRAINING)})
"""Entries of a recipe that may change when a run is resumed.

All others determine the weights; of these only `train.steps` (or `train.epochs`) does. A run may be resumed for more
(or fewer) steps than planned: every schedule but "constant" is then, from the checkpoint on, the one of the new length,
so that the weights differ from those of a run that had the new length from its beginning.
"""


def check_folder(out: Path, recipe: Recipe, resume: bool) -> tuple[Recipe, Path | None]:
    """Check that a run may write to a folder.

    Args:
        out: The folder.
        recipe: Recipe of the run.
        resume: Whether a run in the folder is to be resumed.

    Returns:
        The recipe, with the options that the resumed run determined when it started, and the checkpoint to resume from,
        if any.

    Raises:
        InputError: If `out` is a file, holds a run and `resume` is False, or holds a run with another recipe.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected a folder to write to")
    if not (out / RECIPE).is_file():
        return recipe, None
    if not resume:
        raise InputError(f"{out} holds a run already; continue it with --resume, or name another folder")
    before = Recipe.load(out / RECIPE)
    recipe = adopted(recipe, before)
    free = tuple(f"{entry}." for entry in FREE)
    changed = [path for path in differences(before, recipe) if not f"{path}.".startswith(free)]
    if changed:
        raise InputError(f"{out} holds a run with another recipe: {', '.join(changed)} changed; name another folder")
    return recipe, next(reversed(checkpoints(out)), None)


def recipe_of(model: Path) -> Path | None:
    """Return the recipe of the run that wrote a model.

    Args:
        model: The folder of a finished model or of a checkpoint.

    Returns:
        The file; None where the model does not lie in the folder of a run.
    """
    folder = model.resolve()
    if not folder.is_dir() or (folder.name != MODEL and folder.parent.name != CHECKPOINTS):
        return None
    path = (folder.parent if folder.name == MODEL else folder.parents[1]) / RECIPE
    return path if path.is_file() else None


def clear_folder(out: Path) -> None:
    """Remove the files of a run that failed before its first step, so that it can be started again.

    Args:
        out: Folder of the run.
    """
    for name in (RECIPE, LOG, EVALUATIONS, COVERAGE, INTERFERENCE, SKIPPED):
        (out / name).unlink(missing_ok=True)


def differences(first: Recipe, second: Recipe) -> Iterator[str]:
    """Yield the entries in which two recipes differ.

    Args:
        first: One recipe.
        second: The other recipe.

    Returns:
        Dotted paths of the entries.
    """
    return _differences(first.model_dump(mode="json"), second.model_dump(mode="json"))


def _differences(first: Any, second: Any, path: str = "") -> Iterator[str]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in (*first, *(name for name in second if name not in first)):
            yield from _differences(first.get(name), second.get(name), f"{path}.{name}" if path else name)
    elif first != second:
        yield path
