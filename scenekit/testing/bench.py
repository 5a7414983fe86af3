"""The task under check in a small model, and ways to run it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from scenekit.config import Config, validated
from scenekit.data.collate import collate
from scenekit.data.sample import Sample
from scenekit.hooks import TaskSpec, registry
from scenekit.keys import Key, Stream
from scenekit.model.board import Pooler
from scenekit.model.build import build_head, build_stages, configured
from scenekit.model.head import Core, Head, Provider
from scenekit.model.plan import streams_of
from scenekit.model.scene_model import Outputs, SceneModel
from scenekit.model.targets import Targets
from scenekit.scene import Scene
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import BUILT_IN_LISTS, Vocabulary
from scenekit.testing.images import SIZES, detected, made_up
from scenekit.testing.toy_core import MODEL, WITNESS_TASK, core_of, stages_of

LARGEST = 8
"""Whole numbers among the options of a task are made as small as this, where it takes that."""


@dataclass(frozen=True, eq=False)
class Built:
    """A task as its options make it: its record, its head, and the stages that it brings."""

    spec: TaskSpec
    head: Head[Any, Any]
    stages: tuple[Provider, ...]


Tasks = Mapping[str, Built]


@dataclass(frozen=True, eq=False)
class Bench:
    """The task under check in a `model`, beside the `others` that it needs, on the stages of the `core`.

    It is built with `options`, which are those `given`, prepared where the task prepares.
    """

    given: Config
    options: Config
    model: SceneModel
    core: Sequence[Provider]
    task: Built
    others: Tasks

    @property
    def spec(self) -> TaskSpec:
        """The record of the task."""
        return self.task.spec

    @property
    def name(self) -> str:
        """The task's name."""
        return self.spec.name

    @property
    def vocabulary(self) -> Vocabulary:
        """What labels mean here."""
        return self.model.vocabulary

    @property
    def head(self) -> Head[Any, Any]:
        """The network under check."""
        return self.task.head

    @property
    def stages(self) -> tuple[Provider, ...]:
        """The stages that the task brings."""
        return self.task.stages

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Head and stages, by where they stand in the state dict of a model."""
        return {f"heads.{self.name}": self.head} | {f"stages.{stage.name}": stage for stage in self.stages}

    @property
    def itself(self) -> Tasks:
        """The checked task alone."""
        return {self.name: self.task}

    @property
    def ways(self) -> tuple[bool, ...]:
        """Whether regions are external: stages that the task brings run only where they are not."""
        return (True, False) if self.stages else (True,)

    @property
    def served(self) -> list[int]:
        """Labels that the task applies to."""
        everything = range(len(self.vocabulary.things))
        return list(everything if self.spec.applies_to is None else self.spec.applies_to(self.vocabulary))

    @property
    def unserved(self) -> list[int]:
        """Labels that it does not apply to."""
        return [label for label in range(len(self.vocabulary.things)) if label not in self.served]

    def model_of(self, tasks: Tasks, pooler: Pooler | None = None) -> SceneModel:
        """Build the same core below other heads, with the stages that these bring."""
        return model_of(self.core, tasks, self.vocabulary, pooler or self.model.pooler)

    def rebuilt(self) -> Built:
        """Build the task once more, with fresh weights."""
        return built(self.spec, core_of(self.vocabulary), self.options)

    def sample(self, number: int, labels: Sequence[int] | None = None, labelled: bool = True) -> Sample:
        """Make image `number` up; its objects are of a label that the task applies to, and by default of others."""
        if labels is None:
            labels = (self.served + self.unserved)[:1] + self.unserved[:1] + (self.served + self.unserved)[:1]
        return made_up(number, labels, self.model.learns_from, self.vocabulary, labelled)

    def samples(self, count: int = 3, labels: Sequence[int] | None = None, labelled: bool = True) -> list[Sample]:
        """Make the first `count` images up, of different sizes."""
        return [self.sample(number, labels, labelled) for number in range(count)]

    def alike(self, count: int) -> list[Sample]:
        """Make up `count` images of one size, which a single pass runs together."""
        return [self.sample(number * len(SIZES)) for number in range(count)]

    def batch(self, samples: Sequence[Sample]) -> tuple[ImageBatch, Targets]:
        """Pack samples as for training."""
        seeds = [sample.id for sample in samples]
        keys, config = self.model.learns_from, self.model.config.input
        if self.spec.of_clips:  # each image is a clip of one frame
            samples = [replace(sample, frames=(without_clip_keys(sample),), times=(0.0,)) for sample in samples]
        return collate(samples, vocabulary=self.vocabulary, keys=keys, config=config, seeds=seeds)

    def regions(self, targets: Targets, learning: bool) -> dict[Stream, Regions]:
        """Return the detections of a good detector, for every stream that the task does not provide itself."""
        return {
            stream: detected(stream, target, self.vocabulary, learning)
            for stream, target in targets.streams.items()
            if stream not in self.spec.provides
        }

    def run(
        self,
        samples: Sequence[Sample],
        *,
        learning: bool,
        given: bool = True,
        tasks: Collection[str] | None = None,
        model: SceneModel | None = None,
    ) -> Outputs:
        """Run one pass of the model (or of another one), with targets if `learning`.

        Regions are external if `given`, those of a good detector; else the detector, with fresh weights, provides them.
        Buffers of heads are restored afterwards.
        """
        batch, targets = self.batch(samples)
        regions = self.regions(targets, learning) if given else None
        model = model or self.model
        with torch.set_grad_enabled(learning), same_state(model):
            outputs: Outputs = model(batch, targets if learning else None, regions, tasks)
        return outputs

    def scenes(self, outputs: Outputs) -> list[Scene]:
        """Return the scene of each image, or of each clip for a task of clips."""
        return self.model.clip_scenes(outputs) if self.spec.of_clips else self.model.scenes(outputs)

    def learn(self, samples: Sequence[Sample], **options: Any) -> dict[str, Tensor]:
        """Return the losses of the task and of the stages that it brings; `options` as for `run`."""
        own = {self.name, *(stage.name for stage in self.stages)}
        losses = self.run(samples, learning=True, **options).losses
        return {name: loss for name, loss in losses.items() if name.split(".")[0] in own}

    def predict(self, samples: Sequence[Sample], **options: Any) -> dict[str, Any]:
        """Return what the task puts on the board without targets, by the names of its keys; `options` as for `run`."""
        board = self.run(samples, learning=False, **options).board
        return {key.name: board[key] for key in self.spec.provides}


def without_clip_keys(sample: Sample) -> Sample:
    """Return a frame without the ground truth of the whole clip."""
    values = {key: value for key, value in sample.scene.values.items() if not key.of_clip}
    return replace(sample, scene=replace(sample.scene, values=values))


def set_up(spec: TaskSpec, options: Mapping[str, Any], vocabulary: Vocabulary) -> Bench:
    """Set a task up on a bench, small if it runs so, else with its own options.

    Raises what building the head raises, and InputError where no installed task provides what it requires.
    """
    vocabulary = with_own_lists(vocabulary, spec)
    for config in configurations(spec, options):
        try:
            bench = assembled(spec, config, vocabulary)
            bench.learn(bench.samples())
            bench.predict(bench.samples())
        except Exception:  # perhaps an option that must not be small; the head shall fail with its own ones, if at all
            continue
        return bench
    return assembled(spec, own_options(spec, options), vocabulary)


def with_own_lists(vocabulary: Vocabulary, spec: TaskSpec) -> Vocabulary:
    """Return the vocabulary with example names for the lists that it lacks, of the task and of those installed."""
    tasks = (spec, *registry().tasks.values())
    keys = dict.fromkeys(key for task in tasks for key in (*task.provides, *task.learns_from))
    examples = {
        kind: tuple(dict.fromkeys(key.field.example_names))
        for key in keys
        for kind in key.field.lists
        if kind not in BUILT_IN_LISTS
    }
    return replace(vocabulary, lists={**examples, **vocabulary.lists})


def assembled(spec: TaskSpec, config: Config, vocabulary: Vocabulary) -> Bench:
    """Build the task in a model with a witness and the installed tasks that it needs."""
    core = core_of(vocabulary)
    stages, pooler = stages_of(core)
    options = prepared(spec, config, vocabulary)
    task = built(configured(spec, options), core, options)
    present = [key for stage in (*stages, *task.stages) for key in stage.provides]
    others = {other.spec.name: other for other in suppliers(task.spec, present, core)}
    others[WITNESS_TASK.name] = built(WITNESS_TASK, core, Config())
    # First, so that it runs before those that it does not need: what it does to them then shows.
    model = model_of(stages, {spec.name: task, **others}, vocabulary, pooler)
    return Bench(config, options, model, stages, task, others)


def built(spec: TaskSpec, core: Core, options: Config) -> Built:
    """Build a task with fresh weights, its record as `options` make it."""
    return Built(spec, build_head(spec, core, options).eval(), tuple(build_stages(spec, core, options)))


def model_of(stages: Sequence[Provider], tasks: Tasks, vocabulary: Vocabulary, pooler: Pooler) -> SceneModel:
    """Build a model of tasks, and the stages that they bring, on top of `stages`."""
    every = [*stages, *(stage for task in tasks.values() for stage in task.stages)]
    heads = {name: (task.spec, task.head) for name, task in tasks.items()}
    return SceneModel(MODEL, core_of(vocabulary), every, heads, pooler).eval()


def prepared(spec: TaskSpec, config: Config, vocabulary: Vocabulary) -> Config:
    """Return the options, completed from made-up scenes."""
    if spec.prepare is None:
        return config
    made: Config = spec.prepare(config, scenes_for(spec, config, vocabulary))
    return made


def scenes_for(spec: TaskSpec, config: Config, vocabulary: Vocabulary) -> list[Scene]:
    """Return ground truth that a task learns from."""
    keys, labels = configured(spec, config).learns_from, range(len(vocabulary.things))
    return [made_up(number, labels, keys, vocabulary, labelled=True).scene for number in range(3)]


@contextmanager
def same_state(model: SceneModel) -> Iterator[None]:
    """Restore all buffers afterwards, so that one pass does not affect the next one."""
    kept = [(module, name, value) for module in model.modules() for name, value in module._buffers.items()]
    for module, name, value in kept:
        module._buffers[name] = None if value is None else value.clone()
    try:
        yield
    finally:
        for module, name, value in kept:
            module._buffers[name] = value


def suppliers(spec: TaskSpec, present: Collection[Key[Any, Any]], core: Core) -> list[Built]:
    """Return installed tasks that provide what `spec` requires or uses and is not `present`, and what these need."""
    provided = {*present, *spec.provides}
    tasks: list[Built] = []
    wanted = [*spec.needs, *streams_of(spec.learns_from), *spec.uses]
    while wanted:
        key = wanted.pop()
        if key not in provided and (supplier := _supplier(key, spec, core)) is not None:
            tasks.append(supplier)
            provided.update(supplier.spec.provides, *(stage.provides for stage in supplier.stages))
            wanted.extend((*supplier.spec.needs, *streams_of(supplier.spec.learns_from)))
    return tasks


def _supplier(key: Key[Any, Any], spec: TaskSpec, core: Core) -> Built | None:
    """Return an installed task, other than `spec`, whose head provides `key`, else one with a stage that does."""
    installed = [task for task in registry().tasks.values() if task.name != spec.name]
    direct = [task for task in installed if key in task.provides]
    for task in direct or [task for task in installed if task.stages is not None]:
        options = prepared(task, next(configurations(task, {})), core.vocabulary)
        made = built(configured(task, options), core, options)
        if key in made.spec.provides or any(key in stage.provides for stage in made.stages):
            return made
    return None


def configurations(spec: TaskSpec, options: Mapping[str, Any]) -> Iterator[Config]:
    """Yield the task's options with small numbers, where they are valid; then as they are."""
    whole = own_options(spec, options)
    with suppress(ValidationError):
        yield spec.config.model_validate({**_shrunk(whole.model_dump()), **options})
    yield whole


def own_options(spec: TaskSpec, options: Mapping[str, Any]) -> Config:
    """Return `options` completed by defaults; raises InputError for invalid ones."""
    return validated(spec.config, options, f"task {spec.name!r}")


def _shrunk(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shrunk(entry) for name, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_shrunk, value))
    return min(value, LARGEST) if isinstance(value, int) and not isinstance(value, bool) else value
