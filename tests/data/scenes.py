"""Hand-made samples for tests of the data path."""

from __future__ import annotations

from typing import Any

import torch

from scenekit.data.sample import Sample, Supervision
from scenekit.fields.semantic import IGNORE
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, RELATIONS, SEMANTIC, Key
from scenekit.scene import Objects, Scene
from scenekit.structures.cameras import Camera
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Skeleton, Vocabulary

EYES = Skeleton(("left_eye", "right_eye"), mirror=(("left_eye", "right_eye"),), sigmas=(0.05, 0.05))
VOCABULARY = Vocabulary(
    things=("cat", "dog"),
    stuff=("grass", "sky"),
    predicates=("left of", "right of", "on"),
    skeletons={"cat": EYES},
    mirror_predicates=(("left of", "right of"),),
)
HEIGHT, WIDTH = 8, 12


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> torch.Tensor:
    """A bitmap that is set in [x0, x1) x [y0, y1)."""
    bitmap = torch.zeros(size, dtype=torch.bool)
    bitmap[y0:y1, x0:x1] = True
    return bitmap


def sample(id: int = 7, **supervision: Any) -> Sample:
    """A cat (1, 2)-(5, 6) left of a dog (8, 3)-(11, 8): grass below y = 4, sky above; the last column is unknown.

    Every pixel of channel 0 holds its x, of channel 1 its y.
    """
    ys, xs = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    image = torch.stack((xs, ys, torch.zeros_like(xs))).to(torch.uint8)
    semantic = torch.where(ys < 4, 3, 2)
    semantic[:, -1] = IGNORE
    masks = torch.stack((rectangle(1, 2, 5, 6), rectangle(8, 3, 11, 8)))
    values: dict[Key[Any, Any], Any] = {
        MASKS: Masks.from_dense(masks),
        SEMANTIC: semantic,
        KEYPOINTS: Keypoints(
            torch.tensor([[[4.5, 2.5], [1.5, 2.5]], [[0.0, 0.0], [0.0, 0.0]]]), torch.tensor([[2, 2], [0, 0]])
        ),
        RELATIONS: Relations(torch.tensor([0]), torch.tensor([1]), torch.tensor([0])),
    }
    scene = Scene(
        size=(HEIGHT, WIDTH),
        vocabulary=VOCABULARY,
        streams={OBJECTS: Objects(torch.tensor([[1.0, 2, 5, 6], [8, 3, 11, 8]]), torch.tensor([0, 1]))},
        values=values,
        valid={KEYPOINTS: torch.tensor([True, False])},
        camera=Camera(torch.tensor([[10.0, 0, 6], [0, 10, 4], [0, 0, 1]])),
    )
    return Sample(image, scene, Supervision(**{"keys": frozenset(values), **supervision}), id)
