"""What the names of one vocabulary become in another: several may become one, and some nothing.

Letters: A names of the old list, B names of the new one, N rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.structures.vocabulary import BUILT_IN_LISTS, POINTS, Skeleton, Vocabulary, names_if_any

T = TypeVar("T")

CLASSES = ("labels", "things", "stuff")
"""Lists that share their names: things, then stuff."""

HELD = 0.5
"""From here on an attribute holds."""

Names = Mapping[str, Mapping[str, str | None]]
"""For each list what names become, None for nothing; names that are not mentioned stay."""


@dataclass(frozen=True)
class LabelMap:
    """What the names of a vocabulary become in another one; a name without an entry keeps its name.

    ```python
    labels = LabelMap(old, new, {"labels": {"man": "person", "woman": "person"}})
    labels.index("things")  # for each old thing its new label, -1 for none
    ```
    """

    old: Vocabulary
    """The vocabulary that integers refer to."""
    new: Vocabulary
    """The vocabulary that they shall refer to."""
    names: Names = field(default_factory=dict)
    """By list ("labels" for things and stuff, "predicates", "attributes", `POINTS`, a list of a plugin), the names that
    become other names, or None for nothing.
    """
    alternatives: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Old things whose objects may as well be of other new things, with these."""

    def renamed(self, kind: str, name: str) -> str | None:
        """Return what a name becomes.

        Args:
            kind: Its list, as for `Vocabulary.names`, or `POINTS`.
            name: The old name.

        Returns:
            The new name, which the new list may lack; None for nothing.
        """
        return self.names.get("labels" if kind in CLASSES else kind, {}).get(name, name)

    def index(self, kind: str) -> Int[Tensor, " A"]:
        """Return the new index of each old name.

        Args:
            kind: The list, as for `Vocabulary.names`, or `POINTS`.

        Returns:
            Indices, -1 for names that become nothing.
        """
        place = {name: index for index, name in enumerate(_names(self.new, kind))}
        renamed = (self.renamed(kind, name) for name in _names(self.old, kind))
        return torch.tensor([-1 if name is None else place.get(name, -1) for name in renamed], dtype=torch.int64)

    def apply(self, kind: str, labels: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the new indices of labels.

        Args:
            kind: The list that they index, as for `Vocabulary.names`.
            labels: Old indices.

        Returns:
            New indices, -1 for names that become nothing. Negative numbers stay, and what no old name has is above all
            new indices.
        """
        index = self.index(kind).to(labels.device)
        unknown = labels >= len(index)
        known = (labels >= 0) & ~unknown
        beyond = torch.where(unknown, labels - len(index) + len(_names(self.new, kind)), labels)
        return torch.where(known, index[torch.where(known, labels, 0)], beyond) if len(index) else beyond

    def merges(self, kind: str) -> bool:
        """Return whether several names become one.

        Args:
            kind: The list, as for `Vocabulary.names`, or `POINTS`.

        Returns:
            True if any of them do.
        """
        index = [new for new in self.index(kind).tolist() if new >= 0]
        return len(set(index)) < len(index)

    def sources(self, kind: str) -> Int[Tensor, " B"]:
        """Return an old index for each new name, where several become it the first.

        Args:
            kind: The list, as for `Vocabulary.names`, or `POINTS`.

        Returns:
            Indices, -1 for new names that no old one becomes.
        """
        sources = torch.full((len(_names(self.new, kind)),), -1)
        for old, new in reversed(list(enumerate(self.index(kind).tolist()))):
            if new >= 0:
                sources[new] = old
        return sources

    def held(self, kind: str, table: Float[Tensor, "N A"]) -> Float[Tensor, "N B"]:
        """Merge the columns of a table of probabilities of which each holds on its own, such as attributes.

        Of several names that become one, the most probable counts; it is unknown where none of them holds for sure and
        one is unknown.

        Args:
            kind: The list that has a name for each column.
            table: Probabilities, NaN where unknown.

        Returns:
            The columns of the new list; NaN for new names that no old one becomes. A table of another width stays.
        """
        index = self.index(kind)
        if table.shape[1] != len(index):
            return table
        kept, rows = index >= 0, len(table)
        count, known = len(_names(self.new, kind)), table[:, kept].nan_to_num(-1.0)
        places = index[kept].to(table.device).expand(rows, -1)
        best = table.new_full((rows, count), -1.0).scatter_reduce(1, places, known, "amax")
        least = table.new_full((rows, count), 2.0).scatter_reduce(1, places, known, "amin")
        unknown = (best < 0) | ((least < 0) & (best < HELD))
        return torch.where(unknown, torch.nan, best)

    def summed(self, kind: str, table: Float[Tensor, "N A"]) -> Float[Tensor, "N B"]:
        """Merge the columns of a table of probabilities of which one holds, such as predicates: they are summed.

        Args:
            kind: The list that has a name for each column.
            table: Probabilities.

        Returns:
            The columns of the new list; 0 for new names that no old one becomes. A table of another width stays.
        """
        index = self.index(kind)
        if table.shape[1] != len(index):
            return table
        kept = index >= 0
        sums = table.new_zeros((len(table), len(_names(self.new, kind))))
        return sums.index_add(1, index[kept].to(table.device), table[:, kept])

    @property
    def inverted(self) -> LabelMap:
        """The map back, as far as there is one: of several names that became one, to that of the same name, else the
        first.
        """
        kinds = [*BUILT_IN_LISTS[1:], *self.new.lists, POINTS]
        back = {kind: self._back(kind) for kind in kinds}
        labels = {**back.pop("stuff"), **back.pop("things")}
        return LabelMap(self.new, self.old, {"labels": labels, **back})

    def _back(self, kind: str) -> dict[str, str | None]:
        old, sources = _names(self.old, kind), self.sources(kind).tolist()
        found = zip(_names(self.new, kind), sources, strict=True)
        first = {name: old[source] if source >= 0 else None for name, source in found}
        return {name: name if name in old and self.renamed(kind, name) == name else it for name, it in first.items()}

    def classes(self, names: Iterable[str], kind: str = "things") -> frozenset[str]:
        """Return the new names that old names become.

        Args:
            names: Old names.
            kind: Their list, as for `Vocabulary.names`.

        Returns:
            Names of the new vocabulary.
        """
        new = self.new.names(kind)
        return frozenset(name for old in names if (name := self.renamed(kind, old)) in new)


def translated(old: Vocabulary, names: Names, lists: Mapping[str, Sequence[str]] | None = None) -> Vocabulary:
    """Return a vocabulary with other names.

    Args:
        old: The vocabulary.
        names: What names become, as in `LabelMap`.
        lists: The lists of the new vocabulary ("things", "stuff", ...); by default what the old names become, each
            once, in their order.

    Returns:
        The vocabulary with skeletons, symmetries and mirror pairs under the new names. Where several things become one,
        it has the union of the skeletons, and a symmetry only where all have the same.
    """
    labels = LabelMap(old, old, names)
    kinds = [*BUILT_IN_LISTS[1:], *old.lists]
    chosen = {kind: _unique(labels.renamed(kind, name) for name in old.names(kind)) for kind in kinds}
    chosen |= {kind: tuple(listed) for kind, listed in (lists or {}).items()}
    builtin = {kind: chosen.pop(kind) for kind in BUILT_IN_LISTS[1:]}
    things, predicates = frozenset(builtin["things"]), frozenset(builtin["predicates"])
    members = {
        name: [old_name for old_name in old.things if labels.renamed("things", old_name) == name] for name in things
    }
    pairs = _renamed_pairs(labels, "predicates", old.mirror_predicates)
    return Vocabulary(
        **builtin,
        skeletons=_skeletons(labels, [name for name in builtin["things"] if name in things], members),
        mirror_predicates=tuple(pair for pair in pairs if predicates.issuperset(pair)),
        mirror_words=old.mirror_words,
        symmetry={name: n for name in builtin["things"] if (n := _symmetry(old, members[name])) is not None},
        lists=chosen,
    )


def joined(first: Vocabulary, second: Vocabulary) -> Vocabulary:
    """Merge two vocabularies whose things mean the same under one name; where they disagree, the first counts.

    Args:
        first: The vocabulary whose names come first.
        second: The other vocabulary.

    Returns:
        Names of both; a thing that both have has the union of its skeletons.
    """
    both = first.skeletons.keys() & second.skeletons.keys()
    skeletons = {name: joined_skeleton(first.skeletons[name], second.skeletons[name]) for name in both}
    agreeing = replace(
        second,
        skeletons={**second.skeletons, **skeletons},
        symmetry={name: first.symmetry.get(name, n) for name, n in second.symmetry.items()},
    )
    return replace(first, skeletons={**first.skeletons, **skeletons}).merged(agreeing)


def joined_skeleton(first: Skeleton, second: Skeleton) -> Skeleton:
    """Return the union of two skeletons by the names of their points; where they disagree, the first counts.

    Args:
        first: The skeleton whose points come first.
        second: The other skeleton.

    Returns:
        The union, with falloffs where both have them.
    """
    points = _unique((*first.points, *second.points))
    paired = {name for pair in first.mirror for name in pair}
    mirror = (*first.mirror, *(pair for pair in second.mirror if not paired.intersection(pair)))
    sigmas = dict(zip(second.points, second.sigmas, strict=False)) | dict(zip(first.points, first.sigmas, strict=False))
    falloffs = tuple(sigmas[name] for name in points) if len(sigmas) == len(points) else ()
    return Skeleton(points, _unique((*first.edges, *second.edges)), mirror, falloffs)


def _names(vocabulary: Vocabulary, kind: str) -> tuple[str, ...]:
    if kind == POINTS:
        return () if vocabulary.skeleton is None else vocabulary.skeleton.points
    return names_if_any(vocabulary, kind)


def _unique(names: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _symmetry(old: Vocabulary, things: Sequence[str]) -> int | None:
    """Return the symmetry that all things share; None where there is none."""
    values = {old.symmetry.get(name) for name in things}
    return values.pop() if len(values) == 1 else None


def _skeletons(labels: LabelMap, things: Sequence[str], members: Mapping[str, Sequence[str]]) -> dict[str, Skeleton]:
    skeletons: dict[str, Skeleton] = {}
    for name in things:
        for skeleton in (labels.old.skeletons[old] for old in members[name] if old in labels.old.skeletons):
            renamed = _renamed_skeleton(labels, skeleton)
            skeletons[name] = joined_skeleton(skeletons[name], renamed) if name in skeletons else renamed
    return skeletons


def _renamed_skeleton(labels: LabelMap, skeleton: Skeleton) -> Skeleton:
    if not labels.names.get(POINTS):
        return skeleton
    new = {old: labels.renamed(POINTS, old) for old in skeleton.points}
    sigmas: dict[str, float] = {}
    for old, sigma in zip(skeleton.points, skeleton.sigmas, strict=False):
        if (name := new[old]) is not None:
            sigmas.setdefault(name, sigma)
    edges, mirror = (_renamed_pairs(labels, POINTS, pairs) for pairs in (skeleton.edges, skeleton.mirror))
    return Skeleton(_unique(new.values()), edges, mirror, tuple(sigmas.values()))


def _renamed_pairs(labels: LabelMap, kind: str, pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return pairs under their new names; without those of which a name becomes nothing, or both become one."""
    renamed = ((labels.renamed(kind, a), labels.renamed(kind, b)) for a, b in pairs)
    return _unique((a, b) for a, b in renamed if a is not None and b is not None and a != b)
