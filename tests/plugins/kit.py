"""Boards, regions and ground truth small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.detection import RoIPooler
from scenekit.keys import FEATURES, OBJECTS, Key
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.model.targets import Targets
from scenekit.structures import FeaturePyramid, ImageBatch, Regions, Skeleton, Vocabulary

SKELETON = Skeleton(("nose", "left_hand", "right_hand"), mirror=(("left_hand", "right_hand"),), sigmas=(0.1,) * 3)
VOCABULARY = Vocabulary(("person", "cup"), ("floor", "wall"), skeletons={"person": SKELETON})
PERSON, CUP, FLOOR, WALL = range(4)
CORE = Core(8, (4, 8, 16, 32), VOCABULARY)


def regions(boxes: Sequence[Sequence[float]], labels: Sequence[int], **more: Any) -> Regions:
    """Regions of the first image, matched to the first, second, ... row of the ground truth unless told."""
    columns = {name: torch.tensor(value) for name, value in more.items()}
    columns.setdefault("matched", torch.arange(len(labels)))
    packed = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    names = torch.tensor(labels, dtype=torch.int64)
    return Regions(packed, torch.zeros_like(names), names, **columns)


def pyramid(height: int, width: int, channels: int = 8, strides: Sequence[int] = (4, 8, 16, 32)) -> FeaturePyramid:
    """Random features of one image; levels cover it with whole cells."""
    maps = tuple(torch.randn(1, channels, -(-height // s), -(-width // s)) for s in strides)
    return FeaturePyramid(maps, tuple(strides))


def board(features: FeaturePyramid, objects: Regions | None = None, size: tuple[int, int] = (64, 64)) -> Board:
    """The view of a head that follows OBJECTS, of a batch with one image of `size`."""
    images = ImageBatch(torch.zeros(1, 3, *size), (size,), (size,))
    whole = Board(images, RoIPooler())
    whole.put(FEATURES, features)
    if objects is None:
        return whole.view("head", (FEATURES,), {})
    whole.put(OBJECTS, objects)
    return whole.view("head", (FEATURES, OBJECTS), {OBJECTS: objects})


def targets(values: Mapping[Key[Any, Any], Any], objects: Regions | None = None) -> Targets:
    """Everything labelled, aligned with the regions of the head."""
    valid = {key: torch.ones(len(value), dtype=torch.bool) for key, value in values.items()}
    return Targets(values=values, valid=valid).aligned({} if objects is None else {OBJECTS: objects})


def finite_gradients(loss: Tensor, module: torch.nn.Module) -> bool:
    """Whether every parameter of the module takes part in the loss with a finite gradient."""
    gradients = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    return all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)
