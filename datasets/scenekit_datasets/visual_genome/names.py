"""Names in Visual Genome: free text of annotators, normalized, and selected for a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.io.files import path_named, read_text
from scenekit.io.records import brief, read_json
from scenekit.structures.vocabulary import Vocabulary

KINDS = ("objects", "predicates", "attributes")
"""Kinds of names."""

VG150 = Path(__file__).with_name("vg150.json")
"""The 150 objects and 50 predicates of Xu et al. 2017 ("Scene Graph Generation by Iterative Message Passing") and the
200 attributes of Tang's Scene-Graph-Benchmark, in the order of its VG-SGG-dicts-with-attri.json."""

_TANG = {"objects": "idx_to_label", "predicates": "idx_to_predicate", "attributes": "idx_to_attribute"}
_ENDS = " \t\r\n.,;:!?\"'()[]"

Chosen = str | Mapping[str, Any]
"""The option `vocabulary`: a name, a file, or the names or numbers of each kind."""


def normalized(name: str) -> str:
    """Normalize a name: lower case, one space between words, no punctuation around them.

    Args:
        name: The name.

    Returns:
        The normalized name.
    """
    return " ".join(name.lower().split()).strip(_ENDS)


def read_aliases(path: Path | None) -> dict[str, str]:
    """Read a file of synonyms: one group per line, separated by commas; the first name replaces the others.

    A group that begins with a name of an earlier group is merged with that one.

    Args:
        path: The file; None for no synonyms.

    Returns:
        The replacement of each name.

    Raises:
        InputError: If the file cannot be read.
    """
    aliases: dict[str, str] = {}
    for line in [] if path is None else read_text(path).splitlines():
        names = [name for part in line.split(",") if (name := normalized(part))]
        for name in names:
            aliases.setdefault(name, aliases.get(names[0], names[0]))
    return aliases


@dataclass(frozen=True)
class Names:
    """Normalization of names, synonyms included."""

    objects: Mapping[str, str] = field(default_factory=dict)
    """Replacements of names of objects."""
    predicates: Mapping[str, str] = field(default_factory=dict)
    """Replacements of predicates."""

    def object(self, name: str) -> str:
        """Normalize the name of an object.

        Args:
            name: The name.

        Returns:
            The normalized name.
        """
        name = normalized(name)
        return self.objects.get(name, name)

    def predicate(self, name: str) -> str:
        """Normalize a predicate.

        Args:
            name: The name.

        Returns:
            The normalized name.
        """
        name = normalized(name)
        return self.predicates.get(name, name)


@dataclass(frozen=True)
class NameIndex:
    """A vocabulary with indices by normalized name."""

    vocabulary: Vocabulary
    """The vocabulary."""

    @cached_property
    def things(self) -> dict[str, int]:
        """Labels by name."""
        return _places(self.vocabulary.things)

    @cached_property
    def predicates(self) -> dict[str, int]:
        """Indices of predicates by name."""
        return _places(self.vocabulary.predicates)

    @cached_property
    def attributes(self) -> dict[str, int]:
        """Indices of attributes by name."""
        return _places(self.vocabulary.attributes)


def chosen_vocabulary(chosen: Chosen, occurring: Mapping[str, Sequence[str]]) -> Vocabulary:
    """Create the vocabulary of the option `vocabulary`.

    Args:
        chosen: "vg150"; "all" names; "dense_caption", which has none; a JSON file with lists of names by kind, or
            VG-SGG-dicts.json; or for each of objects, predicates and attributes its names, or the number of most
            frequent ones.
        occurring: Names of each kind, the most frequent first.

    Returns:
        The vocabulary.

    Raises:
        InputError: If the value or the file is invalid.
    """
    if chosen == "all":
        return _vocabulary(occurring)
    if chosen == "dense_caption":
        return _vocabulary({})
    if isinstance(chosen, str):
        path = VG150 if chosen == "vg150" else path_named(chosen)
        if chosen != "vg150" and not path.is_file():
            hint = "expected 'vg150', 'all', 'dense_caption' or a JSON file"
            raise InputError(f"there is no vocabulary {chosen!r} and no such file; {hint}")
        return _vocabulary(_listed(read_json(path), str(path), occurring))
    return _vocabulary(_listed(chosen, "vocabulary", occurring))


def _listed(data: Any, where: str, occurring: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: expected an object with {', '.join(KINDS)}, not {brief(data)}")
    if "idx_to_label" in data:
        data = {kind: _numbered(data[name], f"{where}: {name!r}") for kind, name in _TANG.items() if name in data}
    for kind in data:
        if kind not in KINDS:
            raise InputError(f"{where} has {kind!r}{nearest(kind, KINDS)}")
    return {kind: _those(value, f"{where}: {kind!r}", occurring[kind]) for kind, value in data.items()}


def _those(value: Any, where: str, occurring: Sequence[str]) -> Sequence[str]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return occurring[:value]
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{where} must be names, or how many of the most frequent ones, not {brief(value)}")
    return value


def _numbered(value: Any, where: str) -> list[Any]:
    """Return the names by "1", "2", ... of a VG-SGG-dicts.json."""
    numbers = [str(n + 1) for n in range(len(value))] if isinstance(value, Mapping) else []
    if not numbers or set(numbers) != set(value):
        raise InputError(f"{where} must be an object with names by '1', '2', ..., not {brief(value)}")
    return [value[number] for number in numbers]


def _vocabulary(names: Mapping[str, Sequence[str]]) -> Vocabulary:
    objects, predicates, attributes = (tuple(names.get(kind, ())) for kind in KINDS)
    return Vocabulary(things=objects, predicates=predicates, attributes=attributes)


def _places(names: Sequence[str]) -> dict[str, int]:
    return {normalized(name): place for place, name in reversed(list(enumerate(names)))}
