"""Which data set has labels of which class of a label space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scenekit.recipe.label_space import ASK, DataNames, LabelSpace, NameLists
from scenekit.recipe.renaming import LABELS, Targets, first_of, followed, others_of, targets_of
from scenekit.structures.vocabulary import BUILT_IN_LISTS, Vocabulary


@dataclass(frozen=True)
class Sources:
    """What a data set has of a class."""

    names: tuple[str, ...] = ()
    """Its names that are the class, with instances where the class is a thing."""
    maps: tuple[str, ...] = ()
    """Its kinds of stuff that are the class, although that is a thing: maps have it, without instances."""
    within: tuple[str, ...] = ()
    """Its names whose objects may be of the class."""

    def __str__(self) -> str:
        parts = [*self.names, *(f"{name} (maps)" for name in self.maps), *(f"(in {name})" for name in self.within)]
        return ", ".join(parts)


@dataclass(frozen=True)
class LabelCoverage:
    """Which data set supervises which name of a label space."""

    lists: Mapping[str, Mapping[str, Mapping[str, Sources]]]
    """By list, class and data set."""
    sections: tuple[str, ...] = ()
    """All data sets."""
    nothing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By data set, the names that become nothing."""

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data.

        Returns:
            `data` (the data sets), `lists` and `nothing`.
        """
        lists = {
            kind: {
                name: {section: {k: list(v) for k, v in vars(it).items() if v} for section, it in sections.items()}
                for name, sections in classes.items()
            }
            for kind, classes in self.lists.items()
        }
        return {
            "data": list(self.sections),
            "lists": lists,
            "nothing": {section: list(names) for section, names in self.nothing.items()},
        }


def label_coverage(space: LabelSpace, sections: Sequence[str]) -> LabelCoverage:
    """Return which data set supervises which name of a label space.

    Args:
        space: The label space.
        sections: The data sets.

    Returns:
        The data sets of each name of each list.

    Raises:
        InputError: If the label space lacks one of the data sets.
    """
    names = space.vocabulary
    kinds = {"things": names.things, "stuff": names.stuff, **{k: v for k, v in names.by_list.items() if k != LABELS}}
    data = {section: space.section(section) for section in dict.fromkeys(sections)}
    lists = {kind: {name: _sources_of(kind, name, data) for name in listed} for kind, listed in kinds.items() if listed}
    nothing = {
        section: tuple(
            name for names in it.targets.values() for name, target in names.items() if first_of(target) is None
        )
        for section, it in data.items()
    }
    return LabelCoverage(lists, tuple(data), {section: dropped for section, dropped in nothing.items() if dropped})


def _sources_of(kind: str, name: str, data: Mapping[str, DataNames]) -> dict[str, Sources]:
    found = {section: _of_section(kind, name, it) for section, it in data.items()}
    return {section: sources for section, sources in found.items() if sources != Sources()}


def _of_section(kind: str, name: str, data: DataNames) -> Sources:
    targets = data.targets.get(LABELS if kind in ("things", "stuff") else kind, {})
    own = [each for each, target in targets.items() if first_of(target) == name and name != ASK]
    within = [each for each, target in targets.items() if name in others_of(target)]
    things = data.things if kind == "things" else own
    maps = [each for each in own if each not in things]
    return Sources(tuple(each for each in own if each in things), tuple(maps), tuple(within))


def by_name(data: Mapping[str, tuple[Vocabulary, Mapping[str, Any]]], joined: Vocabulary) -> LabelSpace:
    """Return the label space of data sets that are joined by the names of their classes.

    Args:
        data: By section, the vocabulary of the data set and its `rename`.
        joined: The vocabulary of all of them.

    Returns:
        The label space.
    """
    sections = {
        section: DataNames(**_lists(vocabulary), rename=_flat(targets_of(rename)))
        for section, (vocabulary, rename) in data.items()
    }
    return LabelSpace(**_lists(joined), data=sections)


def _flat(targets: Targets) -> dict[str, Any]:
    ends = {kind: followed(names) for kind, names in targets.items()}
    return {**ends.get(LABELS, {}), **{kind: names for kind, names in ends.items() if kind != LABELS}}


def _lists(vocabulary: Vocabulary) -> dict[str, Any]:
    own = {kind: vocabulary.names(kind) for kind in BUILT_IN_LISTS if kind in NameLists.model_fields}
    points = () if vocabulary.skeleton is None else vocabulary.skeleton.points
    return {**own, "points": points, "lists": dict(vocabulary.lists)}
