"""Proposing one label space for several data sets: an existing one stays, and names that it does not know are added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from scenekit.data.labels.meaning import Meanings, key_of, meanings, tidy
from scenekit.errors import listed
from scenekit.recipe.label_space import ASK, DataNames, LabelSpace
from scenekit.recipe.renaming import FURTHER, LABELS, Target, first_of, names_of, others_of, targets_of
from scenekit.structures.vocabulary import Vocabulary

Kinds: TypeAlias = Literal["split", "thing", "stuff", "ask"]
"""What becomes of a name that is a thing in one data set and stuff in another: a class of each kind, one thing, one
kind of stuff, or a question in the file.
"""

Place: TypeAlias = tuple[str, ...]
"""Names that lead to an entry of the file."""

ENDINGS = {True: "-thing", False: "-stuff"}
"""Ending of the thing (of the stuff) of a name that is stuff (a thing) already, as in COCO's door-stuff."""

SHOWN = 3
"""How many data sets a comment lists."""


@dataclass(frozen=True)
class Proposal:
    """A label space, and why it is as it is."""

    space: LabelSpace
    """The label space."""
    reasons: Mapping[Place, str] = field(default_factory=dict)
    """Comments for its entries."""


@dataclass(frozen=True)
class Named:
    """A name of a data set."""

    section: str
    """The data set."""
    name: str
    """The name."""
    thing: bool = True
    """Whether it is a thing."""


def propose(
    vocabularies: Mapping[str, Vocabulary],
    existing: LabelSpace | None = None,
    kinds: Kinds = "split",
    words: Meanings | None = None,
) -> Proposal:
    """Propose a label space for data sets.

    Args:
        vocabularies: Those of the data sets, by section.
        existing: The label space as it is; all that it says stays.
        kinds: What becomes of a name that is a thing in one data set and stuff in another.
        words: What names mean; by default the reviewed list.

    Returns:
        The label space with the names of all data sets, and comments for what was added.
    """
    words = meanings() if words is None else words
    draft = Draft(LabelSpace() if existing is None else existing, words)
    draft.add_classes(
        [
            Named(section, name, name in vocabulary.things)
            for section, vocabulary in vocabularies.items()
            for name in vocabulary.labels
        ],
        kinds,
    )
    further = dict.fromkeys(kind for vocabulary in vocabularies.values() for kind in vocabulary.lists)
    for kind in (*FURTHER, *further):
        named = [Named(section, name) for section, v in vocabularies.items() for name in names_of(v, kind)]
        draft.add_names(kind, named)
    return Proposal(draft.finished(tuple(vocabularies)), draft.reasons)


class Draft:
    """A label space while names are added to it.

    Args:
        space: The label space as it is.
        words: What names mean.
    """

    def __init__(self, space: LabelSpace, words: Meanings) -> None:
        self.space, self.words = space, words
        lists = space.vocabulary
        self.sides = {True: list(lists.things), False: list(lists.stuff)}
        self.kinds: dict[str, Literal["thing", "stuff", "ask"]] = dict(space.kinds)
        self.lists = {kind: list(names) for kind, names in lists.by_list.items() if kind != LABELS}
        self.targets = {section: data.targets for section, data in space.data.items()}
        self.things = {section: set(data.things) for section, data in space.data.items()}
        self.added: set[str] = set()
        self.reasons: dict[Place, str] = {}

    def add_classes(self, named: Sequence[Named], kinds: Kinds) -> None:
        """Add names of classes.

        Args:
            named: Names of things and stuff of the data sets; known ones are skipped.
            kinds: What becomes of a name that is a thing in one data set and stuff in another.
        """
        new = [each for each in named if each.name not in self._of(each.section, LABELS)]
        groups: dict[str, list[Named]] = {}
        merged = self._merged([*self._known(), *new])
        for each in new:
            meaning = self.words.of(each.name)
            groups.setdefault(merged.get(meaning, meaning), []).append(each)
        classes: dict[Named, tuple[str, str]] = {}
        for meaning, members in groups.items():
            classes |= {each: (meaning, name) for each, name in self._classes(meaning, members, kinds)}
        for each in new:
            meaning, name = classes[each]
            self._set(each, LABELS, name, self._reason(each, meaning, name))
            if each.thing:
                self.things.setdefault(each.section, set()).add(each.name)
        self._ask(new, [*self._known(), *new])
        self._add_alternatives({(each.section, each.name) for each in new})

    def add_names(self, kind: str, named: Sequence[Named]) -> None:
        """Add names of another list.

        Args:
            kind: The list.
            named: Names of the data sets; known ones are skipped.
        """
        names = self.lists.setdefault(kind, [])
        new = [each for each in named if each.name not in self._of(each.section, kind)]
        chosen = {self.words.of(name, kind): name for name in reversed(names)}
        for each in new:
            meaning = self.words.of(each.name, kind)
            if meaning not in chosen:
                same = [other.name for other in new if self.words.of(other.name, kind) == meaning]
                chosen[meaning] = self._best(same, kind)
                names.append(chosen[meaning])
            self._set(each, kind, chosen[meaning], self._reason(each, meaning, chosen[meaning], kind))

    def finished(self, sections: Iterable[str]) -> LabelSpace:
        """Return the label space.

        Args:
            sections: The data sets whose names were added.

        Returns:
            The label space with all names.
        """
        answered = {name for name in self.space.kinds}
        further = {kind: tuple(names) for kind, names in self.lists.items() if kind not in FURTHER and names}
        data = dict(self.space.data)
        data |= {section: self._data(section) for section in dict.fromkeys((*data, *sections))}
        return LabelSpace(
            things=tuple(name for name in self.sides[True] if name not in answered),
            stuff=tuple(name for name in self.sides[False] if name not in self.kinds),
            **{kind: tuple(self.lists[kind]) for kind in FURTHER},
            lists=further,
            kinds=self.kinds,
            data=data,
        )

    def _data(self, section: str) -> DataNames:
        """Return the section of a data set."""
        targets, things = self.targets.get(section, {}), self.things.get(section, set())
        classes = targets.get(LABELS, {})
        before = self.space.data.get(section, DataNames())
        further = {kind: tuple(names) for kind, names in targets.items() if kind not in (*FURTHER, LABELS) and names}
        return DataNames(
            things=tuple(name for name in classes if name in things),
            stuff=tuple(name for name in classes if name not in things),
            **{kind: tuple(targets.get(kind, ())) for kind in FURTHER},
            lists=further,
            rename=_renaming(targets, targets_of(before.rename)),
        )

    def _of(self, section: str, kind: str) -> dict[str, Target]:
        return self.targets.setdefault(section, {}).setdefault(kind, {})

    def _set(self, each: Named, kind: str, target: Target, reason: str | None) -> None:
        self._of(each.section, kind)[each.name] = target
        if reason is not None and target != each.name:
            list_name = () if kind == LABELS else (kind,)
            self.reasons["data", each.section, "rename", *list_name, each.name] = reason

    def _known(self) -> list[Named]:
        return [
            Named(section, name, name in data.things)
            for section, data in self.space.data.items()
            for name in (*data.things, *data.stuff)
        ]

    def _merged(self, named: Sequence[Named]) -> dict[str, str]:
        """Return the meanings that become a broader one: where all data sets with the narrower things have both."""
        holders: dict[str, set[str]] = {}
        for each in named:
            if each.thing:
                holders.setdefault(self.words.of(each.name), set()).add(each.section)
        return {
            narrower: broader
            for broader, kinds in self.words.merge.items()
            for narrower in kinds
            if narrower in holders and holders[narrower] <= holders.get(broader, set())
        }

    def _classes(self, meaning: str, members: Sequence[Named], kinds: Kinds) -> Iterator[tuple[Named, str]]:
        """Yield the class of each name of one meaning; new classes are added."""
        exact = [each for each in members if self.words.of(each.name) == meaning]
        known = {side: self._class_of(meaning, side) for side in (True, False)}
        sides = {each.thing for each in exact} | {side for side, name in known.items() if name is not None}
        if len(sides) > 1 and kinds != "split":
            shared = known[True] or known[False] or self._shared(exact, kinds)
            known = {True: shared, False: shared}
        for side in (True, False):
            own = [each.name for each in exact if each.thing is side]
            own = own or [each.name for each in members if each.thing is side]
            if own and known[side] is None:
                known[side] = self._add(self._best(own), side)
        yield from ((each, str(known[each.thing])) for each in members)

    def _shared(self, named: Sequence[Named], kinds: Kinds) -> str:
        """Add one class for a name that is a thing in one data set and stuff in another."""
        name = self._add(self._best([each.name for each in named]), kinds != "stuff")
        if kinds == "ask":
            self.sides[True].remove(name)
            self.kinds[name] = "ask"
            self.reasons["kinds", name] = _who(named)
        return name

    def _class_of(self, meaning: str, side: bool) -> str | None:
        """Return the class of a meaning: that of this name, else what a data set calls so."""
        names = [name for name in (*self.kinds, *self.sides[side]) if self.words.of(name) == meaning]
        for section, targets in self.targets.items():
            for name, target in targets.get(LABELS, {}).items():
                right_side = (name in self.things.get(section, ())) is side
                first = first_of(target)
                same = right_side and self.words.of(name) == meaning
                if same and first in self.sides[side] and meaning not in self.words.merge.get(self.words.of(first), ()):
                    names.append(first)
        return next(iter(names), None)

    def _add(self, name: str, side: bool) -> str:
        taken = {*self.sides[True], *self.sides[False], *self.kinds}
        while name in taken:
            name = f"{name}{ENDINGS[side]}"
        self.sides[side].append(name)
        self.added.add(name)
        return name

    def _best(self, names: Sequence[str], kind: str = LABELS) -> str:
        """Return the name that a class gets: the best known one; of words, if possible, in lower case with spaces."""
        words = kind in self.words.groups
        untidy = {name: words and name != tidy(name) for name in names}
        return min(names, key=lambda name: (self.words.rank(name, kind), untidy[name], names.index(name)))

    def _reason(self, each: Named, meaning: str, name: str, kind: str = LABELS) -> str | None:
        own = self.words.of(each.name, kind)
        if own != meaning:
            return f"a kind of {name}"
        if name.endswith(ENDINGS[each.thing]):
            return "a thing here, stuff elsewhere" if each.thing else "stuff here, a thing elsewhere"
        return "spelling" if key_of(each.name, kind) == key_of(name, kind) else "synonym"

    def _ask(self, new: Sequence[Named], named: Sequence[Named]) -> None:
        """Ask for names of several meanings in all data sets but the first that has one."""
        first: dict[str, str] = {}
        for each in named:
            first.setdefault(self.words.of(each.name), each.section)
        for each in new:
            meaning = self.words.of(each.name)
            if meaning in self.words.ask and first[meaning] != each.section:
                self._set(each, LABELS, ASK, f"is it that of {first[meaning]}? a class, or null for nothing")

    def _add_alternatives(self, new: set[tuple[str, str]]) -> None:
        """Name for broader classes the narrower ones that a data set does not tell apart; for known names new ones."""
        for section, targets in self.targets.items():
            classes = targets.get(LABELS, {})
            own = {first_of(target) for target in classes.values()}
            for name in [name for name in classes if name in self.things.get(section, ())]:
                target, known = classes[name], (section, name) not in new
                others = [other for other in self._narrower(name, target) if other not in own]
                if others := [other for other in others if not known or other in self.added]:
                    every = (first_of(target), *others_of(target), *others)
                    self._set(Named(section, name), LABELS, every, "may be any of these")

    def _narrower(self, name: str, target: Target) -> list[str]:
        """Return further things that objects of a name may be: the kinds of its class, if it means just that."""
        meaning, chosen = self.words.of(name), first_of(target)
        if chosen is None or chosen == ASK or self.words.of(chosen) != meaning:
            return []
        things = {self.words.of(thing): thing for thing in reversed(self.sides[True])}
        kinds = [things[kind] for kind in self.words.finer.get(meaning, ()) if kind in things]
        return [kind for kind in kinds if kind not in others_of(target)]


def _renaming(
    targets: Mapping[str, Mapping[str, Target]], before: Mapping[str, Mapping[str, Target]]
) -> dict[str, Target | dict[str, Target]]:
    """Return what is special: names that do not stay, and those that an existing file mentions."""
    special = {
        kind: {name: t for name, t in names.items() if t != name or name in before.get(kind, {})}
        for kind, names in targets.items()
    }
    ordered = {kind: {**{n: names[n] for n in before.get(kind, {})}, **names} for kind, names in special.items()}
    further: dict[str, Target | dict[str, Target]] = {
        kind: names for kind, names in ordered.items() if kind != LABELS and names
    }
    return {**ordered.get(LABELS, {}), **further}


def _who(named: Sequence[Named]) -> str:
    """Return which data sets have a name as a thing, and which as stuff."""
    things = listed(dict.fromkeys(each.section for each in named if each.thing), SHOWN)
    stuff = listed(dict.fromkeys(each.section for each in named if not each.thing), SHOWN)
    return f"a thing in {things}; stuff in {stuff}: write thing or stuff"
