"""Data sets whose names become those of a label space, or other names that their options give."""

from __future__ import annotations

from dataclasses import dataclass

from scenekit.data.clips import ClipSamples, clips
from scenekit.data.datasets import SampleSet, dataset
from scenekit.data.relabel import mapped, mapped_scene
from scenekit.data.sample import Sample
from scenekit.data.scenes import scene_of
from scenekit.errors import InputError, listed
from scenekit.recipe import DatasetConfig, LabelSpace
from scenekit.recipe.label_space import called
from scenekit.recipe.renaming import (
    FURTHER,
    LABELS,
    SKELETON,
    Targets,
    check_known,
    first_of,
    followed,
    names_of,
    others_of,
    targets_of,
)
from scenekit.scene import Scene
from scenekit.structures.label_map import LabelMap, translated
from scenekit.structures.vocabulary import BUILT_IN_LISTS, POINTS, Vocabulary

SHOWN = 5
"""How many names a message spells out."""


@dataclass(frozen=True)
class MappedSet:
    """A data set in other names."""

    data: SampleSet
    """The data set."""
    labels: LabelMap
    """What its names become."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""
        return self.labels.new

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        return mapped(self.data[index], self.labels)

    def scene(self, index: int) -> Scene:
        """Return the ground truth of one image, without reading the image where the data set can do so.

        Args:
            index: The number of the sample.

        Returns:
            The ground truth.
        """
        return mapped_scene(scene_of(self.data, index), self.labels)


def opened(config: DatasetConfig, space: LabelSpace | None = None) -> SampleSet:
    """Open a data set of a recipe.

    Args:
        config: The data set's entry in the recipe.
        space: The label space of the recipe.

    Returns:
        The data set, in the names of the label space or as its option `rename` says.

    Raises:
        InputError: If the data set or one of its options is unknown, its files cannot be used, or the label space lacks
            one of its names.
    """
    if config.clip_frames is None:
        data = dataset(config.name, config.split, **config.options)
    else:
        data = ClipSamples(clips(config.name, config.split, **config.options), config.clip_frames)
    if space is not None:
        return MappedSet(data, label_map(data.vocabulary, space, config.section))
    if config.rename:
        return MappedSet(data, renaming_map(data.vocabulary, targets_of(config.rename), f"data set {config.name!r}"))
    return data


def label_map(vocabulary: Vocabulary, space: LabelSpace, section: str) -> LabelMap:
    """Return what the names of a data set become in a label space.

    Args:
        vocabulary: That of the data set.
        space: The label space.
        section: The section of the data set.

    Returns:
        The map, to a vocabulary with all lists of the label space.

    Raises:
        InputError: If the label space lacks the section, or the section one of the names.
    """
    targets = space.section(section).targets
    for kind in (LABELS, *FURTHER, *vocabulary.lists):
        known = targets.get(kind, {})
        if missing := [name for name in names_of(vocabulary, kind) if name not in known]:
            raise InputError(
                f"the label file does not know {called(kind)} of {section!r}: {listed(map(repr, missing), SHOWN)}; run "
                "`scenekit labels merge` again with this data set, which adds them to the file"
            )
    lists = space.vocabulary
    classes = {kind: getattr(lists, kind) for kind in BUILT_IN_LISTS[1:]}
    names = _first_names(targets)
    new = translated(vocabulary, names, {**classes, **lists.lists})
    return LabelMap(vocabulary, new, names, _alternatives(targets))


def renaming_map(vocabulary: Vocabulary, targets: Targets, origin: str) -> LabelMap:
    """Return what the names of a data set become by a renaming.

    Args:
        vocabulary: That of the data set.
        targets: By list, names with what they become.
        origin: What error messages begin with.

    Returns:
        The map, to a vocabulary of the new names.

    Raises:
        InputError: If the data set lacks one of the names, or a thing and stuff become one class.
    """
    check_known(targets, vocabulary, f"{origin}: rename")
    targets = {kind: followed(renamed) for kind, renamed in targets.items()}
    names = _first_names(targets)
    try:
        new = translated(vocabulary, names)
    except InputError as error:
        raise InputError(f"{origin}: rename: {error}") from None
    return LabelMap(vocabulary, new, names, _alternatives(targets))


def _first_names(targets: Targets) -> dict[str, dict[str, str | None]]:
    """Return by list what names become that do not stay, as a `LabelMap` has them."""
    return {
        POINTS if kind == SKELETON else kind: {
            name: first_of(target) for name, target in renamed.items() if first_of(target) != name
        }
        for kind, renamed in targets.items()
    }


def _alternatives(targets: Targets) -> dict[str, frozenset[str]]:
    renamed = targets.get(LABELS, {})
    return {name: frozenset(others) for name, target in renamed.items() if (others := others_of(target))}
