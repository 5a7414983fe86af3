"""Sides in names and texts: what becomes of `left_shoe` in a flipped image.

A name with a side changes places with its counterpart. Words end at anything but letters and in camel case:
`left shoe`, `Shoe.L`, `leftHand` and `RIGHT-SHOE` name a side, `bright`, `leftover` and `right angle` do not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""(left, right) names or words that a flip exchanges."""

WORDS: Pairs = (
    ("left", "right"),
    *(("links", "rechts"), ("linke", "rechte"), ("linker", "rechter"), ("linkes", "rechtes"), ("linken", "rechten")),
    *(("gauche", "droite"), ("izquierda", "derecha"), ("izquierdo", "derecho"), ("sinistra", "destra")),
    *(("sinistro", "destro"), ("esquerda", "direita"), ("esquerdo", "direito"), ("левый", "правый")),
    *(("левая", "правая"), ("левое", "правое"), ("слева", "справа"), ("왼쪽", "오른쪽"), ("左", "右")),
)
"""Words that name a side without a vocabulary that pairs them."""

_START = r"(?:(?<![^\W\d_])|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]))"
_END = r"(?:(?![^\W\d_])|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]))"
_IDIOM = (
    rf"{_START}(?i:all[\W_]*right|right[\W_]*(?:angle[sd]?|away|now|triangles?|whales?|of[\W_]*way)|left[\W_]*overs?"
    rf"|(?:left|right)(?:is[htm]s?|y|ies?|ed|eous(?:ly|ness)?|ful(?:ly)?|ing|ly|ness|o|s)){_END}"
)
"""Where left and right name no side."""
_SIDE = rf"{_START}(?i:(?:top|bottom|upper|lower|front|rear|back|turn|facing)?)(?P<side>(?i:left|right))"
"""Also at the start of `leftmost` and at the end of `topleft`."""
_LETTER = rf"{_START}(?<!\d)(?P<letter>[LlRr])(?![\d'’]){_END}"
_ANY_LETTER = rf"{_START}[^\W\d_]{_END}"
_BODY = (
    "eye|ear|brow|cheek|shoulder|elbow|wrist|hand|palm|thumb|finger|arm|hip|knee|ankle|foot|heel|toe|leg|lung|kidney"
)
_SHORT = {
    **{"lh": "rh", "lhs": "rhs", "lt": "rt", "lft": "rgt", "sx": "dx"},
    **{"fl": "fr", "rl": "rr", "bl": "br", "tl": "tr"},
}
"""Abbreviations: left hemisphere, front left, rear left, bottom left, top left and the like."""
_HINTS = (
    (re.compile(r"left|right", re.IGNORECASE), {"left": "right", "right": "left"}),
    (
        re.compile(rf"{_START}(?i:{'|'.join((*_SHORT, *_SHORT.values()))}){_END}"),
        {**_SHORT, **{right: left for left, right in _SHORT.items()}},
    ),
    (re.compile(rf"{_START}[LlRr]{_END}|{_START}(?i:[lr])(?=(?i:{_BODY}))"), {"l": "r", "r": "l"}),
)
"""What is a side only where the counterpart exists: `shoeleft`, `ctx-lh`, `wheel FL`, `finger_l1`, `lknee`."""


@dataclass(frozen=True)
class FlippedNames:
    """What the names of a list become in a flipped image."""

    names: tuple[str, ...]
    """The names."""
    order: tuple[int, ...]
    """Index of the name that each one becomes; its own where it has no side, or no counterpart."""
    one_sided: frozenset[int]
    """Indices of names with a side whose counterpart the list lacks: an image that holds one must not be flipped."""

    @property
    def pairs(self) -> Pairs:
        """Each pair of names that change places, once, such as (left_eye, right_eye)."""
        becomes = ((name, self.names[place]) for name, place in zip(self.names, self.order, strict=True))
        return tuple((name, other) for name, other in becomes if name < other)


def exchanged(text: str, pairs: Pairs) -> str:
    """Exchange the words of a table in a text, in upper and lower case.

    Args:
        text: The text.
        pairs: (left, right) words.

    Returns:
        The text of the flipped image.
    """
    return _replaced(text, pairs, _both_ways(pairs))


def other_side(name: str, pairs: Pairs = ()) -> str:
    """Exchange all sides in a name: `left of` for `right of`, `Shoe.L` for `Shoe.R`.

    Args:
        name: The name.
        pairs: Further words to exchange, (left, right); a word that is paired with itself names no side.

    Returns:
        The name in a flipped image; the same name where it has no side.
    """
    return _replaced(name, pairs, {**_both_ways((*WORDS, ("l", "r"))), **_both_ways(pairs)})


def side_left(text: str, pairs: Pairs) -> str | None:
    """Find a word that names a side and that a table does not exchange.

    Args:
        text: The text.
        pairs: The table, (left, right) words.

    Returns:
        The first such word; None where the table exchanges all sides.
    """
    known = _both_ways(pairs)
    return next((word for word, _ in _sides(text, pairs) if word.lower() not in known), None)


@functools.lru_cache(maxsize=256)
def flipped_names(names: tuple[str, ...], explicit: Pairs = (), words: Pairs = ()) -> FlippedNames:
    """Find the counterpart of each name of a list.

    Args:
        names: The names.
        explicit: (left, right) names that are exchanged, whatever they are.
        words: Further words that are exchanged within names.

    Returns:
        What each name becomes, and which names lack their counterpart.
    """
    find, partner = _finder(names), {a: b for pair in explicit for a, b in (pair, pair[::-1])}
    raw = [_counterpart(name, partner.get(name), find, names, words) for name in names]
    order = tuple(i if j is None or raw[j] != i else j for i, j in enumerate(raw))
    return FlippedNames(names, order, frozenset(i for i, j in enumerate(raw) if j != order[i]))


def _counterpart(
    name: str, partner: str | None, find: Callable[[str], int | None], names: tuple[str, ...], words: Pairs
) -> int | None:
    """Return the index of what a name becomes, None where the list lacks it."""
    if partner is not None:
        return find(partner)
    if not _candidate(words).search(name):
        return find(name)
    other = other_side(name, words)
    if other == name and not _sides(name, words):
        other = next((guess for guess in _guesses(name) if find(guess) is not None), name)
    return None if other != name and _is_of_an_alphabet(name, names) else find(other)


@functools.lru_cache(maxsize=256)
def _candidate(pairs: Pairs) -> re.Pattern[str]:
    """Return a fast pattern that every name with a side matches."""
    words = {re.escape(word) for pair in (*WORDS, *pairs) for word in pair if word}
    hints = rf"(?=[LlRrBbTtFfSsDd])(?:{_HINTS[1][0].pattern}|{_HINTS[2][0].pattern})"
    return re.compile(rf"(?i:{'|'.join(sorted(words))})|{hints}")


def _guesses(name: str) -> Iterator[str]:
    for pattern, swap in _HINTS:
        guess = pattern.sub(lambda match, swap=swap: _like(swap[match[0].lower()], match[0]), name)  # type: ignore[misc]
        if guess != name:
            yield guess


def _is_of_an_alphabet(name: str, names: tuple[str, ...]) -> bool:
    """Return whether the side is a letter, and other names differ from this one in that letter: `L` of R, L and C."""
    letters = [match for match in re.finditer(_ANY_LETTER, name) if match[0] in "LlRr"]
    if len(letters) != 1 or any(len(word) > 1 for word, _ in _sides(name, ())):
        return False
    start, end = letters[0].span()
    frame = re.compile(f"{re.escape(name[:start])}[^\\W\\d_lr]{re.escape(name[end:])}", re.IGNORECASE)
    return any(map(frame.fullmatch, names))


def _finder(names: tuple[str, ...]) -> Callable[[str], int | None]:
    """Return a function from a name, in this or another spelling, to its index."""
    exact = {name: index for index, name in enumerate(names)}

    @functools.cache
    def spelled() -> dict[str, list[int]]:
        alike: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            alike.setdefault(_spelling(name), []).append(index)
        return alike

    def find(name: str) -> int | None:
        if name in exact:
            return exact[name]
        alike = spelled().get(_spelling(name), [])
        return alike[0] if len(alike) == 1 else None

    return find


def _spelling(name: str) -> str:
    return " ".join(filter(None, re.split(rf"[\W_]+|{_START}(?=[^\W\d_])", name))).casefold()


def _replaced(text: str, pairs: Pairs, swap: Mapping[str, str]) -> str:
    parts, end = [], 0
    for word, start in _sides(text, pairs):
        parts += [text[end:start], _like(swap.get(word.lower(), word), word)]
        end = start + len(word)
    return "".join((*parts, text[end:]))


def _sides(text: str, pairs: Pairs) -> list[tuple[str, int]]:
    """Return words that name a side, and where they start; letters only beside other words."""
    found = []
    for match in _pattern(pairs).finditer(text):
        kind = match.lastgroup
        alone = kind == "letter" and not any(map(str.isalpha, text[: match.start()] + text[match.end() :]))
        if kind is not None and not alone:
            found.append((match[kind], match.start(kind)))
    return found


@functools.lru_cache(maxsize=256)
def _pattern(pairs: Pairs) -> re.Pattern[str]:
    """Return the pattern of phrases and words of a table, idioms, and the words that name a side anyway."""
    own = sorted({word for pair in pairs for word in pair if word}, key=len, reverse=True)
    phrases = [word for word in own if not word.isalpha()]
    foreign = [word for pair in WORDS[1:] for word in pair]
    groups = (_words("phrase", phrases), _IDIOM, _words("word", own), _SIDE, _words("foreign", foreign), _LETTER)
    return re.compile("|".join(group for group in groups if group))


def _words(group: str, words: list[str]) -> str:
    """Return a pattern of whole words; signs of scripts without blanks need no border."""
    plain = [re.escape(word) for word in words if word.isascii() or len(word) > 1]
    signs = [word for word in words if not word.isascii() and len(word) == 1]
    bounded = [f"{_START}(?i:{'|'.join(plain)}){_END}"] if plain else []
    return f"(?P<{group}>{'|'.join((*bounded, *signs))})" if words else ""


def _both_ways(pairs: Pairs) -> dict[str, str]:
    return {a.lower(): b for pair in pairs for a, b in (pair, pair[::-1])}


def _like(word: str, model: str) -> str:
    """Return a word in the case of another one."""
    if model.isupper() or model.islower():
        return word.upper() if model.isupper() else word.lower()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
