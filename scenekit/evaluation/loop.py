"""Measures a model on a data set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from scenekit.errors import InputError, nearest, warn_once
from scenekit.evaluation.coverage import Coverage
from scenekit.evaluation.evaluator import Evaluator, ModalEvaluator, limited_to
from scenekit.hooks import naming_plugin, registry

if TYPE_CHECKING:
    from scenekit.data.datasets import SampleSet
    from scenekit.data.sample import Sample
    from scenekit.evaluation.model_passes import Pass, Passes
    from scenekit.keys import Key
    from scenekit.model.head import Head
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.structures.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

DETECTION = "detection"
"""The name among the tasks of the boxes of OBJECTS."""

EvaluatorFactory: TypeAlias = "Callable[[Vocabulary], Evaluator]"


def evaluators(
    model: SceneModel,
    tasks: Collection[str] | None = None,
    own: Mapping[str, Evaluator | EvaluatorFactory] | None = None,
) -> dict[str, Evaluator]:
    """Make the evaluators of a model's tasks, as their heads prepare them.

    Args:
        model: The model that is measured.
        tasks: Names of tasks, or "detection"; every measurable one, if None.
        own: By name, evaluators that are added, or that replace that of a task; see `evaluate`.

    Returns:
        One evaluator for each task, and those of `own`.

    Raises:
        InputError: A task is not in the model or cannot be measured, or something in `own` is no evaluator.
    """
    own = own or {}
    detector = registry().get("detector", model.config.detector)
    makers = {DETECTION: detector.evaluator, **{name: spec.evaluator for name, spec in model.specs.items()}}
    measurable = {name: make for name, make in makers.items() if make is not None and name not in own}
    for name in tasks or ():
        if name not in measurable and name not in own:
            raise InputError(f"no measurable task {name!r} in this model{nearest(name, [*measurable, *own])}")
    made = {
        name: _own_evaluator(model, name, make) for name, make in measurable.items() if tasks is None or name in tasks
    }
    made |= {name: _made(name, evaluator, model.vocabulary) for name, evaluator in own.items()}
    return {name: _head(model, name).prepare_evaluator(it) if name in model.specs else it for name, it in made.items()}


def _own_evaluator(model: SceneModel, task: str, make: EvaluatorFactory) -> Evaluator:
    """Return the evaluator of a task; an error names the plugin."""
    with naming_plugin(model.specs.get(task), f"in the evaluator of task {task!r}"):
        return make(model.vocabulary)


def evaluate(
    model: SceneModel,
    data: SampleSet | Iterable[Sample],
    tasks: Collection[str] | None = None,
    limit: int | None = None,
    on_sample: Callable[[int], None] | None = None,
    step: int | None = None,
    strict: bool = False,
    evaluators: Mapping[str, Evaluator | EvaluatorFactory] | None = None,
    max_detections: int | None = None,
    max_skipped: float | None = None,
    name: str | None = None,
    inputs: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """Measure a model on a data set, an image at a time.

    Every detection counts (no score threshold), up to the detector's limit per image and those of the protocols. A task
    whose evaluator has modes that give the model a part of the ground truth takes a pass for each. Samples that are
    clips measure the tasks of clips, the others those of images; a task without samples of its kind is left out. A task
    whose head has a baseline is followed by it, as "relations (frequency)". A warning names tasks that had nothing to
    measure, and the reason.

    Args:
        model: The model that is measured.
        data: A data set or samples.
        tasks: Names of tasks, or "detection"; every measurable one, if None.
        limit: Only the first images are measured.
        on_sample: Called after each image with the number of images that are done.
        step: How far the model's training is, for observers.
        strict: Samples that cannot be read, faulty annotations, and class names that the model does not know are an
            error; else they are left out with a warning.
        evaluators: By name, evaluators that are measured too: a class or another function (vocabulary) -> Evaluator,
            or an evaluator. Under the name of a task, or "detection", it replaces the task's own; under any other name
            it is an additional measure of the Scene that holds the predictions of all tasks asked for (of all tasks of
            the model, if `tasks` is None).
        max_detections: Replaces these limits: of the detector per image, of COCO's AP per image and class.
        max_skipped: The share of the samples of a data set that may turn out unusable when they are read; these are
            left out of predictions and ground truth alike, and a warning lists them with the reasons. None for half.
        name: Name of the data set, for observers and messages, where there are several.
        inputs: Modalities, such as "depth": images come with the ground truth that stands for them, where samples have
            no other. What samples come with already is used in any case.

    Returns:
        Metrics by task and usual name: fractions where the name or the page of the task says nothing else.

    Raises:
        InputError: A task cannot be measured; an evaluator is none; no ground truth stands for a modality; with
            `strict`, annotations are faulty; more samples are unusable than `max_skipped` allows.

    Example:
        ```python
        results = sk.evaluate(model, data, tasks=["masks"], evaluators={"calibration": Calibration})
        results["calibration"]
        ```
    """
    import torch

    from scenekit.data.inputs import InputCount, modalities_named, with_inputs
    from scenekit.data.relabel import check_names
    from scenekit.data.skipping import MAX_SKIPPED, SkippedSamples, usable
    from scenekit.model.prediction import evaluating

    specs = modalities_named(inputs)
    counted = InputCount(specs, model.inputs)
    own = evaluators or {}
    measures = list(_measures(model, tasks, own))
    of_clips = [measure for measure in measures if measure.task in model.clip_tasks]
    of_images = [measure for measure in measures if measure not in of_clips]
    asked = _asked(model, tasks, of_images)
    keys = {key for name in model.plan.needed(asked) for key in model.plan.steps[name].provides}
    skipped = SkippedSamples(
        0 if isinstance(data, Iterable) else len(data), MAX_SKIPPED if max_skipped is None else max_skipped
    )
    samples = data if isinstance(data, Iterable) else usable(data, skipped, name or "the data set", strict)
    with limited_to(max_detections, [*model.stages.values(), *(measure.evaluator for measure in measures)]):
        for done, sample in enumerate(islice(samples, limit), start=1):
            check_names(sample, model.vocabulary, keys, strict=strict)
            target = with_inputs(_ground_truth(sample, model.vocabulary, strict), specs)
            counted.add(target)
            with torch.no_grad(), evaluating(model):
                _measure(model, target, of_images, of_clips, asked)
            if on_sample is not None:
                on_sample(done)
        skipped.report()
        counted.report()
        if tasks is None and any(measure.coverage.images for measure in measures):
            measures = [measure for measure in measures if measure.coverage.images]
        results: dict[str, dict[str, Any]] = {}
        for measure in measures:
            with _naming(model, measure):
                results |= measure.results()
    for measure in measures:
        if remark := measure.coverage.remark(results[measure.task]):
            warn_once(_log, f"task {measure.task} {remark}")
    registry().notify("scenekit_evaluated", step=step, results=results, data=name)
    return results


def _measure(
    model: SceneModel,
    sample: Sample,
    of_images: Sequence[_Measure],
    of_clips: Sequence[_Measure],
    asked: Collection[str],
) -> None:
    """Predict one sample, and add it to what measures samples of its kind."""
    from scenekit.evaluation.model_passes import ClipPass, Passes

    if sample.frames and of_clips:
        whole = ClipPass(model, sample, [measure.task for measure in of_clips]).scene
        for measure in of_clips:
            with _naming(model, measure):
                measure.update_clip(sample, whole)
    elif not sample.frames and (of_images or not of_clips):
        scene = sample.scene
        passes = Passes(model, sample.image, asked, scene.camera, scene.path, sample.id, sample.inputs)
        for measure in of_images:
            with _naming(model, measure):
                measure.update(sample, passes)


def _naming(model: SceneModel, measure: _Measure) -> AbstractContextManager[None]:
    return naming_plugin(model.specs.get(measure.task), f"in the evaluator of {measure.task!r}")


@dataclass(frozen=True, eq=False)
class _Measure:
    """A task (or an additional measure) and its evaluator; also its baseline, where its head has one."""

    task: str
    evaluator: Evaluator
    baseline: Head[Any, Any] | None = None
    baseline_name: str = ""
    baseline_evaluator: Evaluator | None = None
    coverage: Coverage = field(default_factory=Coverage)

    def update(self, sample: Sample, passes: Passes) -> None:
        """Add one image, in every mode."""
        self.coverage.update(sample, passes.free.scene)
        self._add(sample, passes, passes.free, None)
        for mode, give in self.evaluator.given.items() if isinstance(self.evaluator, ModalEvaluator) else ():
            if (given := give(sample)) is not None:
                self._add(sample, passes, passes.given(self.task, given), mode)

    def update_clip(self, sample: Sample, whole: Scene) -> None:
        """Add one clip."""
        self.coverage.update(sample, whole)
        _update(self.evaluator, sample, whole, None)

    def _add(self, sample: Sample, passes: Passes, predicted: Pass, mode: str | None) -> None:
        _update(self.evaluator, sample, predicted.scene, mode)
        if self.baseline is not None and self.baseline_evaluator is not None:
            stand_in = passes.stand_in(predicted, self.task, self.baseline)
            _update(self.baseline_evaluator, sample, stand_in.scene, mode)

    def results(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the results of the task, then those of its baseline, by name."""
        yield self.task, self.evaluator.result()
        if self.baseline_evaluator is not None:
            yield f"{self.task} ({self.baseline_name})", self.baseline_evaluator.result()


def _measures(
    model: SceneModel, tasks: Collection[str] | None, own: Mapping[str, Evaluator | EvaluatorFactory]
) -> Iterator[_Measure]:
    for name, evaluator in evaluators(model, tasks, own).items():
        coverage = Coverage(_keys_of(model, name))
        baseline = _head(model, name).baseline() if name in model.specs else None
        if baseline is None:
            yield _Measure(name, evaluator, coverage=coverage)
        else:
            again = {name: deepcopy(own[name])} if name in own else {}
            second = evaluators(model, [name], again)[name]
            yield _Measure(name, evaluator, baseline, _head(model, name).baseline_name, second, coverage)


def _keys_of(model: SceneModel, task: str) -> tuple[Key[Any, Any], ...]:
    """Return what a task predicts; nothing for an additional measure."""
    from scenekit.keys import OBJECTS

    if task == DETECTION:
        return (OBJECTS,)
    return model.specs[task].provides if task in model.specs else ()


def _made(name: str, evaluator: Evaluator | EvaluatorFactory, vocabulary: Vocabulary) -> Evaluator:
    """Return the evaluator itself, or what its factory makes."""
    is_one = isinstance(evaluator, Evaluator) and not isinstance(evaluator, type)  # a class has these methods too
    made: object = evaluator if is_one or not callable(evaluator) else evaluator(vocabulary)
    if not isinstance(made, Evaluator):
        raise InputError(
            f"evaluators, {name!r}: expected an Evaluator (an object with update, merge and result), or a function of "
            f"the vocabulary that returns one, got {type(made).__name__}"
        )
    return made


def _update(evaluator: Evaluator, sample: Sample, prediction: Scene, mode: str | None) -> None:
    if isinstance(evaluator, ModalEvaluator):
        evaluator.update(sample, prediction, mode)
    else:
        evaluator.update(sample, prediction)


def _head(model: SceneModel, task: str) -> Head[Any, Any]:
    return cast("Head[Any, Any]", model.heads[task])


def _asked(model: SceneModel, tasks: Collection[str] | None, measures: Collection[_Measure]) -> list[str]:
    """Return what the model is asked for, so that what is measured is there."""
    from scenekit.keys import OBJECTS

    measured = {measure.task for measure in measures}
    additional = bool(measured - model.specs.keys() - {DETECTION})
    wanted = [name for name in model.tasks if name in measured or (additional and tasks is None)]
    with_objects = tasks is None or DETECTION in measured or additional
    object_stages = [name for name, step in model.plan.steps.items() if OBJECTS in step.provides]
    return [*wanted, *object_stages] if with_objects else wanted


def _ground_truth(sample: Sample, vocabulary: Vocabulary, strict: bool) -> Sample:
    """Return the sample checked and in the model's vocabulary; it covers the classes of its own, and no others."""
    from scenekit.data.checks import checked
    from scenekit.data.relabel import relabeled

    return relabeled(checked(sample, strict=strict), vocabulary)
