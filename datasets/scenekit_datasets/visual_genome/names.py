"""The names of Visual Genome: as people typed them, put in order, and chosen for a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.io.records import brief, read_json
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.flips import sides

KINDS = ("objects", "predicates", "attributes")
"""What has a name."""

VG150 = Path(__file__).with_name("vg150.json")
"""The 150 objects and 50 predicates of Xu et al. 2017 ("Scene Graph Generation by Iterative Message Passing") and the
200 attributes of Tang's Scene-Graph-Benchmark, in the order of its VG-SGG-dicts-with-attri.json."""

_TANG = {"objects": "idx_to_label", "predicates": "idx_to_predicate", "attributes": "idx_to_attribute"}
_ENDS = " \t\r\n.,;:!?\"'()[]"

Chosen = str | Mapping[str, Any]
"""How a vocabulary is asked for: a name, a file, or the names or numbers of each kind."""


def normalized(name: str) -> str:
    """Lower case, one space between words, no punctuation around them."""
    return " ".join(name.lower().split()).strip(_ENDS)


def read_aliases(path: Path | None) -> dict[str, str]:
    """What each name stands for, by a line of names a group, with commas between; the first name is that of the group.

    A group that begins with a name of an earlier group joins that one.
    """
    found: dict[str, str] = {}
    try:
        lines = [] if path is None else path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    for line in lines:
        names = [name for part in line.split(",") if (name := normalized(part))]
        for name in names:
            found.setdefault(name, found.get(names[0], names[0]))
    return found


@dataclass(frozen=True)
class Names:
    """Names in order, with what other names stand for."""

    objects: Mapping[str, str] = field(default_factory=dict)
    predicates: Mapping[str, str] = field(default_factory=dict)

    def object(self, name: str) -> str:
        """The name of an object's kind."""
        name = normalized(name)
        return self.objects.get(name, name)

    def predicate(self, name: str) -> str:
        """The name of a predicate."""
        name = normalized(name)
        return self.predicates.get(name, name)


@dataclass(frozen=True)
class NameIndex:
    """A vocabulary, and its integers by names in order."""

    vocabulary: Vocabulary

    @cached_property
    def things(self) -> dict[str, int]:
        """Labels."""
        return _places(self.vocabulary.things)

    @cached_property
    def predicates(self) -> dict[str, int]:
        """Predicates."""
        return _places(self.vocabulary.predicates)

    @cached_property
    def attributes(self) -> dict[str, int]:
        """Attributes."""
        return _places(self.vocabulary.attributes)


def chosen_vocabulary(chosen: Chosen, occurring: Mapping[str, Sequence[str]]) -> Vocabulary:
    """The vocabulary that is asked for.

    chosen: "vg150"; "all" names; "dense_caption", which has none; a JSON file; or for each of objects, predicates and
    attributes its names, or how many of the most frequent ones. occurring: the names of each kind, the most frequent
    first. A file holds lists of names by kind, or is a VG-SGG-dicts.json.
    """
    if chosen == "all":
        return _vocabulary(occurring)
    if chosen == "dense_caption":
        return _vocabulary({})
    if isinstance(chosen, str):
        path = VG150 if chosen == "vg150" else Path(chosen).expanduser()
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
    """The names by "1", "2", ... of a VG-SGG-dicts.json."""
    numbers = [str(n + 1) for n in range(len(value))] if isinstance(value, Mapping) else []
    if not numbers or set(numbers) != set(value):
        raise InputError(f"{where} must be an object with names by '1', '2', ..., not {brief(value)}")
    return [value[number] for number in numbers]


def _vocabulary(names: Mapping[str, Sequence[str]]) -> Vocabulary:
    objects, predicates, attributes = (tuple(names.get(kind, ())) for kind in KINDS)
    return Vocabulary(things=objects, predicates=predicates, attributes=attributes, mirror_predicates=sides(predicates))


def _places(names: Sequence[str]) -> dict[str, int]:
    return {normalized(name): place for place, name in reversed(list(enumerate(names)))}
