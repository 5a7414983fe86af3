"""The model that a run starts with: built from its recipe, with what its data say, and with the weights of `init`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from scenekit.data.loader import Source
from scenekit.errors import InputError, collecting
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import Recipe
from scenekit.recipe.initial import with_initial
from scenekit.training.devices import seed_step
from scenekit.training.freezing import frozen_parts
from scenekit.training.preparation import Track, prepared, prepares, vocabulary_of
from scenekit.weights import load
from scenekit.weights.checkpoint import without_pretrained
from scenekit.weights.transfer import Transfer, transfer

_log = logging.getLogger(__name__)

LEAST_SHARE = 0.5
"""Of the parameters in parts that both models have, what `init` must give at least: less is most likely an error."""


@dataclass(frozen=True, eq=False)
class Start:
    """What a run starts with."""

    recipe: Recipe
    """The recipe, with the options of `init` and those that detector and tasks determine from the data."""
    model: SceneModel
    """The model."""
    transferred: Transfer | None = None
    """What it has of `init`; None without."""


def started(recipe: Recipe, sources: Sequence[Source], track: Track, accelerator: Accelerator) -> Start:
    """Build the model that a run starts with.

    Args:
        recipe: The recipe.
        sources: Its data sets.
        track: Shows the progress of reading labels.
        accelerator: The processes of the run.

    Returns:
        The model, and the completed recipe.

    Raises:
        InputError: The model cannot be built, or `init` gives too little.
    """
    name, own = recipe.init, recipe.model.detector_options
    initial = None if name is None else load(name, networks=False)
    if initial is not None:
        recipe = with_initial(recipe, initial.config)
    with collecting() as attempt:  # what several tasks miss is named at once
        if prepares(recipe):
            frozen = frozenset() if initial is None else frozen_parts(initial, recipe.train)
            recipe = _synchronized(partial(prepared, recipe, sources, track, attempt, own, frozen), accelerator)
        with attempt():
            model = _built(recipe, sources)
    if initial is None:
        return Start(recipe, model)
    transferred = _taken_from(initial, model, str(name))
    _log.info("start from %s; %s", name, transferred)
    return Start(recipe, model, transferred)


def continued(recipe: Recipe, sources: Sequence[Source]) -> Start:
    """Build the model of a run that continues from a checkpoint, whose weights are still to be loaded.

    Args:
        recipe: The completed recipe.
        sources: Its data sets.

    Returns:
        The model.

    Raises:
        InputError: It cannot be built.
    """
    return Start(recipe, _built(recipe.model_copy(update={"model": without_pretrained(recipe.model)}), sources))


def _built(recipe: Recipe, sources: Sequence[Source]) -> SceneModel:
    """Build the model of a recipe, with the same fresh weights in every process."""
    vocabulary = vocabulary_of(recipe, sources)
    seed_step(recipe.train.seed, -1, 0)
    return build(recipe.model, vocabulary)


def _synchronized(make: Callable[[], Recipe], accelerator: Accelerator) -> Recipe:
    """Return the result of the first process in all processes."""
    if accelerator.num_processes == 1:
        return make()
    shared = [make().model_dump(mode="json") if accelerator.is_main_process else None]
    return Recipe.parse(broadcast_object_list(shared)[0])


def _taken_from(initial: SceneModel, model: SceneModel, name: str) -> Transfer:
    """Copy the weights of the model that a run starts from; raise InputError where hardly anything fits."""
    found = transfer(initial, model)
    if found.share < LEAST_SHARE:
        raise InputError(
            f"init: only {found.share:.0%} of the parameters that {name!r} and this model share fit; leave `model` out "
            f"of the recipe to take that of {name!r}, or adapt it: `scenekit recipe show` prints the origin of each "
            "value"
        )
    return found
