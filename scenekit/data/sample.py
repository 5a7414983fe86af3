"""One training example: an image, its ground truth, and what that ground truth supervises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Scene


@dataclass(frozen=True)
class Supervision:
    """What a sample's labels may teach.

    `keys` that are labelled (row keys: where `scene.valid` says so); `classes` that detection labels cover (None: all
    things of the scene's vocabulary); `streams` whose regions are labelled at all, and those of them whose every
    instance is labelled (`exhaustive`). `mirrorable` is False where mirroring would make a label wrong, such as
    free text that says "left".
    """

    keys: frozenset[Key[Any, Any]] = frozenset()
    classes: frozenset[str] | None = None
    streams: frozenset[Stream] = field(default_factory=lambda: frozenset({OBJECTS}))
    exhaustive: frozenset[Stream] = field(default_factory=lambda: frozenset({OBJECTS}))
    mirrorable: bool = True


@dataclass(frozen=True, eq=False)
class Sample:
    """`image` RGB uint8; `scene` in pixels of the image; `id` unique within its data set."""

    image: UInt8[Tensor, "3 H W"]
    scene: Scene
    supervision: Supervision
    id: int
