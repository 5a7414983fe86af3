"""Scenes in metres made by hand: what they look like can be worked out on paper."""

from collections.abc import Sequence

import torch

from scenekit.keys import BOXES3D, MESHES, OBJECTS
from scenekit.scene import Objects, Scene
from scenekit.structures import Boxes3D, Camera, Meshes, Vocabulary

VOCABULARY = Vocabulary(things=("crate", "traffic cone"))

SIDE = 200
CAMERA = Camera(torch.tensor([[100.0, 0.0, 100.0], [0.0, 100.0, 100.0], [0.0, 0.0, 1.0]]))
"""Focal length 100 pixels, in the middle of an image of 200 x 200."""


def cuboids(parameters: Sequence[Sequence[float]], camera: Camera | None = CAMERA, labels: int = 0) -> Scene:
    """A scene of 3D boxes: x y z w h l roll pitch yaw each. The 2D boxes are the whole image."""
    count = len(parameters)
    objects = Objects(torch.tensor([[0.0, 0.0, SIDE, SIDE]] * count).reshape(-1, 4), torch.full((count,), labels))
    boxes = Boxes3D.from_parameters(torch.tensor(parameters, dtype=torch.float32).reshape(-1, 9))
    return Scene((SIDE, SIDE), VOCABULARY, {OBJECTS: objects}, {BOXES3D: boxes}, camera=camera)


def ahead(z: float = 5.0, x: float = 0.0, side: float = 2.0) -> list[float]:
    """A cube on the optical axis, or `x` metres to the right of it."""
    return [x, 0, z, side, side, side, 0, 0, 0]


def triangles(corners: Sequence[Sequence[Sequence[float]]], camera: Camera | None = CAMERA) -> Scene:
    """A scene of meshes of one triangle each."""
    count = len(corners)
    objects = Objects(torch.tensor([[0.0, 0.0, SIDE, SIDE]] * count).reshape(-1, 4), torch.arange(count) % 2)
    faces = torch.tensor([[0, 1, 2]])
    meshes = Meshes.from_lists([torch.tensor(part, dtype=torch.float32) for part in corners], [faces] * count)
    return Scene((SIDE, SIDE), VOCABULARY, {OBJECTS: objects}, {MESHES: meshes}, camera=camera)
