"""Scenes made by hand, for the tests of their graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scenekit.keys import ATTRIBUTES, OBJECTS, RELATIONS
from scenekit.scene import Objects, Scene
from scenekit.structures import Relations, Vocabulary

VOCABULARY = Vocabulary(
    things=("person", "horse", "mug", "table", "dining table", "orange", "salt and pepper"),
    predicates=("riding", "left of", "left", "on", "on top of", "near"),
    attributes=("red", "dark red", "orange", "small"),
)


def scene(
    labels: Sequence[str],
    relations: Sequence[tuple[int, str, int]] | None = (),
    attributes: Sequence[Sequence[str]] | None = None,
    scores: Sequence[float] | None = None,
    relation_scores: Sequence[float] | None = None,
) -> Scene:
    """Objects side by side, their relations by name."""
    count = len(labels)
    left = torch.arange(count) * 10.0
    boxes = torch.stack((left, left * 0 + 5, left + 8, left * 0 + 25), dim=1)
    objects = Objects(
        boxes.reshape(-1, 4),
        torch.tensor([VOCABULARY.things.index(label) for label in labels], dtype=torch.int64),
        None if scores is None else torch.tensor(scores),
    )
    values = {} if relations is None else {RELATIONS: rows(relations, relation_scores)}
    if attributes is not None:
        held = [[float(name in names) for name in VOCABULARY.attributes] for names in attributes]
        values[ATTRIBUTES] = torch.tensor(held).reshape(-1, len(VOCABULARY.attributes))
    return Scene((30, max(10 * count, 10)), VOCABULARY, {OBJECTS: objects}, values)


def rows(relations: Sequence[tuple[int, str, int]], scores: Sequence[float] | None = None) -> Relations:
    """Relations of (subject, predicate, object)."""
    subject = torch.tensor([s for s, _, _ in relations], dtype=torch.int64)
    target = torch.tensor([o for _, _, o in relations], dtype=torch.int64)
    predicate = torch.tensor([VOCABULARY.predicates.index(p) for _, p, _ in relations], dtype=torch.int64)
    return Relations(subject, target, predicate, None if scores is None else torch.tensor(scores))
