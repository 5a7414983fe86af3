"""Captions of objects and pairs of objects: a small grammar filled in with the ground truth.

Letters: Q phrase regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scenekit_datasets.synthetic.annotate import Looks
from scenekit_datasets.synthetic.rng import Dice

Relation = tuple[int, str, int]

HAPPENINGS: dict[str, tuple[str, ...]] = {
    "on": ("{a} on {b}", "{a} on top of {b}", "{b} with {a} on it"),
    "inside": ("{a} inside {b}", "{a} in {b}", "{b} with {a} in it"),
    "under": ("{a} under {b}", "{a} beneath {b}", "{b} above {a}"),
    "left of": ("{a} to the left of {b}", "{a} left of {b}", "{b} to the right of {a}"),
    "right of": ("{a} to the right of {b}", "{a} right of {b}", "{b} to the left of {a}"),
    "in front of": ("{a} in front of {b}", "{b} behind {a}", "{a} nearer than {b}"),
    "behind": ("{a} behind {b}", "{b} in front of {a}", "{a} farther away than {b}"),
    "near": ("{a} near {b}", "{a} next to {b}", "{a} close to {b}"),
}
"""Templates for a relation of subject a to object b."""

TELLING = ("inside", "on", "under")
"""Relations that are mentioned first."""

CLOSE = (*TELLING, "near")
"""Two objects in one of these relations have a region of their own."""


@dataclass(frozen=True)
class Phrase:
    """A described region."""

    box: tuple[float, float, float, float]
    """Box, xyxy in pixels."""
    objects: tuple[int, ...]
    """Objects that it describes."""
    captions: tuple[str, ...]
    """Its captions."""


def indefinite(words: str) -> str:
    """Add the article "a" or "an".

    Args:
        words: A noun phrase.

    Returns:
        With its article.
    """
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _joined(*words: str | None) -> str:
    return " ".join(word for word in words if word)


def brief(look: Looks) -> str:
    """Return color and category with an article, for use inside longer captions.

    Args:
        look: Visible properties of the object.

    Returns:
        A noun phrase.
    """
    if look.category == "person":
        return f"a person in {indefinite(look.color + ' shirt')}" if look.color else "a person"
    return indefinite(_joined(look.color, look.category))


def object_captions(look: Looks) -> tuple[str, ...]:
    """Create three or more different captions of one object.

    Args:
        look: Visible properties of the object.

    Returns:
        The captions.
    """
    if look.category == "person":
        return _person_captions(look)
    pattern = look.pattern if look.pattern != "plain" else None
    full = indefinite(_joined(look.size, look.finish if pattern is None else pattern, look.color, look.category))
    short = indefinite(_joined(look.color, look.category))
    texts = [full, f"{short} tipped over" if look.pose == "tipped" else indefinite(f"upright {look.category}")]
    if look.ground:
        texts.append(f"{short} on the {look.ground}")
    if pattern and look.color:
        texts.append(f"{indefinite(look.category)} that is {look.color} and {pattern}")
    if look.size:
        texts.append(f"the {look.category} is {look.size}" + (f" and {look.color}" if look.color else ""))
    texts.append(f"the {look.category} is {look.color or look.finish}")
    return tuple(dict.fromkeys(texts))


def _person_captions(look: Looks) -> tuple[str, ...]:
    shirt = _joined(look.pattern if look.pattern != "plain" else None, look.color, "shirt") if look.color else None
    legs = f"{look.second} trousers" if look.second else None
    worn = " and ".join(words for words in (indefinite(shirt) if shirt else None, legs) if words)
    texts = [f"a {look.pose} person"]
    if shirt:
        texts.append(f"a person in {indefinite(shirt)}")
    if legs:
        texts.append(f"a {look.pose} person with {legs}")
    texts.append(f"somebody {look.pose}" + (f" on the {look.ground}" if look.ground else ""))
    texts.append(f"a person wearing {worn}" if worn else f"the person is {look.pose}")
    return tuple(dict.fromkeys(texts))


def _pairs(dice: Dice, relations: tuple[Relation, ...]) -> dict[tuple[int, int], list[Relation]]:
    """Return all relations of each two objects that touch, shelter or are near each other; TELLING ones first."""
    grouped: dict[tuple[int, int], list[Relation]] = {}
    for row in dice.shuffled(relations):
        grouped.setdefault((min(row[0], row[2]), max(row[0], row[2])), []).append(row)
    close = {pair: rows for pair, rows in sorted(grouped.items()) if any(row[1] in CLOSE for row in rows)}
    return {pair: sorted(rows, key=lambda row: row[1] not in TELLING) for pair, rows in close.items()}


def _pair_captions(relations: list[Relation], looks: list[Looks]) -> tuple[str, ...]:
    """Return captions of the first relation in full and in brief, then one caption for each other relation."""
    texts: list[str] = []
    for subject, predicate, target in relations:
        a, b = brief(looks[subject]), brief(looks[target])
        templates = HAPPENINGS[predicate] if not texts else HAPPENINGS[predicate][:1]
        texts += [template.format(a=a, b=b) for template in templates]
    subject, predicate, target = relations[0]
    a, b = indefinite(looks[subject].category), indefinite(looks[target].category)
    return tuple(dict.fromkeys([*texts, HAPPENINGS[predicate][0].format(a=a, b=b)]))


def phrases(
    dice: Dice, boxes: Float[np.ndarray, "N 4"], looks: list[Looks], relations: tuple[Relation, ...]
) -> tuple[Phrase, ...]:
    """Create one region per object, then one around every two that are on, inside, under or near each other.

    Args:
        dice: Source of random choices.
        boxes: Boxes of the objects, xyxy in pixels.
        looks: Visible properties of the objects.
        relations: Relations between them.

    Returns:
        The regions.
    """
    rows = enumerate(zip(boxes, looks, strict=True))
    out = [Phrase(tuple(box.tolist()), (i,), object_captions(look)) for i, (box, look) in rows]
    for pair, facts in _pairs(dice, relations).items():
        both = boxes[list(pair)]
        union = np.concatenate([both[:, :2].min(0), both[:, 2:].max(0)])
        out.append(Phrase(tuple(union.tolist()), pair, _pair_captions(facts, looks)))
    return tuple(out)
