"""Budgets of time: which tasks of a model run on each image, by what its parts cost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from scenekit.errors import InputError, warn_once
from scenekit.io.images import Pixels
from scenekit.keys import OBJECTS
from scenekit.model import measuring
from scenekit.model.ledger import Choice, Ledger, milliseconds, seconds_of
from scenekit.model.preprocess import resized
from scenekit.structures.geometry import Size

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel

_log = logging.getLogger(__name__)

MORE_PIXELS = 1.25
"""By what factor the network may get more pixels than in a ledger, as images of other aspect ratios have."""


class Chooser(Protocol):
    """What limits the tasks of each image, such as a budget of time."""

    def choice(self, model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None, threshold: float) -> Choice:
        """Choose the tasks to run on an image.

        Args:
            model: The model.
            pixels: The image.
            tasks: Tasks asked for; all, if None.
            threshold: Objects that score less are left out.

        Returns:
            The choice.
        """
        ...


@dataclass(frozen=True)
class Budget:
    """A limit for the time that each image takes."""

    seconds: float
    """The limit."""
    ledger: Ledger | None
    """What the parts cost; None if it is yet to be measured."""

    @classmethod
    def of(cls, budget: object, ledger: object, given: object) -> Budget | None:
        """Check what a caller of `predict` names.

        Args:
            budget: Seconds as a number, or text such as "60ms"; None for no limit.
            ledger: What the parts of the model cost, if that is measured already.
            given: External regions, which change what an image costs.

        Returns:
            The budget; None without a limit.

        Raises:
            InputError: The budget is no time, there is a ledger without one, or there are external regions.
        """
        if not isinstance(ledger, Ledger | None) or (ledger is not None and budget is None):
            raise InputError("ledger: expected what sk.cost(model) returns, and a budget beside it, such as '60ms'")
        if budget is not None and given is not None:
            raise InputError("budget: a ledger has no costs of external regions; name tasks in place of a budget")
        return None if budget is None else cls(seconds_of(budget), ledger)

    def choice(self, model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None, threshold: float) -> Choice:
        """Choose the tasks to run on an image, and log once what is left out.

        Args:
            model: The model.
            pixels: The image, on which the ledger is measured if there is none yet for what the network gets of it.
            tasks: Tasks asked for, the most important first; all, if None.
            threshold: Objects that score less are left out.

        Returns:
            The choice.

        Raises:
            InputError: Nothing fits, or the ledger is of another model or of much smaller images.
        """
        ledger = self.ledger_for(model, pixels, tasks, threshold)
        choice = ledger.within(self.seconds, tasks)
        if choice.left_out:
            warn_once(
                _log,
                f"a budget of {milliseconds(self.seconds)} leaves out {', '.join(choice.left_out)}; the others take "
                f"{milliseconds(choice.seconds)} by the ledger, which was measured with "
                f"{ledger.regions.get(OBJECTS.name, 0)} objects",
            )
        return choice

    def ledger_for(self, model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None, threshold: float) -> Ledger:
        """Return the ledger that holds for an image.

        Args:
            model: The model.
            pixels: The image.
            tasks: Tasks asked for; all, if None.
            threshold: Objects that score less are left out.

        Returns:
            The caller's, or else the one that is kept for such images, measured on this one if there is none yet.

        Raises:
            InputError: The model has no tasks, or the ledger is of another model or of much smaller images.
        """
        if tasks is None and not model.tasks:
            raise InputError("budget: this model has no tasks to choose from; leave the budget out")
        if self.ledger is not None:
            check_ledger(self.ledger, model, pixels, tasks)
        return self.ledger or kept_ledger(model, pixels, threshold)


_ledgers: WeakKeyDictionary[Any, dict[object, Ledger]] = WeakKeyDictionary()
_checked: WeakKeyDictionary[Any, Ledger] = WeakKeyDictionary()
_lock = threading.Lock()


def check_ledger(ledger: Ledger, model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None) -> None:
    """Check that a ledger says what an image costs in a model.

    Parts and parameters are compared once for each model and ledger: what is added to the model later is not noticed.

    Args:
        ledger: The ledger.
        model: The model.
        pixels: The image.
        tasks: Tasks asked for; all, if None.

    Raises:
        InputError: It is of another model, device, type or choice of tasks, or of much smaller images.
    """
    parts = {*model.core_stages, *(model.tasks if tasks is None else tasks)}
    if _checked.get(model) is not ledger:  # counting parameters takes milliseconds, which each frame would wait for
        same = set(ledger.rows) <= set(model.plan.steps) and all(
            row.parameters == measuring.parameters_of(model, name) for name, row in ledger.rows.items()
        )
        if not same:
            raise InputError("ledger: it is of another model; measure this one: sk.cost(model)")
        with _lock:
            _checked[model] = ledger
    own, measured = f"{model.device} in {measuring.type_name(model)}", f"{ledger.device} in {ledger.dtype}"
    if own != measured:
        raise InputError(f"ledger: it was measured on {measured}, but the model is on {own}; measure: sk.cost(model)")
    if missing := sorted(parts - set(ledger.rows)):
        raise InputError(f"ledger: it has no costs of {', '.join(missing)}; measure them: sk.cost(model)")
    size = network_size(model, pixels)
    if prod(size) > MORE_PIXELS * prod(ledger.network):
        (height, width), (most_high, most_wide) = size, ledger.network
        raise InputError(
            f"ledger: it is of images that enter the network with {most_high} x {most_wide} pixels, this one with "
            f"{height} x {width}; measure on the largest: sk.cost(model, image)"
        )


def kept_ledger(model: SceneModel, pixels: Pixels, threshold: float) -> Ledger:
    """Return the ledger of a model for images like one, measured on that image at the first call.

    Args:
        model: The model.
        pixels: The image.
        threshold: Objects that score less are left out.

    Returns:
        The ledger; one for each model, device, type, size that the network gets and threshold.
    """
    with _lock:  # two measurements at a time would be slower each
        ledgers = _ledgers.setdefault(model, {})
        place = (model.device, model.dtype, network_size(model, pixels), threshold)
        if place not in ledgers:
            ledgers[place] = measuring.measured(model, pixels, None, threshold, measuring.REPEATS)
        return ledgers[place]


def network_size(model: SceneModel, pixels: Pixels) -> Size:
    """Return the size of an image in the network.

    Args:
        model: The model.
        pixels: The image.

    Returns:
        Height and width in pixels, padding included.
    """
    config = model.config.input
    height, width = (min(side, config.crop or side) for side in resized((pixels.shape[1], pixels.shape[2]), config))
    return -(-height // config.divisor) * config.divisor, -(-width // config.divisor) * config.divisor
