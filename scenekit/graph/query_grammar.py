"""The grammar of queries as text, with the names that a graph knows (see `scenekit.graph.find`).

A query is one or more of `subject predicate object`, or a thing alone, with "and", "," or ";" between them.
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
CONJUNCTIONS = ("and", ",", ";")
ARTICLES = ("a", "an", "the")

MAX_WORDS = 100
"""Longer queries are refused."""

MAX_NAME_WORDS = 4
"""Upper limit of the words of a misspelt name."""

MIN_SIMILARITY = 0.75
"""Smallest similarity, 0 to 1, of a misspelt name to a known one."""

Words = tuple[str, ...]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Names:
    """The names that a query to a graph may use."""

    label: tuple[str, ...]
    """Class names of objects."""
    attribute: tuple[str, ...]
    """Names of attributes."""
    predicate: tuple[str, ...]
    """Names of predicates."""

    @classmethod
    def of(cls, graph: Graph) -> Names:
        """Return the names of the graph's vocabulary, then those that only its nodes and edges use.

        Args:
            graph: The graph.

        Returns:
            The names.
        """
        known = Vocabulary.from_json(graph.graph.get(VOCABULARY, {"things": []}))
        nodes, edges = graph.nodes.values(), [relation for *_, relation in graph.edges(data=True)]
        own = (name for names in known.lists.values() for name in names)  # of pairs of plugins, among others
        return cls(
            unique(known.things, (node.get(LABEL) for node in nodes)),
            unique(known.attributes, (name for node in nodes for name in node.get(ATTRIBUTES.name, ()))),
            unique((*known.predicates, *own), (relation.get(PREDICATE) for relation in edges)),
        )

    def by_words(self, kind: str) -> dict[Words, str]:
        """Return the names of a kind by their words.

        Args:
            kind: "label", "attribute" or "predicate".

        Returns:
            Name by words.
        """
        names: tuple[str, ...] = getattr(self, kind)
        return {tuple(words_of(name)): name for name in names}

    def check(self, kind: str, name: object) -> None:
        """Check that a name is known.

        Args:
            kind: "label", "attribute" or "predicate".
            name: The name.

        Raises:
            InputError: If the graph has no such name.
        """
        known: tuple[str, ...] = getattr(self, kind)
        if name not in known:
            raise InputError(f"this graph has no {kind} {name!r}{nearest(str(name), known)}")


def unique(*parts: Iterable[str | None]) -> tuple[str, ...]:
    """Return all names once, in their order.

    Args:
        parts: Names; None is skipped.

    Returns:
        The distinct names.
    """
    return tuple(dict.fromkeys(name for part in parts for name in part if name is not None))


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words; commas, semicolons and the number after `#` are words of their own.

    Args:
        text: The text.

    Returns:
        The words.
    """
    return re.findall(r"[,;]|#\d+|[^\s,;#]+|#", text.casefold())


@dataclass(frozen=True)
class Thing:
    """An object of a query, as `red mug#2`."""

    label: str | None
    """Class name; None for any."""
    attributes: tuple[str, ...] = ()
    """Names of its attributes."""
    number: int | None = None
    """Number that distinguishes objects of the same name."""

    @property
    def name(self) -> str:
        """Name of the pattern's node."""
        words = " ".join((*self.attributes, self.label or ANY))
        return words if self.number in (None, 1) else f"{words}#{self.number}"


Triplet = tuple[Thing, str | None, Thing]
Clauses = tuple[Thing | Triplet, ...]


def parse(text: str, names: Names) -> Graph:
    """Parse a query.

    Args:
        text: The query.
        names: Names of the graph.

    Returns:
        The pattern; its nodes have the names of the query.

    Raises:
        InputError: If a word is unknown (the message has the nearest known name), or the text is not a query.
    """
    words = words_of(text)
    if not 0 < len(words) <= MAX_WORDS:
        raise InputError(f"expected a query of 1 to {MAX_WORDS} words, got {len(words)}")
    parser = Parser(tuple(words), {kind: names.by_words(kind) for kind in ("label", "attribute", "predicate")})
    clauses = next(parser.clauses(0), None)
    if clauses is None:
        raise InputError(f"cannot parse {text.strip()!r}: {parser.error_message()}")
    return pattern_of(clauses)


def pattern_of(clauses: Clauses) -> Graph:
    """Build the pattern of a query: one node per name, one edge per triplet.

    Args:
        clauses: The parsed query.

    Returns:
        The pattern.
    """
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
class Parser:
    """A parser whose methods return all parses from a position, best first.

    Of the parses of one part that end at the same position the first is followed, as the rest is the same: so the
    effort stays a small power of the number of words.
    """

    words: Words
    """Words of the query."""
    known: Mapping[str, Mapping[Words, str]]
    """Name by words, of each kind."""
    farthest: int = 0
    """The farthest position that any parse reached."""
    expected: set[str] = field(default_factory=set)
    """What would have continued a parse from there."""
    failed: set[int] = field(default_factory=set)
    """Positions from which no parse reaches the end: they are tried once, however many parses lead there ("and" may be
    a predicate).
    """
    parsed: dict[tuple[int, bool], list[tuple[Thing, int]]] = field(default_factory=dict)
    """Parses of things by position."""

    def clauses(self, start: int) -> Iterator[Clauses]:
        """Parse the whole rest of the query.

        Args:
            start: Position of its first word.

        Returns:
            The clauses.
        """
        if start not in self.failed:
            self.failed.add(start)
            for parse in self.sequences(start):
                self.failed.discard(start)
                yield parse

    def sequences(self, start: int) -> Iterator[Clauses]:
        """Parse a clause, and the rest after it.

        Args:
            start: Position of its first word.

        Returns:
            The clauses.
        """
        for clause, end in self.clause(start):
            if end == len(self.words):
                yield (clause,)
            elif self.words[end] in CONJUNCTIONS:
                after = end + 2 if self.words[end : end + 2] == (",", "and") else end + 1
                yield from ((clause, *others) for others in self.clauses(after))
            else:
                self.expect("conjunction", end)

    def clause(self, start: int) -> Iterator[tuple[Thing | Triplet, int]]:
        """Parse a triplet, or else a thing alone.

        Args:
            start: Position of its first word.

        Returns:
            The clause and the position after it.
        """
        return first_by_end(chain(self.triplets(start), self.things(start)))

    def triplets(self, start: int) -> Iterator[tuple[Triplet, int]]:
        """Parse subject, predicate and object.

        Args:
            start: Position of the first word.

        Returns:
            The triplet and the position after it.
        """
        tried: set[int] = set()
        for subject, after_subject in self.things(start):
            for predicate, after_predicate in self.named("predicate", after_subject):
                if after_predicate not in tried:
                    tried.add(after_predicate)
                    yield from (((subject, predicate, target), end) for target, end in self.things(after_predicate))

    def things(self, start: int, articles: bool = True) -> list[tuple[Thing, int]]:
        """Parse a label, numbered or not, after any number of articles and then of attributes.

        Args:
            start: Position of the first word.
            articles: Whether articles may stand there.

        Returns:
            Things and the positions after them, one per position.
        """
        place = (start, articles)
        if place not in self.parsed:
            self.parsed[place] = list(first_by_end(self.every_thing(start, articles)))
        return self.parsed[place]

    def every_thing(self, start: int, articles: bool) -> Iterator[tuple[Thing, int]]:
        """Parse a thing in every way; several parses may end at one position.

        Args:
            start: Position of the first word.
            articles: Whether articles may stand there.

        Returns:
            Things and the positions after them.
        """
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
        """Match the names that begin at a position, the longest first.

        Args:
            kind: "label", "attribute" or "predicate".
            start: Position of the first word.

        Returns:
            The name, None for any, and the position after it.
        """
        known = self.known[kind]
        longest = max(map(len, known), default=0)
        matched = False
        for end in range(min(start + longest, len(self.words)), start, -1):
            if (name := known.get(self.words[start:end])) is not None:
                matched = True
                yield name, end
        if self.words[start : start + 1] == (ANY,):
            matched = True
            yield None, start + 1
        if not matched:
            self.expect(kind, start)

    def expect(self, kind: str, place: int) -> None:
        """Record what was expected at a position.

        Args:
            kind: "label", "attribute", "predicate" or "conjunction".
            place: The position.
        """
        if place > self.farthest:
            self.farthest, self.expected = place, set()
        if place == self.farthest:
            self.expected.add(kind)

    def error_message(self) -> str:
        """Return what stopped all parses.

        Returns:
            The end of an error message.
        """
        kinds = [kind for kind in ("label", "attribute", "predicate") if kind in self.expected]
        known = [name for kind in kinds for name in self.known[kind].values()]
        what = " or ".join(kinds)
        rest = self.words[self.farthest :]
        if not rest:
            return f"it ends where a {what} must follow; expected 'subject predicate object', {ANY} for any"
        if not kinds:
            return f"expected 'and' or the end, got {rest[0]!r}"
        misplaced = [name for name in self.known["predicate"] if rest[: len(name)] == name]
        if misplaced and "predicate" not in kinds:
            return f"expected a {what} or {ANY} for any, got the predicate {' '.join(misplaced[0])!r}"
        word = misspelt_name(rest, known)
        return f"this graph has no {what} {word!r}{nearest(word, known)}"


def first_by_end(parses: Iterable[tuple[Part, int]]) -> Iterator[tuple[Part, int]]:
    """Yield the first of all parses that end at the same position.

    Args:
        parses: Parsed parts and the positions after them.

    Returns:
        One parse per position.
    """
    ends: set[int] = set()
    for part, end in parses:
        if end not in ends:
            ends.add(end)
            yield part, end


def misspelt_name(words: Sequence[str], known: Sequence[str]) -> str:
    """Return the first words that together resemble a known name of as many words; else the first word alone.

    Args:
        words: The rest of a query.
        known: Known names.

    Returns:
        The words, joined by blanks.
    """
    for count in range(MAX_NAME_WORDS, 1, -1):
        span = " ".join(words[:count])
        if difflib.get_close_matches(span, [name for name in known if len(words_of(name)) == count], 1, MIN_SIMILARITY):
            return span
    return words[0]
