"""Ground truth that is derived from other ground truth, by the labelers that a recipe names.

Letters: N regions of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from scenekit.data.datasets import SampleSet
from scenekit.data.sample import Sample
from scenekit.data.scenes import scene_of
from scenekit.errors import InputError, PluginError
from scenekit.hooks import LabelerSpec, naming_plugin, registry
from scenekit.hooks.options import check_options
from scenekit.keys import Key, Stream
from scenekit.recipe import LabelerConfig
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class Labeler:
    """A labeler with its options."""

    spec: LabelerSpec
    """The record of the labeler."""
    label: Callable[[Scene], Mapping[Key[Any, Any], Any]]
    """Returns the values of `spec.provides` for a scene."""

    def __call__(self, scene: Scene) -> Scene:
        """Return the scene with what the labeler adds; only names where a needed key is missing or nothing is new.

        A row of the added value is valid where all needed values of its stream are.
        """
        scene = replace(scene, vocabulary=self.named(scene.vocabulary)) if self.spec.lists else scene
        wanted = [key for key in self.spec.provides if key not in scene]
        if not wanted or not all(_has(scene, key) for key in self.spec.needs):
            return scene
        values = self._values(scene)
        valid = {key: rows for key in wanted if (rows := self._valid_rows(scene, key)) is not None}
        with naming_plugin(self.spec):
            added = {key: values[key] for key in wanted}
            return replace(scene, values={**scene.values, **added}, valid={**scene.valid, **valid})

    def named(self, vocabulary: Vocabulary) -> Vocabulary:
        """Return the vocabulary with the lists of names that the labeler brings.

        Args:
            vocabulary: That of a data set.

        Returns:
            The vocabulary with further lists.

        Raises:
            InputError: If it has such a list with other names.
        """
        lists = self.spec.lists(vocabulary) if callable(self.spec.lists) else self.spec.lists
        for kind, names in lists.items():
            if vocabulary.lists.get(kind, names) != names:
                own = f"the names {', '.join(names)}" if names else "no names"
                raise InputError(
                    f"labeler {self.spec.name!r} has {own} for the list {kind!r}, but the data set has "
                    f"{', '.join(vocabulary.lists[kind])}; leave the labeler out, or make them the same"
                )
        if lists.keys() <= vocabulary.lists.keys():
            return vocabulary
        return replace(vocabulary, lists={**vocabulary.lists, **lists})

    def _values(self, scene: Scene) -> Mapping[Key[Any, Any], Any]:
        with naming_plugin(self.spec):
            values: object = self.label(scene)
            if not isinstance(values, Mapping) or set(values) != set(self.spec.provides):
                expected = ", ".join(key.name for key in self.spec.provides)
                kind = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
                raise PluginError(
                    f"labeler {self.spec.name!r} must return a mapping with the keys {expected}, got {kind}"
                )
        return values

    def _valid_rows(self, scene: Scene, key: Key[Any, Any]) -> Bool[Tensor, " N"] | None:
        """Return rows of the stream of `key` that carry all needed values; None where all do, or for the image."""
        rows = None
        for need in self.spec.needs:
            if key.of is not None and need.of == key.of and need in scene.valid:
                rows = scene.valid[need] if rows is None else rows & scene.valid[need]
        return rows


@dataclass(frozen=True)
class LabelledSet:
    """A data set whose samples have the ground truth that labelers derive.

    A derived key is supervised where all that it is derived from is.
    """

    data: SampleSet
    """The data set."""
    labelers: Sequence[Labeler]
    """The labelers, in the order in which they run."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""
        vocabulary = self.data.vocabulary
        for labeler in self.labelers:
            vocabulary = labeler.named(vocabulary)
        return vocabulary

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        sample = self.data[index]
        scene, supervised = sample.scene, sample.supervision.keys
        streams = sample.supervision.streams
        for labeler in self.labelers:
            before, scene = scene, labeler(scene)
            if all(key in (streams if isinstance(key, Stream) else supervised) for key in labeler.spec.needs):
                supervised |= frozenset(key for key in scene.values if key not in before)
        return replace(sample, scene=scene, supervision=replace(sample.supervision, keys=supervised))

    def scene(self, index: int) -> Scene:
        """Return the ground truth of one image, without reading the image where the data set can do so.

        Args:
            index: The number of the sample.

        Returns:
            The ground truth with the derived values.
        """
        scene = scene_of(self.data, index)
        for labeler in self.labelers:
            scene = labeler(scene)
        return scene


def labelled(data: SampleSet, labelers: Sequence[Labeler]) -> SampleSet:
    """Add the ground truth that labelers derive to a data set.

    Args:
        data: The data set.
        labelers: The labelers, in the order in which they run.

    Returns:
        The data set with derived values; `data` itself without labelers.
    """
    return LabelledSet(data, labelers) if labelers else data


def labelers_named(entries: Iterable[str | LabelerConfig]) -> list[Labeler]:
    """Build the labelers of a recipe, in the order in which they run: each after those that provide what it needs.

    Args:
        entries: Names of registered labelers, or names with options.

    Returns:
        The labelers; those that do not depend on each other keep the order of `entries`.

    Raises:
        InputError: For an unknown name or option, for two labelers that provide one key, and for labelers that need
            each other.
    """
    pending = [_built(LabelerConfig(name=entry) if isinstance(entry, str) else entry) for entry in entries]
    _check_unique(pending)
    ordered: list[Labeler] = []
    while pending:
        later = {key for labeler in pending for key in labeler.spec.provides}
        ready = next((labeler for labeler in pending if not later & set(labeler.spec.needs)), None)
        if ready is None:
            names = " and ".join(repr(labeler.spec.name) for labeler in pending)
            raise InputError(f"data.labelers: {names} need what each other provides; leave one of them out")
        pending.remove(ready)
        ordered.append(ready)
    return ordered


def _built(entry: LabelerConfig) -> Labeler:
    spec: LabelerSpec = registry().get("labeler", entry.name)
    options = check_options(spec.build, entry.options, f"labeler {entry.name!r}")
    with naming_plugin(spec):
        return Labeler(spec, spec.build(**options))


def _check_unique(labelers: Sequence[Labeler]) -> None:
    providers: dict[Key[Any, Any], str] = {}
    for labeler in labelers:
        for key in labeler.spec.provides:
            if key in providers:
                raise InputError(
                    f"data.labelers: {providers[key]!r} and {labeler.spec.name!r} both provide {key.name!r}; "
                    "name one of them"
                )
            providers[key] = labeler.spec.name


def _has(scene: Scene, key: Key[Any, Any]) -> bool:
    return key in scene.streams if isinstance(key, Stream) else key in scene
