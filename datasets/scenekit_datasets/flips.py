"""Effects of a flip on names and texts: names that exchange sides, and texts that would become wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from scenekit.keys import ATTRIBUTES, CAPTIONS, PHRASE_CAPTIONS, RELATIONS
from scenekit.scene import Scene

SIDES = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])", re.IGNORECASE)
"""A side as a word, also between underscores; not within words such as `bright`."""

_SIDES_IN_TEXT = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}


def sides(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of names that differ only in left and right, such as (left_eye, right_eye).

    Args:
        names: Names.

    Returns:
        (left, right) pairs.
    """
    known = set(names)
    return tuple((name, other) for name in names if (other := other_side(name)) in known and name < other)


def other_side(name: str) -> str:
    """Exchange left and right in a name: `left of` for `right of`, `Right_eye` for `Left_eye`.

    Args:
        name: The name.

    Returns:
        The name in a flipped image.
    """
    return SIDES.sub(lambda match: _like(_OTHER_SIDE[match[0].lower()], match[0]), name)


def is_mirrorable(scene: Scene) -> bool:
    """Return whether all labels hold in a flipped image too: no text has a side that the vocabulary does not exchange.

    Args:
        scene: The ground truth.

    Returns:
        False where the image must not be flipped.
    """
    return not any(map(_unsafe(scene), _texts(scene)))


def _like(word: str, model: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word


def _unsafe(scene: Scene) -> Callable[[str], bool]:
    """Return a function that determines whether a text would be wrong in a flipped image."""
    exchanged = {word for pair in scene.vocabulary.mirror_words for word in pair}

    def unsafe(text: str) -> bool:
        return any(match[0].lower() not in exchanged for match in _SIDES_IN_TEXT.finditer(text))

    return unsafe


def _texts(scene: Scene) -> Iterator[str]:
    """Yield all texts of the labels, without the predicates that have a mirror partner."""
    yield from scene.names()
    for key in (CAPTIONS, PHRASE_CAPTIONS):
        if key in scene:
            yield from (text for texts in scene[key].texts for text in texts)
    vocabulary = scene.vocabulary
    if ATTRIBUTES in scene and len(scene[ATTRIBUTES]):
        held = (scene[ATTRIBUTES] == 1).any(dim=0).tolist()
        yield from (name for name, holds in zip(vocabulary.attributes, held, strict=True) if holds)
    if RELATIONS in scene:
        paired = {name for pair in vocabulary.mirror_predicates for name in pair}
        names = {vocabulary.predicates[n] for n in scene[RELATIONS].predicate.tolist()}
        yield from names - paired
