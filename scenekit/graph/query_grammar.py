"""Questions in words, read with the names that a graph knows: the grammar of `scenekit.graph.find`.

A question is one or more of `subject predicate object`, or a thing alone, with "and", "," or ";" between them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

import networkx as nx

from scenekit.errors import InputError, nearest
from scenekit.graph.build import LABEL, PREDICATE, VOCABULARY, Graph
from scenekit.keys import ATTRIBUTES
from scenekit.structures.vocabulary import Vocabulary

ANY = "*"
JOINTS = ("and", ",", ";")
ARTICLES = ("a", "an", "the")

MOST_WORDS = 100
"""Longer questions are refused."""

LONGEST_NAME, LIKENESS = 4, 0.75
"""So many words are taken for a misspelt name when they look so much, 0 to 1, like one that is known."""

Words = tuple[str, ...]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Names:
    """What a question to a graph may name: labels, attributes, predicates."""

    label: tuple[str, ...]
    attribute: tuple[str, ...]
    predicate: tuple[str, ...]

    @classmethod
    def of(cls, graph: Graph) -> Names:
        """The names of the graph's vocabulary, then those that only its nodes and edges use."""
        known = Vocabulary.from_json(graph.graph.get(VOCABULARY, {"things": []}))
        nodes, edges = graph.nodes.values(), [relation for *_, relation in graph.edges(data=True)]
        return cls(
            unique(known.things, (node.get(LABEL) for node in nodes)),
            unique(known.attributes, (name for node in nodes for name in node.get(ATTRIBUTES.name, ()))),
            unique(known.predicates, (relation.get(PREDICATE) for relation in edges)),
        )

    def by_words(self, kind: str) -> dict[Words, str]:
        """The names of a kind by their words."""
        names: tuple[str, ...] = getattr(self, kind)
        return {tuple(words_of(name)): name for name in names}

    def check(self, kind: str, name: object) -> None:
        """Refuse a name that is none of its kind."""
        known: tuple[str, ...] = getattr(self, kind)
        if name not in known:
            raise InputError(f"{name!r} is no {kind} of this graph{nearest(str(name), known)}")


def unique(*parts: Iterable[str | None]) -> tuple[str, ...]:
    """All names once, in their order."""
    return tuple(dict.fromkeys(name for part in parts for name in part if name is not None))


def words_of(text: str) -> list[str]:
    """Lower-case words; commas, semicolons and the number after `#` are words of their own."""
    return re.findall(r"[,;]|#\d+|[^\s,;#]+|#", text.casefold())


@dataclass(frozen=True)
class Thing:
    """`red mug#2`: a label, or None for any, the attributes, and the number that tells apart what is called alike."""

    label: str | None
    attributes: tuple[str, ...] = ()
    number: int | None = None

    @property
    def name(self) -> str:
        """What the node of the pattern is called."""
        words = " ".join((*self.attributes, self.label or ANY))
        return words if self.number in (None, 1) else f"{words}#{self.number}"


Triplet = tuple[Thing, str | None, Thing]
Clauses = tuple[Thing | Triplet, ...]


def parse(text: str, names: Names) -> Graph:
    """The pattern that a question stands for; its nodes are called as in the question.

    Raises InputError for an unknown word, with the nearest known name, and for a question that is none.
    """
    words = words_of(text)
    if not 0 < len(words) <= MOST_WORDS:
        raise InputError(f"a question of 1 to {MOST_WORDS} words expected, got {len(words)}")
    reader = Reader(tuple(words), {kind: names.by_words(kind) for kind in ("label", "attribute", "predicate")})
    clauses = next(reader.clauses(0), None)
    if clauses is None:
        raise InputError(f"cannot read {text.strip()!r}: {reader.complaint()}")
    return pattern_of(clauses)


def pattern_of(clauses: Clauses) -> Graph:
    """One node for each name, one edge for each triplet."""
    pattern = nx.MultiDiGraph()

    def node(thing: Thing) -> str:
        label = {} if thing.label is None else {LABEL: thing.label}
        pattern.add_node(thing.name, **label, **({ATTRIBUTES.name: thing.attributes} if thing.attributes else {}))
        return thing.name

    for clause in clauses:
        if isinstance(clause, Thing):
            node(clause)
            continue
        subject, predicate, target = clause
        if target.number is None and target.name == subject.name:
            target = Thing(target.label, target.attributes, 2)
        pattern.add_edge(node(subject), node(target), **({} if predicate is None else {PREDICATE: predicate}))
    return pattern


@dataclass
class Reader:
    """Reads `words` by `known` names by words, of each kind; every method gives all readings from a place, best first.

    `missed` gathers what would have gone on from the farthest place that any reading reached. `dead` are the places
    from which none reaches the end: they are tried once, however many readings lead there ("and" may be a predicate).
    Of the readings of one part that end at the same place the first is followed, as what comes behind is the same: so
    the effort stays a small power of the number of words. `found` keeps those of things.
    """

    words: Words
    known: Mapping[str, Mapping[Words, str]]
    farthest: int = 0
    missed: set[str] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)
    found: dict[tuple[int, bool], list[tuple[Thing, int]]] = field(default_factory=dict)

    def clauses(self, start: int) -> Iterator[Clauses]:
        """The whole rest of the question."""
        if start not in self.dead:
            self.dead.add(start)
            for reading in self.readings(start):
                self.dead.discard(start)
                yield reading

    def readings(self, start: int) -> Iterator[Clauses]:
        """A clause, and the rest behind it."""
        for clause, end in self.clause(start):
            if end == len(self.words):
                yield (clause,)
            elif self.words[end] in JOINTS:
                after = end + 2 if self.words[end : end + 2] == (",", "and") else end + 1
                yield from ((clause, *others) for others in self.clauses(after))
            else:
                self.miss("joint", end)

    def clause(self, start: int) -> Iterator[tuple[Thing | Triplet, int]]:
        """A triplet, or else a thing alone."""
        return first_by_end(chain(self.triplets(start), self.things(start)))

    def triplets(self, start: int) -> Iterator[tuple[Triplet, int]]:
        """Subject, predicate, object."""
        tried: set[int] = set()
        for subject, after_subject in self.things(start):
            for predicate, after_predicate in self.named("predicate", after_subject):
                if after_predicate not in tried:
                    tried.add(after_predicate)
                    yield from (((subject, predicate, target), end) for target, end in self.things(after_predicate))

    def things(self, start: int, articles: bool = True) -> list[tuple[Thing, int]]:
        """A label, numbered or not, after any number of articles and then of attributes."""
        place = (start, articles)
        if place not in self.found:
            self.found[place] = list(first_by_end(self.every_thing(start, articles)))
        return self.found[place]

    def every_thing(self, start: int, articles: bool) -> Iterator[tuple[Thing, int]]:
        """Several readings may end at one place."""
        for label, end in self.named("label", start):
            if self.words[end : end + 1] and re.fullmatch(r"#\d+", self.words[end]):
                yield Thing(label, number=int(self.words[end][1:])), end + 1
            else:
                yield Thing(label), end
        for attribute, end in self.named("attribute", start):
            if attribute is not None:
                for thing, after in self.things(end, articles=False):
                    yield replace(thing, attributes=(attribute, *thing.attributes)), after
        if articles and self.words[start : start + 1] and self.words[start] in ARTICLES:
            yield from self.things(start + 1)

    def named(self, kind: str, start: int) -> Iterator[tuple[str | None, int]]:
        """The names that begin here, the longest first; None for any."""
        known = self.known[kind]
        longest = max(map(len, known), default=0)
        found = False
        for end in range(min(start + longest, len(self.words)), start, -1):
            if (name := known.get(self.words[start:end])) is not None:
                found = True
                yield name, end
        if self.words[start : start + 1] == (ANY,):
            found = True
            yield None, start + 1
        if not found:
            self.miss(kind, start)

    def miss(self, kind: str, place: int) -> None:
        """Remember what was looked for in vain."""
        if place > self.farthest:
            self.farthest, self.missed = place, set()
        if place == self.farthest:
            self.missed.add(kind)

    def complaint(self) -> str:
        """What stopped all readings."""
        kinds = [kind for kind in ("label", "attribute", "predicate") if kind in self.missed]
        known = [name for kind in kinds for name in self.known[kind].values()]
        what = " or ".join(kinds)
        rest = self.words[self.farthest :]
        if not rest:
            return f"it ends where a {what} must follow; 'subject predicate object' is expected, {ANY} for any"
        if not kinds:
            return f"{rest[0]!r} follows where 'and' or the end is expected"
        misplaced = [name for name in self.known["predicate"] if rest[: len(name)] == name]
        if misplaced and "predicate" not in kinds:
            return f"{' '.join(misplaced[0])!r} stands where a {what} is expected, {ANY} for any"
        word = most_like(rest, known)
        return f"{word!r} is no {what} of this graph{nearest(word, known)}"


def first_by_end(readings: Iterable[tuple[Part, int]]) -> Iterator[tuple[Part, int]]:
    """Of readings that end at one place the first."""
    seen: set[int] = set()
    for reading, end in readings:
        if end not in seen:
            seen.add(end)
            yield reading, end


def most_like(words: Sequence[str], known: Sequence[str]) -> str:
    """The first words, as many as make up what looks like a name of as many words; else the first one alone."""
    for count in range(LONGEST_NAME, 1, -1):
        span = " ".join(words[:count])
        if difflib.get_close_matches(span, [name for name in known if len(words_of(name)) == count], 1, LIKENESS):
            return span
    return words[0]
