"""Names behind the integers of labels, predicates and attributes; travels with data sets, checkpoints and Scenes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Int
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.structures.sides import FlippedNames, exchanged, flipped_names
from scenekit.structures.skeletons import Skeleton as Skeleton
from scenekit.structures.skeletons import name_pairs, refuse_unknown, union

BUILT_IN_LISTS = ("labels", "things", "stuff", "predicates", "attributes")
"""Lists of names that every vocabulary has."""

POINTS = "points of the skeleton"
"""What stands for the list of a skeleton's points."""


@dataclass(frozen=True)
class Vocabulary:
    """Names behind labels: things, then stuff; label len(things) + j is stuff j.

    ```python
    vocabulary = sk.Vocabulary(things=("person", "car"), stuff=("sky",))
    vocabulary.label("sky")  # 2
    ```
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    things: tuple[str, ...]
    """Classes of countable objects; object labels index them."""
    stuff: tuple[str, ...] = ()
    """Classes of regions without instances."""
    predicates: tuple[str, ...] = ()
    """Predicates of relations."""
    attributes: tuple[str, ...] = ()
    """Attributes of objects."""
    skeletons: Mapping[str, Skeleton] = field(default_factory=dict)
    """Skeleton of each thing that has keypoints."""
    mirror_predicates: tuple[tuple[str, str], ...] = ()
    """(left, right) pairs of predicates that are exchanged by a flip, besides those that name a side."""
    mirror_words: tuple[tuple[str, str], ...] = ()
    """(left, right) pairs of words in captions and names that are exchanged by a flip; a word that is paired with
    itself names no side."""
    symmetry: Mapping[str, int] = field(default_factory=dict)
    """Things that look the same after rotations about their height axis: n for rotations by 360 / n degrees (2: a box
    without a front), 0 for any rotation (a ball, a bottle). Other things have a front."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further lists of names, by the name of the list: those that a plugin's labels index."""

    def __post_init__(self) -> None:
        for kind in ("labels", "predicates", "attributes"):
            names = getattr(self, kind)
            if repeated := [name for name, count in Counter(names).items() if count > 1]:
                raise InputError(f"{kind} of a vocabulary must be unique, got {sorted(repeated)} more than once")
        if taken := self.lists.keys() & set(BUILT_IN_LISTS):
            raise InputError(f"{sorted(taken)} are lists of every vocabulary; give lists of your own other names")
        for kind, names in self.lists.items():
            if repeated := [name for name, count in Counter(names).items() if count > 1]:
                raise InputError(f"{kind} of a vocabulary must be unique, got {sorted(repeated)} more than once")
        for kind in ("mirror_predicates", "mirror_words"):
            object.__setattr__(self, kind, name_pairs(f"{kind} of a vocabulary", getattr(self, kind)))
        refuse_unknown("the mirror predicates of a vocabulary", self.mirror_predicates, self.predicates)
        refuse_unknown("the skeletons of a vocabulary", [tuple(self.skeletons)], self.things)
        refuse_unknown("the symmetry of a vocabulary", [tuple(self.symmetry)], self.things)
        if wrong := {name: n for name, n in self.symmetry.items() if type(n) is not int or n < 0}:
            raise InputError(f"symmetry must be 0 (any rotation) or n (rotations by 360 / n degrees); got {wrong}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Things, then stuff."""
        return self.things + self.stuff

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of a list.

        Args:
            kind: "labels" (things, then stuff), "things", "stuff", "predicates", "attributes", or a list of a plugin.

        Returns:
            The names.

        Raises:
            InputError: If the vocabulary has no such list.
        """
        if kind in BUILT_IN_LISTS:
            names: tuple[str, ...] = getattr(self, kind)
            return names
        if kind not in self.lists:
            hint = nearest(kind, (*BUILT_IN_LISTS, *self.lists))
            raise InputError(f"the vocabulary has no list {kind!r}{hint}; give it one: Vocabulary(..., lists={{...}})")
        return self.lists[kind]

    def index(self, kind: str, name: str) -> int:
        """Return the index of a name in a list.

        Args:
            kind: The list, as for `names`.
            name: The name.

        Returns:
            Its index.

        Raises:
            InputError: If the vocabulary has no such list, or the list no such name.
        """
        names = self.names(kind)
        if name not in names:
            raise InputError(f"{kind} has no name {name!r}{nearest(name, names)}")
        return names.index(name)

    def label(self, name: str) -> int:
        """Return the label of a class.

        Args:
            name: Name of a thing or stuff class.

        Returns:
            Its label.

        Raises:
            InputError: If the class is unknown; the message names the nearest one.
        """
        if name not in self.labels:
            raise InputError(f"unknown label {name!r}{nearest(name, self.labels)}")
        return self.labels.index(name)

    @property
    def skeleton(self) -> Skeleton | None:
        """The points of all things together, each name once: the one skeleton that they share, or the union of several.

        None without any. Keypoints of objects have a place for each of these points, at which a point that their class
        lacks is absent.
        """
        return union(tuple(self.skeletons[name] for name in self.things if name in self.skeletons))

    def points_of(self, thing: str) -> tuple[int, ...]:
        """Return the places of the keypoints of a thing among those of `skeleton`.

        Args:
            thing: Name of the thing.

        Returns:
            Indices, in the order of its own skeleton; none for a thing without keypoints.
        """
        own, union = self.skeletons.get(thing), self.skeleton
        return () if own is None or union is None else tuple(map(union.points.index, own.points))

    @property
    def things_with_skeleton(self) -> tuple[int, ...]:
        """Labels of the things that have keypoints."""
        return tuple(i for i, name in enumerate(self.things) if name in self.skeletons)

    def flipped(self, kind: str, pairs: tuple[tuple[str, str], ...] = ()) -> FlippedNames:
        """Return what the names of a list become in a flipped image: `left_shoe` becomes `right_shoe`.

        Args:
            kind: The list, as for `names`, or `POINTS`.
            pairs: (left, right) names of the list that are exchanged, besides those that name a side.

        Returns:
            What each name becomes; things become things, and stuff stuff.

        Raises:
            InputError: If the vocabulary has no such list.
        """
        if kind == "labels":
            things, stuff = self.flipped("things"), self.flipped("stuff")
            first = len(self.things)
            order = (*things.order, *(first + place for place in stuff.order))
            return FlippedNames(self.labels, order, things.one_sided | {first + place for place in stuff.one_sided})
        if kind == POINTS:
            skeleton = self.skeleton or Skeleton(())
            return flipped_names(skeleton.points, skeleton.mirror, self.mirror_words)
        pairs = (*pairs, *self.mirror_predicates) if kind == "predicates" else pairs
        return flipped_names(tuple(self.names(kind)), pairs, self.mirror_words)

    @property
    def flip_pairs(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Pairs of names that a flip exchanges, by the name of their list; without lists that have none."""
        pairs = {kind: self.flipped(kind).pairs for kind in (*BUILT_IN_LISTS[1:], *self.lists)}
        skeletons = dict.fromkeys(self.skeletons.values())
        each = (flipped_names(skeleton.points, skeleton.mirror, self.mirror_words).pairs for skeleton in skeletons)
        pairs[POINTS] = tuple(dict.fromkeys(itertools.chain(*each)))
        return {kind: exchanged for kind, exchanged in pairs.items() if exchanged}

    def mirror_text(self, text: str) -> str:
        """Exchange the mirror words of a caption (whole words, in upper and lower case).

        Args:
            text: The caption.

        Returns:
            The caption of the flipped image.
        """
        return exchanged(text, self.mirror_words)

    def merged(self, other: Vocabulary) -> Vocabulary:
        """Merge with another vocabulary by name; the order of this one goes first.

        Args:
            other: The other vocabulary.

        Returns:
            Names of both.

        Raises:
            InputError: If a name is a thing in one and stuff in the other, or a thing has another skeleton or symmetry
                in each.
        """
        if mixed := (set(self.things) & set(other.stuff)) | (set(self.stuff) & set(other.things)):
            raise InputError(
                f"{sorted(mixed)} are things in one vocabulary and stuff in the other; rename them in one, or join the "
                "data sets by a label file (`scenekit labels merge`)"
            )
        for what in ("skeletons", "symmetry"):
            mine, theirs = getattr(self, what), getattr(other, what)
            for name in mine.keys() & theirs.keys():
                if mine[name] != theirs[name]:
                    noun = what.removesuffix("s")
                    raise InputError(f"{name!r} has another {noun} in each vocabulary; rename it in one")
        joined = {
            name: tuple(dict.fromkeys((*getattr(self, name), *getattr(other, name))))
            for name in ("things", "stuff", "predicates", "attributes", "mirror_predicates", "mirror_words")
        }
        skeletons, symmetry = {**other.skeletons, **self.skeletons}, {**other.symmetry, **self.symmetry}
        lists = {
            kind: tuple(dict.fromkeys((*self.lists.get(kind, ()), *other.lists.get(kind, ()))))
            for kind in (*self.lists, *other.lists)
        }
        return Vocabulary(**joined, skeletons=skeletons, symmetry=symmetry, lists=lists)

    def differing(self, other: Vocabulary) -> list[str]:
        """Return what keeps this vocabulary and another one from being those of one model.

        Args:
            other: The other vocabulary.

        Returns:
            "things" and "stuff" where they are not the same, and the lists that both have, with other names.
        """
        optional = ("predicates", "attributes", "skeletons")
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in optional}
        pairs |= {name: (names, other.lists.get(name, ())) for name, names in self.lists.items()}
        classes = [name for name in ("things", "stuff") if getattr(self, name) != getattr(other, name)]
        return classes + [name for name, (mine, theirs) in pairs.items() if mine and theirs and mine != theirs]

    def completed(self, other: Vocabulary) -> Vocabulary:
        """Return this vocabulary with those lists of another one that it has none of.

        Classes stay as they are, so that labels keep their meaning; skeletons and symmetry are taken for these.

        Args:
            other: The other vocabulary.

        Returns:
            The vocabulary with further predicates, attributes, skeletons, symmetry and lists of plugins.
        """
        further: dict[str, Any] = {"lists": {**other.lists, **self.lists}}
        if not self.predicates:
            further |= {"predicates": other.predicates, "mirror_predicates": other.mirror_predicates}
        if not self.attributes:
            further["attributes"] = other.attributes
        for name in ("skeletons", "symmetry"):
            if not getattr(self, name):
                theirs = getattr(other, name)
                further[name] = {thing: theirs[thing] for thing in self.things if thing in theirs}
        words = tuple(dict.fromkeys((*self.mirror_words, *other.mirror_words)))
        return replace(self, **further, mirror_words=words)

    def to_json(self) -> dict[str, Any]:
        """Convert to lists and dictionaries.

        Returns:
            The fields by name.
        """
        plain: dict[str, Any] = _lists(asdict(self))
        if not self.lists:
            del plain["lists"]  # so that vocabularies without any are stored as ever
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Vocabulary:
        """Create a vocabulary from the result of `to_json`.

        Args:
            data: The fields by name.

        Returns:
            The vocabulary.

        Raises:
            InputError: If a field is unknown or of another type; the message names it.
        """
        try:
            return TypeAdapter(cls).validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise InputError(f"{place}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")) from error


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lists(entry) for name, entry in value.items()}
    return [_lists(entry) for entry in value] if isinstance(value, list | tuple) else value


def translation(old: Sequence[str], new: Sequence[str]) -> Int[Tensor, " n"]:
    """Map indices of one list of names to those of another.

    Args:
        old: Names of the present indices.
        new: Names of the new indices.

    Returns:
        For each old name its index in `new`, -1 where it is missing.
    """
    place = {name: index for index, name in enumerate(new)}
    return torch.tensor([place.get(name, -1) for name in old], dtype=torch.int64)


def names_if_any(vocabulary: Vocabulary, kind: str) -> tuple[str, ...]:
    """Return the names of a list, none where the vocabulary lacks a plugin's list.

    Args:
        vocabulary: The vocabulary.
        kind: The list, as for `Vocabulary.names`.

    Returns:
        The names.
    """
    return vocabulary.names(kind) if kind in BUILT_IN_LISTS or kind in vocabulary.lists else ()


def flip_labels(
    labels: Int[Tensor, "*shape"], kind: str, vocabulary: Vocabulary, pairs: tuple[tuple[str, str], ...] = ()
) -> Int[Tensor, "*shape"]:
    """Return the labels of a flipped image; what is no index of the list stays.

    Args:
        labels: Indices into a list of the vocabulary.
        kind: The list, as for `Vocabulary.flipped`.
        vocabulary: What the labels mean.
        pairs: As for `Vocabulary.flipped`.

    Returns:
        The labels, those of names with a side exchanged.
    """
    order = torch.tensor(vocabulary.flipped(kind, pairs).order, dtype=labels.dtype, device=labels.device)
    known = (labels >= 0) & (labels < len(order))
    return torch.where(known, order[torch.where(known, labels, 0)], labels) if len(order) else labels


def one_sided_names(
    labels: Int[Tensor, "*shape"], kind: str, vocabulary: Vocabulary, pairs: tuple[tuple[str, str], ...] = ()
) -> list[str]:
    """Return the names of labels that name a side, and whose counterpart their list lacks.

    Args:
        labels: Indices into a list of the vocabulary.
        kind: The list, as for `Vocabulary.flipped`.
        vocabulary: What the labels mean.
        pairs: As for `Vocabulary.flipped`.

    Returns:
        The names, each once.
    """
    flipped = vocabulary.flipped(kind, pairs)
    held = torch.unique(labels).tolist() if flipped.one_sided else []
    return [flipped.names[label] for label in held if label in flipped.one_sided]
