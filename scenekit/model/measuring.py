"""Measuring what each part of a model costs: counters of operations and memory, and medians of repeated passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from scenekit.io.images import ImageSource, Pixels, read_image
from scenekit.model.arguments import image_size, least_score, positive_integer, task_names
from scenekit.model.counters import Count, StepCounter, counters
from scenekit.model.ledger import Ledger, Row
from scenekit.model.prediction import evaluating
from scenekit.model.preprocess import resize
from scenekit.model.timing import StepTimer
from scenekit.structures.geometry import Size

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene

EXAMPLE = Path(__file__).with_name("example.jpg")
"""A rendered scene of the synthetic test split with people, balls, boxes and mugs."""

PREPROCESS = "(preprocess)"
"""The step before the first one; no stage has such a name."""

CORE, TOGETHER = "(core)", "(together)"
"""Passes of more than one task."""

REPEATS = 5
"""Timed passes of each kind."""


def cost(
    model: SceneModel,
    image: ImageSource | None = None,
    *,
    size: Size | None = None,
    tasks: str | Collection[str] | None = None,
    threshold: float = 0.5,
    repeats: int = REPEATS,
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
        InputError: The image cannot be read, another argument is invalid, or the model has no such task.
    """
    names, score, passes = task_names(tasks), least_score(threshold), positive_integer("repeats", repeats)
    model.plan.needed(names or ())
    return measured(model, pixels_of(image, size), names, score, passes)


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
    sides = None if size is None else image_size(size)
    pixels = read_image(EXAMPLE if image is None else image)
    return pixels if sides is None else resize(pixels, sides)


def measured(
    model: SceneModel, pixels: Pixels, tasks: Collection[str] | None, threshold: float, repeats: int
) -> Ledger:
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
    counted, timed = _passes(model, pixels, parts, threshold, repeats)
    example, whole = counted[TOGETHER], timed[TOGETHER]
    in_torch = not _elsewhere(model, model.plan.needed(parts[TOGETHER]))
    return Ledger(
        rows={name: _row(model, name, counted, timed) for name in (*core, *wanted)},
        preprocess=median(one.network.seconds[PREPROCESS] for one in whole),
        rest=max(0.0, median(one.rest for one in whole)),
        together=median(one.seconds for one in whole),
        together_memory=_highest(example.counts()) if in_torch else None,
        image=(pixels.shape[1], pixels.shape[2]),
        network=example.size,
        regions={stream.name: len(regions) for stream, regions in example.scene.streams.items()},
        device=str(model.device),
        dtype=type_name(model),
        threshold=threshold,
        repeats=repeats,
    )


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass of one image."""

    network: StepTimer
    """Timer or counter of preprocessing, stages and heads."""
    finish: StepTimer
    """That of what each head does in pixels of the image."""
    seconds: float
    """Duration of the whole."""
    size: Size
    """Height and width of what the network gets, padding included."""
    scene: Scene
    """The result."""

    @classmethod
    def of(
        cls, model: SceneModel, pixels: Pixels, parts: Sequence[str], threshold: float, timer: Callable[[], StepTimer]
    ) -> Pass:
        """Run a pass.

        Args:
            model: The model.
            pixels: The image.
            parts: Names of tasks and stages.
            threshold: Objects that score less are left out.
            timer: Creates what times or counts the steps; called twice.

        Returns:
            The pass.
        """
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
        """Return what steps did, in a pass with counters.

        Args:
            steps: Their names; all, if None.

        Returns:
            A count for each of them that ran.
        """
        timers = (timer for timer in (self.network, self.finish) if isinstance(timer, StepCounter))
        return [count for timer in timers for name, count in timer.counts.items() if steps is None or name in steps]


def _passes(
    model: SceneModel, pixels: Pixels, parts: Mapping[str, Sequence[str]], threshold: float, repeats: int
) -> tuple[dict[str, Pass], dict[str, list[Pass]]]:
    """Return a counted pass, and timed ones, of the parts under each name."""
    # In inference mode the counter of operations splits some of them, which then hold more memory.
    with evaluating(model), torch.inference_mode(False), torch.no_grad():
        counted = {name: _counted(model, pixels, run, threshold) for name, run in parts.items()}  # warms up, too
        timed: dict[str, list[Pass]] = {name: [] for name in parts}
        for _ in range(repeats):  # alternating, so that other load on the machine affects all of them
            for name, run in parts.items():
                timed[name].append(Pass.of(model, pixels, run, threshold, partial(StepTimer, model.device)))
    return counted, timed


def _counted(model: SceneModel, pixels: Pixels, parts: Sequence[str], threshold: float) -> Pass:
    with counters(model.device) as (operations, memory):
        counter = partial(StepCounter, model.device, operations=operations, memory=memory)
        return Pass.of(model, pixels, parts, threshold, counter)


def type_name(model: SceneModel) -> str:
    """Return the name of the type of a model's parameters.

    Args:
        model: The model.

    Returns:
        Such as "float32".
    """
    return str(model.dtype).removeprefix("torch.")


def parameters_of(model: SceneModel, name: str) -> int:
    """Count the parameters of a part of a model.

    Args:
        model: The model.
        name: A stage, or a task, whose parameters include those of the stages that it brings.

    Returns:
        Their number.
    """
    weights = [name, *(stage for stage, owner in model.task_stages.items() if owner == name)]
    return sum(p.numel() for part in weights for p in model.parts[part].parameters())


def _row(model: SceneModel, name: str, counted: Mapping[str, Pass], timed: Mapping[str, Sequence[Pass]]) -> Row:
    """Return the row of a task from the passes for it alone, or of a stage from those of the core."""
    task, needed, brought = name in model.specs, model.plan.needed([name]), model.task_stages
    # A stage that another task brings is work of that task only where that task runs, too.
    own = [step for step in needed if step == name or (step in brought and brought[step] not in set(needed) - {name})]
    requires = tuple(step for step in needed if step not in own and step not in brought)
    count, times = counted[name if task else CORE], timed[name if task else CORE]
    core = counted[CORE].counts() if task else []
    peak = _highest(count.counts(own)) if not _elsewhere(model, [*needed, *model.core_stages]) else None
    before = _highest(count.counts({PREPROCESS, *requires}) + core)
    return Row(
        name=name,
        task=task,
        requires=requires,
        parameters=parameters_of(model, name),
        flops=None if _elsewhere(model, own) else sum(c.flops for c in count.counts(own)),
        network=median(sum(one.network.seconds.get(step, 0.0) for step in own) for one in times),
        finish=median(one.finish.seconds.get(name, 0.0) for one in times),
        marginal_memory=None if peak is None or before is None else max(0, peak - before),
        alone_memory=None if _elsewhere(model, needed) else _highest(count.counts({PREPROCESS, *needed})),
    )


def _elsewhere(model: SceneModel, parts: Collection[str]) -> bool:
    """Return whether another runtime computes some of the parts: there torch counts neither operations nor memory.

    Its forward then stands in place of the one of the module's class, and has an attribute `elsewhere`.
    """
    forwards = (vars(module).get("forward") for name in parts for module in model.parts[name].modules())
    return any(getattr(forward, "elsewhere", False) for forward in forwards)


def _highest(counts: Sequence[Count]) -> int | None:
    peaks = [count.peak for count in counts if count.peak is not None]
    return max(peaks, default=None)
