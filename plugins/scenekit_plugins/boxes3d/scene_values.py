"""What the protocols for 3D boxes read of a scene.

Letters: N objects.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import box_area, clip_boxes_to_image

from scenekit.keys import BOXES3D, TRUNCATION, Key
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D


def boxes3d_of(scene: Scene) -> Boxes3D:
    """Return the 3D boxes of the objects, on the CPU; NaN in rows that have none."""
    count = len(scene.objects)
    if BOXES3D not in scene:
        return Boxes3D(*(torch.full((count, *shape), torch.nan) for shape in ((3,), (3,), (3, 3))))
    boxes = scene[BOXES3D]
    parts = (None if part is None else part.detach().cpu().float() for part in vars(boxes).values())
    return Boxes3D(*parts)  # type: ignore[arg-type]


def scores_of(scene: Scene) -> Float[Tensor, " N"]:
    """Return the scores of the 3D boxes; those of the objects where boxes have none, 1 where objects have none."""
    boxes, objects = boxes3d_of(scene), scene.objects
    scores = objects.scores if boxes.scores is None else boxes.scores
    return torch.ones(len(objects)) if scores is None else scores.detach().cpu().float()


def truncation_of(scene: Scene, projected: Float[Tensor, "N 4"]) -> Float[Tensor, " N"]:
    """Return TRUNCATION where it is annotated, else the share of the projected boxes beyond the image."""
    inside = box_area(clip_boxes_to_image(projected, scene.size)) / box_area(projected).clamp(min=1e-6)
    return annotated_or(scene, TRUNCATION, 1 - inside)


def annotated_or(scene: Scene, key: Key[Any, Any], default: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return the value of each object, and the default of those that are not annotated with the key."""
    if key not in scene:
        return default
    value: Tensor = scene[key].float()
    return value.where(scene.rows_with(key) & ~value.isnan(), default)
