"""Made-up streams of scenes whose objects move, with the ids that they should get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scenekit.keys import OBJECTS
from scenekit.scene import Objects, Scene
from scenekit.structures import Moment, Vocabulary

VOCABULARY = Vocabulary(things=("car", "person"))
SIZE = (240, 320)
STEP = 0.1
"""Seconds between images."""


def scene(
    boxes: Any,
    number: int,
    labels: Sequence[int] | None = None,
    scores: Sequence[float] | None = None,
    values: Any = None,
    pose: Tensor | None = None,
) -> Scene:
    """A scene of a stream."""
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    objects = Objects(
        rows,
        torch.zeros(len(rows), dtype=torch.int64) if labels is None else torch.tensor(labels),
        scores=torch.full((len(rows),), 0.9) if scores is None else torch.tensor(scores),
    )
    return Scene(SIZE, VOCABULARY, {OBJECTS: objects}, values or {}, moment=Moment(number * STEP, number, pose))


def box(x: float, y: float = 50, width: float = 30, height: float = 40) -> list[float]:
    """A box by its corner."""
    return [x, y, x + width, y + height]


def crossing(count: int = 20) -> list[Scene]:
    """Two objects of one class that pass each other: the second row goes left, the first right, in another height."""
    return [scene([box(20 + 12 * n, 50), box(250 - 12 * n, 66)], n) for n in range(count)]


def without_moments(scenes: Sequence[Scene]) -> list[Scene]:
    """The same without times."""
    return [replace(one, moment=None) for one in scenes]


def ids(scenes: Any) -> list[list[int]]:
    """The ids of each scene."""
    return [one.objects.ids.tolist() for one in scenes]
