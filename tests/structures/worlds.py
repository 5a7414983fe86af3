"""A small scene with a value under every shared key, for the tests of how they behave."""

from __future__ import annotations

import torch

from scenekit.keys import (
    AMODAL_MASKS,
    ATTRIBUTES,
    BOXES3D,
    CAPTIONS,
    DEPTH,
    KEYPOINTS,
    MASKS,
    MESHES,
    OBJECTS,
    PANOPTIC,
    PHRASE_CAPTIONS,
    PHRASES,
    RELATIONS,
    SEMANTIC,
    VOXELS,
)
from scenekit.scene import Objects, Scene
from scenekit.structures import (
    Boxes3D,
    Camera,
    Captions,
    Keypoints,
    Masks,
    Meshes,
    Panoptic,
    Relations,
    Segment,
    Skeleton,
    Vocabulary,
)

HEIGHT, WIDTH = 8, 12
VOCABULARY = Vocabulary(
    things=("person", "chair"),
    stuff=("floor",),
    predicates=("left of", "right of", "on"),
    attributes=("red", "wooden", "tall"),
    skeletons={
        "person": Skeleton(
            ("nose", "left hand", "right hand"), (("nose", "left hand"),), (("left hand", "right hand"),)
        )
    },
    mirror_predicates=(("left of", "right of"),),
    mirror_words=(("left", "right"),),
)


def scene(count: int = 2) -> Scene:
    """`count` random objects and as many phrases, with everything that the core has a key for."""
    return Scene(
        (HEIGHT, WIDTH),
        VOCABULARY,
        {OBJECTS: objects(count), PHRASES: objects(count)},
        {**image_values(count), **row_values(count)},
        camera=Camera(torch.tensor([[9.0, 0.0, 5.0], [0.0, 9.5, 4.5], [0.0, 0.0, 1.0]])),
        path="street.jpg",
    )


def objects(count: int) -> Objects:
    """Boxes inside the image."""
    corner = torch.rand(count, 2) * 4
    boxes = torch.cat((corner, corner + 1 + torch.rand(count, 2) * 2), dim=1)
    return Objects(boxes, torch.arange(count) % 2, torch.rand(count))


def row_values(count: int) -> dict:
    """One row per object."""
    triangle = torch.tensor([[0, 1, 2]])
    return {
        MASKS: Masks.from_dense(torch.rand(count, HEIGHT, WIDTH) > 0.5),
        AMODAL_MASKS: Masks.from_dense(torch.rand(count, HEIGHT, WIDTH) > 0.3),
        KEYPOINTS: Keypoints(torch.rand(count, 3, 2) * 8, torch.randint(0, 3, (count, 3)), torch.rand(count, 3)),
        ATTRIBUTES: torch.rand(count, 3),
        CAPTIONS: Captions(tuple((f"the left chair {i}", "a chair") for i in range(count)), torch.rand(count)),
        BOXES3D: Boxes3D(torch.rand(count, 3), torch.rand(count, 3) + 0.1, rotations(count), torch.rand(count)),
        MESHES: Meshes.from_lists([torch.rand(3 + i, 3) for i in range(count)], [triangle] * count),
        VOXELS: torch.rand(count, 2, 2, 2),
        PHRASE_CAPTIONS: Captions(tuple((f"phrase {i}",) for i in range(count))),
    }


def image_values(count: int) -> dict:
    """Values of the whole image; the first object is a segment and relates to the last one."""
    ids = torch.zeros(HEIGHT, WIDTH, dtype=torch.int64)
    ids[2:5, 3:7] = 4
    ids[6:] = 9
    segments = (Segment(4, 0, True, object=0, score=0.5),) if count else ()
    depth = torch.rand(HEIGHT, WIDTH)
    depth[0, 0] = torch.nan
    pairs = torch.arange(count)
    return {
        SEMANTIC: torch.randint(-1, 3, (HEIGHT, WIDTH)),
        PANOPTIC: Panoptic(ids * (ids == 9) if not count else ids, (*segments, Segment(9, 2, False))),
        DEPTH: depth,
        RELATIONS: Relations(pairs, pairs.flip(0), pairs % 3, torch.rand(count), torch.rand(count, 3)),
    }


def rotations(count: int) -> torch.Tensor:
    """Random proper rotations."""
    q, _ = torch.linalg.qr(torch.randn(count, 3, 3))
    return q * torch.linalg.det(q)[:, None, None]
