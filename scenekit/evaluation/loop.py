"""Measures a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from scenekit.errors import InputError, nearest
from scenekit.evaluation.evaluator import Evaluator, ModalEvaluator
from scenekit.hooks import registry

if TYPE_CHECKING:
    from scenekit.data.datasets import SampleSet
    from scenekit.data.sample import Sample
    from scenekit.evaluation.model_passes import Pass, Passes
    from scenekit.model.head import Head
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.structures.vocabulary import Vocabulary

DETECTION = "detection"
"""What the boxes of OBJECTS are called among the tasks."""


def evaluators(model: SceneModel, tasks: Collection[str] | None = None) -> dict[str, Evaluator]:
    """One evaluator for each task that is asked for (every measurable one, if None), as its head wants it."""
    detector = registry().get("detector", model.config.detector)
    makers = {DETECTION: detector.evaluator, **{name: spec.evaluator for name, spec in model.specs.items()}}
    measurable = {name: make for name, make in makers.items() if make is not None}
    for name in tasks or ():
        if name not in measurable:
            raise InputError(f"no measurable task {name!r} in this model{nearest(name, list(measurable))}")
    made = {name: make(model.vocabulary) for name, make in measurable.items() if tasks is None or name in tasks}
    return {name: _head(model, name).prepare_evaluator(it) if name in model.specs else it for name, it in made.items()}


def evaluate(
    model: SceneModel,
    data: SampleSet | Iterable[Sample],
    tasks: Collection[str] | None = None,
    limit: int | None = None,
    on_sample: Callable[[int], None] | None = None,
    step: int | None = None,
    strict: bool = False,
) -> dict[str, dict[str, Any]]:
    """The metrics of each task, by task and usual name: fractions where the name or the task's page says nothing else.

    Every detection counts (no score threshold), up to the detector's limit per image. A task whose evaluator has
    modes that give a part of the truth takes a pass for each; one whose head has a baseline is followed by it, as
    "relations (frequency)". `limit` takes the first images only; `on_sample` is told how many are done. An image at
    a time is held. `step` says to observers how far the model's training is. Faulty annotations, and words that
    the model does not know, are left out with a warning; `strict` raises InputError for them instead.
    """
    import torch

    from scenekit.data.relabel import check_words
    from scenekit.evaluation.model_passes import Passes
    from scenekit.model.scene_model import evaluating

    measures = list(_measures(model, tasks))
    asked = _asked(model, tasks, [measure.task for measure in measures])
    keys = {key for name in model.plan.needed(asked) for key in model.plan.steps[name].provides}
    samples = data if isinstance(data, Iterable) else (data[index] for index in range(len(data)))
    for done, sample in enumerate(islice(samples, limit), start=1):
        check_words(sample, model.vocabulary, keys, strict=strict)
        truth = _truth(sample, model.vocabulary, strict)
        with torch.no_grad(), evaluating(model):
            passes = Passes(model, sample.image, asked, truth.scene.camera)
            for measure in measures:
                measure.update(truth, passes)
        if on_sample is not None:
            on_sample(done)
    results = {name: result for measure in measures for name, result in measure.results()}
    registry().notify("scenekit_evaluated", step=step, results=results)
    return results


@dataclass(frozen=True, eq=False)
class _Measure:
    """A task and what measures it; also, where its head has one, the baseline that stands in for it."""

    task: str
    evaluator: Evaluator
    baseline: Head[Any, Any] | None = None
    baseline_name: str = ""
    baseline_evaluator: Evaluator | None = None

    def update(self, truth: Sample, passes: Passes) -> None:
        """Take in one image, in every mode."""
        self._take(truth, passes, passes.free, None)
        for mode, give in self.evaluator.given.items() if isinstance(self.evaluator, ModalEvaluator) else ():
            if (given := give(truth)) is not None:
                self._take(truth, passes, passes.given(self.task, given), mode)

    def _take(self, truth: Sample, passes: Passes, found: Pass, mode: str | None) -> None:
        _update(self.evaluator, truth, found.scene, mode)
        if self.baseline is not None and self.baseline_evaluator is not None:
            _update(self.baseline_evaluator, truth, passes.stand_in(found, self.task, self.baseline).scene, mode)

    def results(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """By name: of the task, then of its baseline."""
        yield self.task, self.evaluator.result()
        if self.baseline_evaluator is not None:
            yield f"{self.task} ({self.baseline_name})", self.baseline_evaluator.result()


def _measures(model: SceneModel, tasks: Collection[str] | None) -> Iterator[_Measure]:
    for name, evaluator in evaluators(model, tasks).items():
        baseline = _head(model, name).baseline() if name in model.specs else None
        if baseline is None:
            yield _Measure(name, evaluator)
        else:
            second = evaluators(model, [name])[name]
            yield _Measure(name, evaluator, baseline, _head(model, name).baseline_name, second)


def _update(evaluator: Evaluator, truth: Sample, prediction: Scene, mode: str | None) -> None:
    if isinstance(evaluator, ModalEvaluator):
        evaluator.update(truth, prediction, mode)
    else:
        evaluator.update(truth, prediction)


def _head(model: SceneModel, task: str) -> Head[Any, Any]:
    return cast("Head[Any, Any]", model.heads[task])


def _asked(model: SceneModel, tasks: Collection[str] | None, measured: Collection[str]) -> list[str]:
    """What the model is asked for, so that what is measured is there."""
    wanted = [name for name in measured if name != DETECTION]
    return wanted if tasks is not None and DETECTION not in measured else [*wanted, *_object_stages(model)]


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
