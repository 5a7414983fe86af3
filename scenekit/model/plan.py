"""The stages and tasks that run, and their order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.hooks import TaskSpec
from scenekit.keys import FEATURES, IMAGES, Key, Stream

Keys = tuple[Key[Any, Any], ...]


@dataclass(frozen=True)
class Step:
    """One node of the plan.

    Attributes:
        name: The stage or task.
        requires: Keys that it reads.
        provides: Keys that it writes.
        uses: Keys that it reads where the model provides them.
        inputs: By modality, keys that it reads like those of `uses`, but only where images come with the modality.
    """

    name: str
    requires: Keys
    provides: Keys
    uses: Keys = ()
    inputs: Mapping[str, Keys] = field(default_factory=dict)

    def uses_with(self, inputs: Collection[str]) -> Keys:
        """Return the keys that it uses where images come with some modalities."""
        return (*self.uses, *(key for name, keys in self.inputs.items() if name in inputs for key in keys))


class Plan:
    """The order of all steps of a model, and which of them a request needs.

    Args:
        steps: Stages and tasks.
        given: Keys that need no provider.

    Raises:
        InputError: Two steps have one name, two provide one key, no step provides a required key, or steps require each
            other in a circle.
    """

    def __init__(self, steps: Iterable[Step], given: Collection[Key[Any, Any]] = ()) -> None:
        self.steps: dict[str, Step] = {}
        for step in steps:
            if step.name in self.steps:
                raise InputError(f"two parts of this model are named {step.name!r}; leave one out")
            self.steps[step.name] = step
        self._provider = self._find_providers()
        self._check_requirements(given)
        self._check_scopes()
        self.order = self._sorted()

    def needed(
        self,
        wanted: Collection[str] | None = None,
        present: Collection[Key[Any, Any]] = (),
        inputs: Collection[str] = (),
    ) -> list[str]:
        """Return the steps to run so that the wanted ones have what they read.

        What a model has of a task's `uses` is always provided, so that asking for fewer tasks never changes the others.

        Args:
            wanted: Names of steps; all, if None.
            present: Keys that are on the board already.
            inputs: Modalities that the images come with.

        Returns:
            Names, in order.

        Raises:
            InputError: The model has no step of a wanted name.
        """
        unknown = [name for name in wanted or () if name not in self.steps]
        if unknown:
            raise InputError(f"this model has no task {unknown[0]!r}{nearest(unknown[0], list(self.steps))}")
        queue = list(self.steps if wanted is None else wanted)
        chosen: set[str] = set()
        while queue:
            name = queue.pop()
            provides = set(self.steps[name].provides)
            if name not in chosen and not (provides and provides <= set(present)):
                chosen.add(name)
                queue.extend(self._feeders(name, present, inputs))
        return [name for name in self.order if name in chosen]

    def reads(self, name: str, inputs: Collection[str] = ()) -> Keys:
        """Return the keys that a step reads: those it requires, and those it uses and this model provides.

        Args:
            name: The step.
            inputs: Modalities that the images come with.

        Returns:
            The keys.
        """
        step = self.steps[name]
        return (*step.requires, *(key for key in step.uses_with(inputs) if key in self._provider))

    def readers(self, name: str) -> list[str]:
        """Return the steps that read what one provides.

        Args:
            name: The step.

        Returns:
            Names of the others.
        """
        provides = set(self.steps[name].provides)
        return [other for other in self.steps if other != name and provides & set(self.reads(other))]

    def _feeders(self, name: str, present: Collection[Key[Any, Any]], inputs: Collection[str]) -> list[str]:
        return [self._provider[key] for key in self.reads(name, inputs) if key in self._provider and key not in present]

    def _find_providers(self) -> dict[Key[Any, Any], str]:
        providers: dict[Key[Any, Any], str] = {}
        for step in self.steps.values():
            for key in step.provides:
                if key in providers:
                    raise InputError(f"{providers[key]!r} and {step.name!r} both provide {key.name!r}; leave one out")
                providers[key] = step.name
        return providers

    def _check_requirements(self, given: Collection[Key[Any, Any]]) -> None:
        for step in self.steps.values():
            for key in step.requires:
                if key not in self._provider and key not in given:
                    provided = ", ".join(sorted(key.name for key in self._provider)) or "nothing"
                    raise InputError(
                        f"{step.name!r} requires {key.name!r}, which nothing in this model provides; add the task that "
                        f"does (provided: {provided})"
                    )

    def _check_scopes(self) -> None:
        """Check that only steps of clips read what belongs to a clip: the others run before, on its frames."""
        for name, step in self.steps.items():
            read = [key.name for key in self.reads(name) if key.of_clip]
            if read and not all(key.of_clip for key in step.provides):
                raise InputError(f"{name!r} runs on images and cannot read {read[0]!r}, which belongs to a clip")

    def _sorted(self) -> list[str]:
        graph = {name: self._feeders(name, (), step.inputs) for name, step in self.steps.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise InputError(f"tasks require each other in a circle: {' -> '.join(error.args[1])}") from error


def step_of(spec: TaskSpec) -> Step:
    """Return the step of a task."""
    return Step(spec.name, required_keys(spec), spec.provides, spec.uses, spec.inputs)


def required_keys(spec: TaskSpec) -> Keys:
    """Return what a task requires.

    Args:
        spec: The record of the task.

    Returns:
        The images, its own keys, the streams of its ground truth, and FEATURES: with a stream, as RoI features are
        pooled from them, and where it names no key at all.
    """
    learned = tuple(stream for stream in streams_of(spec.learns_from) if stream not in spec.provides)
    pools = bool(streams_of((*spec.needs, *spec.provides, *learned)))
    features = (FEATURES,) if pools or not spec.requires else ()
    return tuple(dict.fromkeys((IMAGES, *features, *spec.needs, *learned)))


def streams_of(keys: Iterable[Key[Any, Any]]) -> tuple[Stream, ...]:
    """Return the streams among keys, and those that the other keys follow.

    Args:
        keys: Any keys.

    Returns:
        Each stream once.
    """
    streams = (key if isinstance(key, Stream) else key.of for key in keys)
    return tuple(dict.fromkeys(stream for stream in streams if stream is not None))
