"""Descriptions of the objects and of pairs of them: a small grammar filled in with the ground truth.

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
"""Ways to say that subject a stands in a relation to object b."""

TELLING = ("inside", "on", "under")
"""Relations that are mentioned first."""

CLOSE = (*TELLING, "near")
"""Two objects in one of these relations get a region of their own."""


@dataclass(frozen=True)
class Phrase:
    """A described region: its box (xyxy), the objects it is about, and several captions."""

    box: tuple[float, float, float, float]
    objects: tuple[int, ...]
    captions: tuple[str, ...]


def indefinite(words: str) -> str:
    """With "a" or "an" before it."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _joined(*words: str | None) -> str:
    return " ".join(word for word in words if word)


def brief(look: Looks) -> str:
    """Color and category, with an article: for use inside longer captions."""
    if look.category == "person":
        return f"a person in {indefinite(look.color + ' shirt')}" if look.color else "a person"
    return indefinite(_joined(look.color, look.category))


def object_captions(look: Looks) -> tuple[str, ...]:
    """Three or more different descriptions of one object."""
    if look.category == "person":
        return _person_captions(look)
    pattern = look.pattern if look.pattern != "plain" else None
    full = indefinite(_joined(look.size, look.finish if pattern is None else pattern, look.color, look.category))
    short = indefinite(_joined(look.color, look.category))
    says = [full, f"{short} tipped over" if look.pose == "tipped" else indefinite(f"upright {look.category}")]
    if look.ground:
        says.append(f"{short} on the {look.ground}")
    if pattern and look.color:
        says.append(f"{indefinite(look.category)} that is {look.color} and {pattern}")
    if look.size:
        says.append(f"the {look.category} is {look.size}" + (f" and {look.color}" if look.color else ""))
    says.append(f"the {look.category} is {look.color or look.finish}")
    return tuple(dict.fromkeys(says))


def _person_captions(look: Looks) -> tuple[str, ...]:
    shirt = _joined(look.pattern if look.pattern != "plain" else None, look.color, "shirt") if look.color else None
    legs = f"{look.second} trousers" if look.second else None
    worn = " and ".join(words for words in (indefinite(shirt) if shirt else None, legs) if words)
    says = [f"a {look.pose} person"]
    if shirt:
        says.append(f"a person in {indefinite(shirt)}")
    if legs:
        says.append(f"a {look.pose} person with {legs}")
    says.append(f"somebody {look.pose}" + (f" on the {look.ground}" if look.ground else ""))
    says.append(f"a person wearing {worn}" if worn else f"the person is {look.pose}")
    return tuple(dict.fromkeys(says))


def _pairs(dice: Dice, relations: tuple[Relation, ...]) -> dict[tuple[int, int], list[Relation]]:
    """All relations of each two objects that touch, shelter or are near each other; the telling ones first."""
    grouped: dict[tuple[int, int], list[Relation]] = {}
    for row in dice.shuffled(relations):
        grouped.setdefault((min(row[0], row[2]), max(row[0], row[2])), []).append(row)
    close = {pair: rows for pair, rows in sorted(grouped.items()) if any(row[1] in CLOSE for row in rows)}
    return {pair: sorted(rows, key=lambda row: row[1] not in TELLING) for pair, rows in close.items()}


def _pair_captions(relations: list[Relation], looks: list[Looks]) -> tuple[str, ...]:
    """The first relation in full and in brief, then one sentence for each other one."""
    says: list[str] = []
    for subject, predicate, target in relations:
        a, b = brief(looks[subject]), brief(looks[target])
        templates = HAPPENINGS[predicate] if not says else HAPPENINGS[predicate][:1]
        says += [template.format(a=a, b=b) for template in templates]
    subject, predicate, target = relations[0]
    a, b = indefinite(looks[subject].category), indefinite(looks[target].category)
    return tuple(dict.fromkeys([*says, HAPPENINGS[predicate][0].format(a=a, b=b)]))


def phrases(
    dice: Dice, boxes: Float[np.ndarray, "N 4"], looks: list[Looks], relations: tuple[Relation, ...]
) -> tuple[Phrase, ...]:
    """One region for each object, then one around every two that are on, inside, under or near each other."""
    rows = enumerate(zip(boxes, looks, strict=True))
    out = [Phrase(tuple(box.tolist()), (i,), object_captions(look)) for i, (box, look) in rows]
    for pair, facts in _pairs(dice, relations).items():
        both = boxes[list(pair)]
        union = np.concatenate([both[:, :2].min(0), both[:, 2:].max(0)])
        out.append(Phrase(tuple(union.tolist()), pair, _pair_captions(facts, looks)))
    return tuple(out)
