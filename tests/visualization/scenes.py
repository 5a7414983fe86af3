"""Scenes made by hand, for the tests of what they look like."""

import torch
from PIL import Image

from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC
from scenekit.scene import Objects, Scene
from scenekit.structures import Keypoints, Masks, Panoptic, Segment, Skeleton, Vocabulary

GRAY = (120, 120, 120)
VOCABULARY = Vocabulary(
    things=("person", "<b>chair</b>"),
    stuff=("wall", "floor"),
    skeletons={"person": Skeleton(("head", "hip", "foot"), (("head", "hip"), ("hip", "foot")))},
)


def gray_image(scene: Scene) -> Image.Image:
    """An image of the scene's size without any content."""
    return Image.new("RGB", (scene.size[1], scene.size[0]), GRAY)


def room(height: int = 240, width: int = 320) -> Scene:
    """A person on the left and a chair on the right, before a wall and on a floor."""
    dense = torch.zeros((2, height, width), dtype=torch.bool)
    dense[0, height // 8 : height * 3 // 4, width // 8 : width // 4] = True
    dense[1, height // 2 : height * 3 // 4, width * 5 // 8 : width * 7 // 8] = True
    semantic = torch.full((height, width), 2)
    semantic[height * 5 // 8 :] = 3
    semantic[dense[0]], semantic[dense[1]] = 0, 1
    ids = semantic + 1
    segments = (Segment(1, 0, True, 0, 0.9), Segment(2, 1, True, 1, 0.6), Segment(3, 2, False), Segment(4, 3, False))
    masks = Masks.from_dense(dense)
    middle = 3 * width / 16
    xy = torch.tensor([[middle, height * 0.2], [middle, height * 0.4], [middle, height * 0.7]])
    points = Keypoints(torch.stack((xy, xy * 0)), torch.tensor([[2, 2, 1], [0, 0, 0]]))
    present = [segment for segment in segments if (ids == segment.id).any()]
    return Scene(
        (height, width),
        VOCABULARY,
        {OBJECTS: Objects(masks.boxes, torch.tensor([0, 1]), torch.tensor([0.9, 0.6]))},
        {MASKS: masks, KEYPOINTS: points, SEMANTIC: semantic, PANOPTIC: Panoptic(ids, tuple(present))},
        {KEYPOINTS: torch.tensor([True, False])},
    )


def nothing(height: int = 60, width: int = 80) -> Scene:
    """Every key is there, but nothing was found."""
    size = (height, width)
    points = Keypoints(torch.zeros((0, 3, 2)), torch.zeros((0, 3), dtype=torch.int64))
    panoptic = Panoptic(torch.zeros(size, dtype=torch.int64), ())
    values = {MASKS: Masks((), size), KEYPOINTS: points, SEMANTIC: torch.full(size, -1), PANOPTIC: panoptic}
    return Scene(size, VOCABULARY, {OBJECTS: Objects.empty()}, values)
