"""A small model with every task that a whole graph can have, and some that it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import scenekit as sk
from scenekit.model.scene_model import SceneModel
from tests import tiny

SIZE = (64, 96)
VOCABULARY = replace(tiny.VOCABULARY, predicates=("left of", "on"), attributes=("red", "small", "shiny"))
TASKS: dict[str, dict[str, Any]] = {
    **tiny.TASKS,
    "attributes": {"channels": 8, "hidden": 16, "picture_channels": 8, "pooled": 4},
    "boxes3d": {"fcs": [16], "pooled": 4, "position_width": 8},
    "relations": {
        "max_objects": 4,
        "max_pairs": 8,
        "max_relations": 6,
        "pooled": 4,
        "union_pooled": 3,
        "transformer": {"width": 16, "heads": 2, "feedforward": 16, "object_layers": 1, "pairs3d": True, "masks": True},
    },
}


def build() -> SceneModel:
    torch.manual_seed(3)
    model = sk.build(tiny.config(()).model_copy(update={"tasks": TASKS}), VOCABULARY).eval()
    predictor: Any = model.stages["detection"].get_submodule("predictor")
    with torch.no_grad():  # scores that differ, about half of them above those of background
        predictor.classification.weight.mul_(40)
        predictor.deltas.weight.mul_(100)
    return model


def picture(seed: int = 0) -> Tensor:
    """Pixels [3 H W] of an image that the model does not resize."""
    coarse = torch.rand((1, 3, 8, 12), generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=SIZE, mode="bilinear")[0].to(torch.uint8)
