"""A scene with every value that messages have a place for."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

import scenekit as sk
from tests import tiny

BOXES = sk.Boxes3D.from_parameters(
    torch.tensor(
        [[1.0, 2.0, 8.0, 1.0, 1.5, 3.0, 0.0, 0.0, -math.pi / 2], [-1.0, 1.0, 5.0, 0.2, 0.3, 0.2, 0.0, 0.0, 0.0]]
    )
)
"""The first one, the person's, faces away from the camera, the second one to its right."""


def scene(number: int = 0) -> sk.Scene:
    """A person (id 4) and a cup (id 7) at (6, 8) to (26, 40) and (36, 20) to (54, 38), with 3D boxes and a relation."""
    made = tiny.sample().scene
    objects = replace(made.objects, ids=torch.tensor([4, 7]), scores=torch.tensor([0.75, 0.5]))
    vocabulary = replace(made.vocabulary, predicates=("near",))
    near = sk.Relations(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))
    values = {**made.values, sk.BOXES3D: BOXES, sk.RELATIONS: near}
    moment = sk.Moment(100.25 + number, number)
    return replace(made, vocabulary=vocabulary, streams={sk.OBJECTS: objects}, values=values, moment=moment)
