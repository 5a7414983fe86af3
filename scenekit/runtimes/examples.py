"""Passes of a model on made-up images, in which every size differs that may differ."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.keys import OBJECTS
from scenekit.model.prediction import evaluating
from scenekit.model.scene_model import SceneModel
from scenekit.structures.cameras import Camera
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

SIZES = ((2, 480, 640), (1, 640, 480), (1, 512, 512))
"""Number, height and width in pixels of the images of each pass."""

PER_CLASS = (2, 1, 0)
"""How many objects of each class the images of each pass have; one object alone where none."""


@torch.no_grad()
def run_examples(model: SceneModel) -> None:
    """Run a model on images of different sizes: as it detects, and on objects of every class.

    Args:
        model: The model.
    """
    detects = any(OBJECTS in model.plan.steps[name].provides for name in model.stages)
    with evaluating(model):
        for (count, height, width), objects in zip(SIZES, PER_CLASS, strict=True):
            images = [_image(seed, height, width) for seed in range(count)]
            cameras = [Camera.pinhole(focal=width * (1.0 + seed), height=height, width=width) for seed in range(count)]
            batch = model.preprocess(images, cameras)
            model(batch)
            if detects and model.vocabulary.things:
                model(batch, given={OBJECTS: _objects(batch, len(model.vocabulary.things), objects)})


def _image(seed: int, height: int, width: int) -> Float[Tensor, "3 H W"]:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, height // 16, width // 16), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]


def _objects(batch: ImageBatch, classes: int, per_class: int) -> Regions:
    """Return objects of each class in every image, or a single object."""
    rows = torch.arange(len(batch) * classes * per_class or 1)
    index, labels = rows // max(1, classes * per_class), rows % classes
    generator = torch.Generator().manual_seed(0)
    height, width = batch.padded_size
    corner = torch.rand((len(rows), 2), generator=generator) * 0.5
    side = 0.1 + torch.rand((len(rows), 2), generator=generator) * 0.4
    boxes = torch.cat((corner, corner + side), dim=1) * torch.tensor([width, height, width, height])
    return Regions(boxes, index, labels, torch.linspace(0.9, 0.6, len(rows)))
