"""Measuring what each part of a model costs: counters of operations and memory, and medians of repeated passes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from scenekit.errors import InputError, warn_once
from scenekit.io.images import ImageSource, Pixels, read_image
from scenekit.keys import OBJECTS
from scenekit.model.counters import Count, StepCounter, counters
from scenekit.model.ledger import Choice, Ledger, Row, milliseconds, seconds_of
from scenekit.model.prediction import evaluating
from scenekit.model.preprocess import resize, resized
from scenekit.model.timing import StepTimer
from scenekit.recipe.model import LONGEST_SIDE
from scenekit.structures.geometry import Size

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene

_log = logging.getLogger(__name__)

EXAMPLE = Path(__file__).with_name("example.jpg")
"""A rendered scene of the synthetic test split with people, balls, boxes and mugs."""

PREPROCESS = "(preprocess)"
"""The step before the first one; no stage has such a name."""

CORE, TOGETHER = "(core)", "(together)"
"""Passes of more than one task."""


def cost(
    model: SceneModel,
    image: ImageSource | None = None,
    *,
    size: Size | None = None,
    tasks: str | Sequence[str] | None = None,
    threshold: float = 0.5,
    repeats: int = 5,
) -> Ledger:
    """Measure what each part of a model costs, on the device that the model is on.

    A pass begins with decoded pixels and ends with a Scene. The work of heads grows with the number of objects, so name
    an image as full as those that the model will see.

    Args:
        model: The model.
        image: An image in any form that `predict` accepts; by default a rendered scene with about ten objects.
        size: (height, width) in pixels that the image is resized to first; by default its own.
        tasks: Tasks to measure, or a single one, and those that they require; all, if None.
        threshold: As for `predict`: no head gets objects that score less.
        repeats: Number of timed passes for each task, from 1, after one that warms up.

    Returns:
        The ledger.

    Raises:
        InputError: The image cannot be read, its size or `repeats` is invalid, or the model has no such task.
    """
    if repeats < 1:
        raise InputError(f"repeats: expected a whole number from 1, got {repeats!r}")
    names = [tasks] if isinstance(tasks, str) else tasks
    return measured(model, pixels_of(image, size), names, threshold, repeats)


def pixels_of(image: ImageSource | None, size: Size | None) -> Pixels:
    """Return the image to measure on.

    Args:
        image: An image in any form that `predict` accepts; None for the rendered scene.
        size: (height, width) in pixels that it is resized to; None for its own.

    Returns:
        Values in 0..255.

    Raises:
        InputError: The image cannot be read, or its size is invalid.
    """
    if size is not None and not (len(size) == 2 and all(0 < side <= LONGEST_SIDE for side in size)):
        raise InputError(f"size: expected (height, width), each 1 to {LONGEST_SIDE} pixels, got {size!r}")
    pixels = read_image(EXAMPLE if image is None else image)
    return pixels if size is None else resize(pixels, size)


def measured(model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None, threshold: float, repeats: int) -> Ledger:
    """Measure passes of the core, of each task alone, and of all tasks.

    Args:
        model: The model.
        pixels: The image.
        tasks: Tasks to measure, and those that they require; all, if None.
        threshold: Objects that score less are left out.
        repeats: Number of timed passes of each kind.

    Returns:
        The ledger.
    """
    needed = model.plan.needed(model.tasks if tasks is None else tasks)
    wanted = [name for name in needed if name in model.specs]
    core = [name for name in model.plan.order if name in model.core_stages]
    parts = {CORE: core, **{name: [name] for name in wanted}, TOGETHER: [*core, *wanted]}
    # In inference mode the counter of operations splits some of them, which then hold more memory.
    with evaluating(model), torch.inference_mode(False), torch.no_grad():
        counted = {name: _counted(model, pixels, run, threshold) for name, run in parts.items()}  # warms up, too
        timed: dict[str, list[Pass]] = {name: [] for name in parts}
        for _ in range(repeats):  # alternating, so that other load on the machine affects all of them
            for name, run in parts.items():
                timed[name].append(Pass.of(model, pixels, run, threshold, partial(StepTimer, model.device)))
    example, whole = counted[TOGETHER], timed[TOGETHER]
    return Ledger(
        rows={name: _row(model, name, counted, timed) for name in (*core, *wanted)},
        preprocess=median(one.network.seconds[PREPROCESS] for one in whole),
        rest=max(0.0, median(one.rest for one in whole)),
        together=median(one.seconds for one in whole),
        together_memory=_highest(example.counts()),
        image=(pixels.shape[1], pixels.shape[2]),
        network=example.size,
        regions={stream.name: len(regions) for stream, regions in example.scene.streams.items()},
        device=str(model.device),
        threshold=threshold,
        repeats=repeats,
    )


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass of one image.

    Attributes:
        network: Timer or counter of preprocessing, stages and heads.
        finish: That of what each head does in pixels of the image.
        seconds: Duration of the whole.
        size: (height, width) of what the network sees.
        scene: The result.
    """

    network: StepTimer
    finish: StepTimer
    seconds: float
    size: Size
    scene: Scene

    @classmethod
    def of(
        cls, model: SceneModel, pixels: Pixels, parts: Sequence[str], threshold: float, timer: Callable[[], StepTimer]
    ) -> Pass:
        """Run a pass of some parts of a model, with two new timers."""
        network, finish, clock = timer(), timer(), StepTimer(model.device)
        with clock.step(""):
            with network.step(PREPROCESS):
                batch = model.preprocess([pixels])
            outputs = model(batch, tasks=parts, threshold=threshold, timer=network)
            (scene,) = model.scenes(outputs, parts, threshold, timer=finish)
        return cls(network, finish, clock.seconds[""], batch.padded_size, scene)

    @property
    def rest(self) -> float:
        """Seconds that belong to no step."""
        return self.seconds - sum(self.network.seconds.values()) - sum(self.finish.seconds.values())

    def counts(self, steps: Collection[str] | None = None) -> list[Count]:
        """Return what some steps did, or all of them, in a pass with counters."""
        timers = (timer for timer in (self.network, self.finish) if isinstance(timer, StepCounter))
        return [count for timer in timers for name, count in timer.counts.items() if steps is None or name in steps]


def _counted(model: SceneModel, pixels: Pixels, parts: Sequence[str], threshold: float) -> Pass:
    with counters(model.device) as (operations, memory):
        counter = partial(StepCounter, model.device, operations=operations, memory=memory)
        return Pass.of(model, pixels, parts, threshold, counter)


def _row(model: SceneModel, name: str, counted: Mapping[str, Pass], timed: Mapping[str, Sequence[Pass]]) -> Row:
    """Return the row of a task from the passes for it alone, or of a stage from those of the core."""
    task, needed, brought = name in model.specs, model.plan.needed([name]), model.task_stages
    # A stage that another task brings is work of that task only where that task runs, too.
    own = [step for step in needed if step == name or (step in brought and brought[step] not in set(needed) - {name})]
    requires = tuple(step for step in needed if step not in own and step not in brought)
    count, times = counted[name if task else CORE], timed[name if task else CORE]
    below = count.counts({PREPROCESS, *requires}) + (counted[CORE].counts() if task else [])
    peak, before = _highest(count.counts(own)), _highest(below)
    weights = [name, *(stage for stage, owner in brought.items() if owner == name)]
    return Row(
        name=name,
        task=task,
        requires=requires,
        parameters=sum(p.numel() for part in weights for p in model.parts[part].parameters()),
        flops=sum(c.flops for c in count.counts(own)),
        network=median(sum(one.network.seconds.get(step, 0.0) for step in own) for one in times),
        finish=median(one.finish.seconds.get(name, 0.0) for one in times),
        marginal_memory=None if peak is None or before is None else max(0, peak - before),
        alone_memory=_highest(count.counts({PREPROCESS, *needed})),
    )


def _highest(counts: Sequence[Count]) -> int | None:
    peaks = [count.peak for count in counts if count.peak is not None]
    return max(peaks, default=None)


@dataclass(frozen=True)
class Budget:
    """A limit for the time that each image takes.

    Attributes:
        seconds: The limit.
        ledger: What the parts cost; None if it is yet to be measured.
    """

    seconds: float
    ledger: Ledger | None

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
            pixels: The image, on which the ledger is measured if there is none yet for what the network sees of it.
            tasks: Tasks asked for, the most important first; all, if None.
            threshold: Objects that score less are left out.

        Returns:
            The choice.

        Raises:
            InputError: Nothing fits, or the ledger is of another model.
        """
        if tasks is None and not model.tasks:
            raise InputError("budget: this model has no tasks to choose from; leave the budget out")
        ledger = self.ledger or kept_ledger(model, pixels, threshold)
        parts = {*model.core_stages, *(model.tasks if tasks is None else tasks)}
        if not parts <= set(ledger.rows) <= set(model.plan.steps) or ledger.device != str(model.device):
            raise InputError("ledger: it is of another model, device or choice of tasks; measure: sk.cost(model)")
        choice = ledger.within(self.seconds, tasks)
        if choice.left_out:
            warn_once(
                _log,
                f"a budget of {milliseconds(self.seconds)} leaves out {', '.join(choice.left_out)}; the others take "
                f"{milliseconds(choice.seconds)} by the ledger, which was measured with "
                f"{ledger.regions.get(OBJECTS.name, 0)} objects",
            )
        return choice


_ledgers: WeakKeyDictionary[Any, dict[object, Ledger]] = WeakKeyDictionary()
_lock = threading.Lock()


def kept_ledger(model: SceneModel, pixels: Pixels, threshold: float) -> Ledger:
    """Return the ledger of a model for images like one, measured on that image at the first call.

    Args:
        model: The model.
        pixels: The image.
        threshold: Objects that score less are left out.

    Returns:
        The ledger; one for each model, device, type, size that the network sees and threshold.
    """
    config = model.config.input
    seen = resized((pixels.shape[1], pixels.shape[2]), config)
    padded = tuple(-(-side // config.divisor) * config.divisor for side in seen)
    with _lock:  # two measurements at a time would be slower each
        ledgers = _ledgers.setdefault(model, {})
        place = (model.device, model.dtype, padded, threshold)
        if place not in ledgers:
            ledgers[place] = measured(model, pixels, None, threshold, repeats=3)
        return ledgers[place]
