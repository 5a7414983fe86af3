"""Made-up ground truth for any key, so that a task can be checked without a data set.

Letters: N regions of an image, K points of the skeleton, A attributes, H W pixels.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.fields.attributes import AttributeField
from scenekit.fields.base import Field, ImageField
from scenekit.fields.boxes3d import Box3DField
from scenekit.fields.captions import CaptionField
from scenekit.fields.depth import DepthField
from scenekit.fields.keypoints import KeypointField
from scenekit.fields.masks import MaskField
from scenekit.fields.meshes import MeshField
from scenekit.fields.panoptic import PanopticField
from scenekit.fields.relations import RelationField
from scenekit.fields.semantic import SemanticField
from scenekit.keys import Key
from scenekit.scene import Objects, Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.captions import Captions
from scenekit.structures.keypoints import VISIBLE, Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.meshes import Meshes
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.relations import Relations

FREE = 4
"""How long a dimension is that a key's `shape` leaves open."""


def example(key: Key[Any, Any], scene: Scene) -> Any:
    """What an annotator might say about `key` in a scene that has regions and nothing else.

    The key's own `example` is asked first, then the kind of its field; a key with a plain field gets fractions between
    0 and 1, in rows of the shape that it declares.
    """
    return _by_field(key.field, key, scene) if key.example is None else key.example(scene)


@singledispatch
def _by_field(field: Field[Any, Any], key: Key[Any, Any], scene: Scene) -> Any:
    sides = key.shape[1:] if key.shape else ("free",) * (field.dims - 1)
    return _fractions(len(_regions(key, scene)), *(side if isinstance(side, int) else FREE for side in sides))


@_by_field.register
def _(field: ImageField, key: Key[Any, Any], scene: Scene) -> Any:  # type: ignore[type-arg]
    return 0.5


@_by_field.register
def _(field: AttributeField, key: Key[Any, Any], scene: Scene) -> Float[Tensor, "N A"]:
    rows, attributes = len(_regions(key, scene)), len(scene.vocabulary.attributes)
    return ((torch.arange(rows)[:, None] + torch.arange(attributes)) % 2).float()


@_by_field.register
def _(field: MaskField, key: Key[Any, Any], scene: Scene) -> Masks:
    return Masks.from_dense(_bitmaps(_regions(key, scene), scene))


@_by_field.register
def _(field: KeypointField, key: Key[Any, Any], scene: Scene) -> Keypoints:
    boxes, skeleton = _regions(key, scene).boxes, scene.vocabulary.skeleton
    along = torch.linspace(0.2, 0.8, 1 if skeleton is None else len(skeleton.points))
    xy = boxes[:, None, :2] + along[None, :, None] * (boxes[:, None, 2:] - boxes[:, None, :2])
    return Keypoints(xy, torch.full(xy.shape[:2], VISIBLE))


@_by_field.register
def _(field: CaptionField, key: Key[Any, Any], scene: Scene) -> Captions:
    names = [scene.vocabulary.things[label] for label in _regions(key, scene).labels.tolist()]
    return Captions(tuple((f"a {name} on the left", f"one {name}") for name in names))


@_by_field.register
def _(field: Box3DField, key: Key[Any, Any], scene: Scene) -> Boxes3D:
    """As seen by the scene's camera: about as far away as the longer side of the image is wide."""
    boxes = _regions(key, scene).boxes
    middle, depth = (boxes[:, :2] + boxes[:, 2:]) / 2, torch.linspace(2.0, 4.0, len(boxes))[:, None]
    height, width = scene.size
    center = torch.cat(((middle - middle.new_tensor([width / 2, height / 2])) / max(scene.size) * depth, depth), dim=1)
    return Boxes3D(center, torch.full((len(boxes), 3), 0.5), torch.eye(3).repeat(len(boxes), 1, 1))


@_by_field.register
def _(field: MeshField, key: Key[Any, Any], scene: Scene) -> Meshes:
    """A tetrahedron for each."""
    verts = torch.tensor([[0.0, 0.0, 2.0], [0.5, 0.0, 2.0], [0.0, 0.5, 2.0], [0.0, 0.0, 2.5]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    count = len(_regions(key, scene))
    return Meshes.from_lists([verts] * count, [faces] * count)


@_by_field.register
def _(field: SemanticField, key: Key[Any, Any], scene: Scene) -> Int[Tensor, "H W"]:
    labels = torch.full(scene.size, len(scene.vocabulary.labels) - 1)
    for bitmap, label in zip(_bitmaps(scene.objects, scene), scene.objects.labels, strict=True):
        labels[bitmap] = label
    return labels


@_by_field.register
def _(field: DepthField, key: Key[Any, Any], scene: Scene) -> Float[Tensor, "H W"]:
    return torch.linspace(5.0, 1.0, scene.size[0])[:, None].repeat(1, scene.size[1])


@_by_field.register
def _(field: PanopticField, key: Key[Any, Any], scene: Scene) -> Panoptic:
    """Every object is a segment; what is left belongs to the last kind of stuff."""
    vocabulary, last = scene.vocabulary, len(scene.vocabulary.labels) - 1
    ids, segments = torch.ones(scene.size, dtype=torch.int64), []
    if vocabulary.stuff:
        segments.append(Segment(1, last, is_thing=False))
    for row, bitmap in enumerate(_bitmaps(scene.objects, scene)):
        ids[bitmap] = row + 2
        segments.append(Segment(row + 2, int(scene.objects.labels[row]), is_thing=True, object=row))
    return Panoptic(ids, tuple(segments))


@_by_field.register
def _(field: RelationField, key: Key[Any, Any], scene: Scene) -> Relations:
    """Each object to the next one."""
    subject = torch.arange(max(len(scene.objects) - 1, 0))
    return Relations(subject, subject + 1, subject % max(len(scene.vocabulary.predicates), 1))


def _regions(key: Key[Any, Any], scene: Scene) -> Objects:
    assert key.of is not None, f"{key.name} follows the image but its field is one of rows"
    return scene.regions(key.of)


def _bitmaps(regions: Objects, scene: Scene) -> Bool[Tensor, "N H W"]:
    dense = torch.zeros(len(regions), *scene.size, dtype=torch.bool)
    for bitmap, (x0, y0, x1, y1) in zip(dense, regions.boxes.round().long().tolist(), strict=True):
        bitmap[y0:y1, x0:x1] = True
    return dense


def _fractions(*shape: int) -> Tensor:
    """Numbers between 0 and 1, neither of which is among them, so that they may stand for most things."""
    count = 1
    for side in shape:
        count *= side
    return torch.linspace(0.1, 0.9, count).reshape(shape)
