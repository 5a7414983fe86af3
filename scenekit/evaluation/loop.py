"""Measures a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError, nearest
from scenekit.evaluation.evaluator import Evaluator
from scenekit.hooks import registry

if TYPE_CHECKING:
    from scenekit.data.datasets import SampleSet
    from scenekit.data.sample import Sample
    from scenekit.model import SceneModel
    from scenekit.structures.vocabulary import Vocabulary

DETECTION = "detection"
"""What the boxes of OBJECTS are called among the tasks."""


def evaluators(model: SceneModel, tasks: Collection[str] | None = None) -> dict[str, Evaluator]:
    """One evaluator for each task that is asked for (every measurable one, if None)."""
    detector = registry().get("detector", model.config.detector)
    makers = {DETECTION: detector.evaluator, **{name: spec.evaluator for name, spec in model.specs.items()}}
    measurable = {name: make for name, make in makers.items() if make is not None}
    for name in tasks or ():
        if name not in measurable:
            raise InputError(f"no measurable task {name!r} in this model{nearest(name, list(measurable))}")
    return {name: make(model.vocabulary) for name, make in measurable.items() if tasks is None or name in tasks}


def evaluate(
    model: SceneModel,
    data: SampleSet | Iterable[Sample],
    tasks: Collection[str] | None = None,
    limit: int | None = None,
    on_sample: Callable[[int], None] | None = None,
    step: int | None = None,
    strict: bool = False,
) -> dict[str, dict[str, Any]]:
    """The metrics of each task, by task and usual name, as fractions.

    Every detection counts (no score threshold), up to the detector's limit per picture. `limit` takes the first
    pictures only; `on_sample` is told how many are done. A picture at a time is held.
    `step` says to observers how far the model's training is. Faulty annotations are left out with a warning; `strict`
    raises InputError for them instead, naming the picture.
    """
    measures = evaluators(model, tasks)
    wanted = [name for name in measures if name != DETECTION]
    asked = wanted if tasks is not None and DETECTION not in measures else [*wanted, *_object_stages(model)]
    samples = data if isinstance(data, Iterable) else (data[index] for index in range(len(data)))
    for done, sample in enumerate(islice(samples, limit), start=1):
        prediction = model.predict(sample.image, tasks=asked, threshold=0.0)
        truth = _truth(sample, model.vocabulary, strict)
        for measure in measures.values():
            measure.update(truth, prediction)
        if on_sample is not None:
            on_sample(done)
    results = {name: measure.result() for name, measure in measures.items()}
    registry().notify("scenekit_evaluated", step=step, results=results)
    return results


def _object_stages(model: SceneModel) -> list[str]:
    """Stages of the core that must run so that there are OBJECTS."""
    from scenekit.keys import OBJECTS

    return [name for name, step in model.plan.steps.items() if OBJECTS in step.provides]


def _truth(sample: Sample, vocabulary: Vocabulary, strict: bool) -> Sample:
    """Free of faults and in the model's words; it covers the classes that it covered in its own, and no others."""
    from scenekit.data.checks import checked
    from scenekit.data.relabel import relabeled

    sample = checked(sample, strict=strict)
    covered = sample.supervision.classes
    covered = frozenset(sample.scene.vocabulary.things) if covered is None else covered
    return relabeled(replace(sample, supervision=replace(sample.supervision, classes=covered)), vocabulary)
