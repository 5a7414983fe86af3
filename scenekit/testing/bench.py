"""The task under check in a small model, and ways to run it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor

from scenekit.assembly import build_head, validated
from scenekit.data.collate import collate
from scenekit.data.sample import Sample
from scenekit.heads import Head
from scenekit.hooks import Config, TaskSpec, registry
from scenekit.keys import Key, Stream
from scenekit.model import Outputs, SceneModel
from scenekit.structures.board import Pooler
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.targets import Targets
from scenekit.structures.vocabulary import Vocabulary
from scenekit.testing.parts import MODEL, WITNESS_TASK, core_of, stages_of
from scenekit.testing.pictures import found, made_up, streams_of

LARGEST = 8
"""Whole numbers among the options of a task are made as small as this, where it takes that."""

Tasks = Mapping[str, tuple[TaskSpec, Head[Any, Any]]]


@dataclass(frozen=True, eq=False)
class Bench:
    """The task under check (`spec`, built with `options`) in a `model`, beside the `others` that it needs."""

    spec: TaskSpec
    options: Config
    model: SceneModel
    others: Tasks

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
        return cast("Head[Any, Any]", self.model.heads[self.name])

    @property
    def itself(self) -> Tasks:
        """The checked task alone."""
        return {self.name: (self.spec, self.head)}

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
        """The same core below other heads."""
        stages: list[Any] = list(self.model.stages.values())
        return SceneModel(MODEL, core_of(self.vocabulary), stages, tasks, pooler or self.model.pooler).eval()

    def rebuilt(self) -> Head[Any, Any]:
        """The head once more, with fresh weights."""
        return build_head(self.spec, core_of(self.vocabulary), self.options).eval()

    def sample(self, number: int, labels: Sequence[int] | None = None, labelled: bool = True) -> Sample:
        """Picture `number`; its objects are of a label that the task applies to, and of others, unless told."""
        if labels is None:
            labels = (self.served + self.unserved)[:1] + self.unserved[:1] + (self.served + self.unserved)[:1]
        return made_up(number, labels, self.model.learns_from, self.vocabulary, labelled)

    def samples(self, count: int = 3, labels: Sequence[int] | None = None, labelled: bool = True) -> list[Sample]:
        """The first `count` pictures, of different sizes."""
        return [self.sample(number, labels, labelled) for number in range(count)]

    def batch(self, samples: Sequence[Sample]) -> tuple[ImageBatch, Targets]:
        """Samples as the model learns from them."""
        seeds = [sample.id for sample in samples]
        keys, config = self.model.learns_from, self.model.config.input
        return collate(samples, vocabulary=self.vocabulary, keys=keys, config=config, seeds=seeds)

    def regions(self, targets: Targets, learning: bool) -> dict[Stream, Regions]:
        """What a good detector would find, of every stream that the task does not provide itself."""
        return {
            stream: found(stream, truth, self.vocabulary, learning)
            for stream, truth in targets.streams.items()
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
        """One pass of the model (or of another one), with targets if `learning`.

        Regions are `given` as a good detector would find them; else the detector, fresh as it is, looks for itself.
        """
        batch, targets = self.batch(samples)
        regions = self.regions(targets, learning) if given else None
        with torch.set_grad_enabled(learning):
            outputs: Outputs = (model or self.model)(batch, targets if learning else None, regions, tasks)
        return outputs

    def learn(self, samples: Sequence[Sample], **options: Any) -> dict[str, Tensor]:
        """The task's own losses of a pass with targets; `options` as for `run`."""
        losses = self.run(samples, learning=True, **options).losses
        return {name: loss for name, loss in losses.items() if name.split(".")[0] == self.name}

    def predict(self, samples: Sequence[Sample], **options: Any) -> dict[str, Any]:
        """What the task puts on the board without targets, by the names of its keys; `options` as for `run`."""
        board = self.run(samples, learning=False, **options).board
        return {key.name: board[key] for key in self.spec.provides}


def set_up(spec: TaskSpec, options: Mapping[str, Any], vocabulary: Vocabulary) -> Bench:
    """The task on a bench, small if it runs so, else with its own options.

    Raises what building the head raises, and InputError where nothing installed provides what it requires.
    """
    for config in configurations(spec, options):
        try:
            bench = assembled(spec, config, vocabulary)
            bench.learn(bench.samples())
            bench.predict(bench.samples())
        except Exception:  # perhaps an option that must not be small; the head shall fail with its own ones, if at all
            continue
        return bench
    return assembled(spec, own_options(spec, options), vocabulary)


def assembled(spec: TaskSpec, config: Config, vocabulary: Vocabulary) -> Bench:
    """The task in a model with a witness and whatever installed tasks it needs."""
    core = core_of(vocabulary)
    stages, pooler = stages_of(core)
    there = [key for stage in stages for key in stage.provides]
    specs = [(other, next(configurations(other, {}))) for other in suppliers(spec, there)]
    others = {one.name: (one, build_head(one, core, options)) for one, options in [*specs, (WITNESS_TASK, Config())]}
    # First, so that it runs before those that it does not need: what it does to them then shows.
    tasks = {spec.name: (spec, build_head(spec, core, config)), **others}
    return Bench(spec, config, SceneModel(MODEL, core, stages, tasks, pooler).eval(), others)


def suppliers(spec: TaskSpec, there: Collection[Key[Any, Any]]) -> list[TaskSpec]:
    """Installed tasks that provide what `spec` requires or uses and is not `there`, and what these need in turn."""
    installed = [task for task in registry().tasks.values() if task.name != spec.name]
    found: list[TaskSpec] = []
    wanted = [*spec.needs, *streams_of(spec.learns_from), *spec.uses]
    while wanted:
        key = wanted.pop()
        if key in there or any(key in task.provides for task in (spec, *found)):
            continue
        if supplier := next((task for task in installed if key in task.provides), None):
            found.append(supplier)
            wanted.extend((*supplier.needs, *streams_of(supplier.learns_from)))
    return found


def configurations(spec: TaskSpec, options: Mapping[str, Any]) -> Iterator[Config]:
    """The task's options with small numbers, where they are valid; then as they are."""
    whole = own_options(spec, options)
    with suppress(ValidationError):
        yield spec.config.model_validate({**_shrunk(whole.model_dump()), **options})
    yield whole


def own_options(spec: TaskSpec, options: Mapping[str, Any]) -> Config:
    """`options` and the defaults of the others; raises InputError for wrong ones."""
    return validated(spec.config, options, f"task {spec.name!r}")


def _shrunk(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shrunk(entry) for name, entry in value.items()}
    return min(value, LARGEST) if isinstance(value, int) and not isinstance(value, bool) else value
