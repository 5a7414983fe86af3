"""A model that runs in milliseconds, and labelled images worked out by hand to run it on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scenekit.data.collate import collate
from scenekit.data.sample import Sample, Supervision
from scenekit.hooks import TaskSpec
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC, Key
from scenekit.model.head import Core
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.recipe import ModelConfig
from scenekit.scene import Objects, Scene
from scenekit.structures import ImageBatch, Keypoints, Masks, Panoptic, Segment, Skeleton, Vocabulary

SKELETON = Skeleton(("head", "left_foot", "right_foot"), (), (("left_foot", "right_foot"),), (0.1, 0.1, 0.1))
VOCABULARY = Vocabulary(("cup", "person"), ("floor", "wall"), skeletons={"person": SKELETON})
CUP, PERSON, FLOOR, WALL = range(4)
KEYS: frozenset[Key[Any, Any]] = frozenset({MASKS, KEYPOINTS, SEMANTIC, PANOPTIC})
TASKS: Mapping[str, Mapping[str, Any]] = {
    "semantic": {"channels": 8, "norm_groups": 2},
    "masks": {"channels": 8, "convs": 1, "pooled": 7},
    "keypoints": {"channels": 8, "convs": 1, "pooled": 7},
    "panoptic": {"score_threshold": 0.2},
}
SIZE = (48, 64)


def config(tasks: Collection[str] = tuple(TASKS)) -> ModelConfig:
    """About a million parameters, nearly all of them the backbone's; images are 64 pixels high."""
    return ModelConfig.model_validate(
        {
            "input": {"min_size": 64, "max_size": 96},
            "backbone": {"name": "mobilenet_v3_small"},
            "pyramid": {"channels": 16},
            "detector_options": {
                "anchors": {"sizes": [[16], [24], [32], [48], [64]]},
                "rpn": {"pre_nms_train": 60, "post_nms_train": 40, "post_nms_test": 8, "samples": 32},
                "pooler": {"canonical_size": 56},
                "box_head": {"fcs": [32], "samples": 16, "detections": 16},
            },
            "tasks": {name: dict(TASKS[name]) for name in tasks},
        }
    )


def extended(model: SceneModel, *specs: TaskSpec) -> SceneModel:
    """The same stages and heads with more tasks on top."""
    core = Core(16, (4, 8, 16, 32, 64), model.vocabulary)
    tasks = {name: (spec, model.heads[name]) for name, spec in model.specs.items()}
    tasks |= {spec.name: (spec, spec.build(core, spec.config())) for spec in specs}
    return SceneModel(model.config, core, list(model.stages.values()), tasks, model.pooler).eval()


def sample(
    number: int = 0,
    size: tuple[int, int] = SIZE,
    keys: Collection[Key[Any, Any]] = KEYS,
    values: Mapping[Key[Any, Any], Any] | None = None,
    **supervision: Any,
) -> Sample:
    """A person at the left and a cup at the right, before a wall above and a floor below; `number` moves them a bit.

    `keys` are supervised; `values` are further labels; `supervision` goes to the class of that name.
    """
    boxes = torch.tensor([[6.0, 8.0, 26.0, 40.0], [36.0, 20.0, 54.0, 38.0]]) + number % 4
    labels = torch.tensor([PERSON, CUP])
    dense = torch.zeros(2, *size, dtype=torch.bool)
    for bitmap, (x0, y0, x1, y1) in zip(dense, boxes.long().tolist(), strict=True):
        bitmap[y0:y1, x0:x1] = True
    points = torch.stack((boxes[:, :2] + 2.5, boxes[:, :2] + torch.tensor([6.5, 20.5]), boxes[:, 2:] - 2.5), dim=1)
    labelled: dict[Key[Any, Any], Any] = {
        MASKS: Masks.from_dense(dense),
        KEYPOINTS: Keypoints(points, torch.tensor([[2, 2, 1], [0, 0, 0]])),
        **_maps(dense, labels),
        **(values or {}),
    }
    supervised = {*keys, *(values or {})}
    scene = Scene(
        size,
        VOCABULARY,
        {OBJECTS: Objects(boxes, labels)},
        {key: value for key, value in labelled.items() if key in supervised},
        {KEYPOINTS: labels == PERSON} if KEYPOINTS in supervised else {},
    )
    teaches = Supervision(frozenset(supervised), **supervision)
    return Sample(_image(labelled[SEMANTIC], number), scene, teaches, number)


def _maps(dense: Tensor, labels: Tensor) -> dict[Key[Any, Any], Any]:
    semantic = torch.full(dense.shape[1:], FLOOR)
    semantic[: len(semantic) // 2] = WALL
    ids, segments = semantic + 1, [Segment(FLOOR + 1, FLOOR, is_thing=False), Segment(WALL + 1, WALL, is_thing=False)]
    for row, (bitmap, label) in enumerate(zip(dense, labels.tolist(), strict=True)):
        semantic[bitmap], ids[bitmap] = label, 10 + row
        segments.append(Segment(10 + row, label, is_thing=True, object=row))
    return {SEMANTIC: semantic, PANOPTIC: Panoptic(ids, tuple(segments))}


def _image(semantic: Tensor, number: int) -> Tensor:
    colors = torch.tensor([[220, 40, 40], [40, 220, 40], [40, 40, 220], [200, 200, 200]])
    noise = torch.randint(0, 30, (3, *semantic.shape), generator=torch.Generator().manual_seed(number))
    return (colors[semantic].permute(2, 0, 1) + noise).to(torch.uint8)


def empty(number: int = 0, size: tuple[int, int] = SIZE) -> Sample:
    """A labelled image without a single object."""
    semantic = torch.full(size, FLOOR)
    scene = Scene(
        size,
        VOCABULARY,
        {OBJECTS: Objects.empty()},
        {
            MASKS: Masks.empty(0, size),
            KEYPOINTS: Keypoints(torch.zeros(0, 3, 2), torch.zeros(0, 3, dtype=torch.int64)),
            SEMANTIC: semantic,
        },
    )
    return Sample(_image(semantic, number), scene, Supervision(frozenset({MASKS, KEYPOINTS, SEMANTIC})), number)


def unlabelled(number: int = 0) -> Sample:
    """An image about which nothing is said."""
    nothing: frozenset[Any] = frozenset()
    return sample(number, keys=(), streams=nothing, exhaustive=nothing)


def same_weights(model: nn.Module, other: nn.Module) -> bool:
    """Whether `other` has every value of the state of `model`, to the bit."""
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def batch(model: SceneModel, samples: Sequence[Sample]) -> tuple[ImageBatch, Targets]:
    """Samples as the model learns from them; every image has its own seed."""
    return collate(
        samples,
        vocabulary=model.vocabulary,
        keys=model.learns_from,
        config=model.config.input,
        seeds=[100 + one.id for one in samples],
    )
