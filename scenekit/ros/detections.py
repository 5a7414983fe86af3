"""Scenes as messages of vision_msgs: boxes in two and three dimensions, maps of labels and instances, and class names.

Conventions, where ROS leaves them open:

* `class_id` of a hypothesis is the name of the class;
* `id` of a detection is the number of its instance: 1 + the id of the object, which trackers keep over time;
* pixels of the label image (mono16) are 1 + the label, as LabelInfo lists them, 0 where there is none;
* pixels of the instance image (mono16) are numbers of instances, 0 where there is none; of masks that overlap, the
  one of the better score is on top.

Letters: N objects, H W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt16
from torch import Tensor

from scenekit.keys import BOXES3D, MASKS, PANOPTIC, SEMANTIC
from scenekit.ops.poses import BODY
from scenekit.ops.rotations import matrix_to_quaternion
from scenekit.ros.headers import Header
from scenekit.ros.values import Described, Values
from scenekit.scene import Objects, Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.panoptic import Panoptic
from scenekit.structures.vocabulary import Vocabulary

LARGEST = 2**16 - 1
"""Largest value of a pixel of mono16."""


def detections2d(scene: Scene, header: Header) -> Described:
    """Describe the boxes as a Detection2DArray.

    Args:
        scene: The scene.
        header: Header of its image.

    Returns:
        The message; the center of a box is in pixels from the corner of the image.
    """
    results, ids = hypotheses(scene), instance_numbers(scene.objects)
    detections = []
    for row, (x0, y0, x1, y1) in enumerate(scene.objects.boxes.tolist()):
        center = {"position": {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2}}
        box = {"center": center, "size_x": x1 - x0, "size_y": y1 - y0}
        hypothesis = {"hypothesis": results[row]}
        detections.append({"header": header.values, "results": [hypothesis], "bbox": box, "id": str(ids[row])})
    values = {"header": header.values, "detections": detections}
    return Described("detections2d", "vision_msgs/msg/Detection2DArray", values)


def detections3d(scene: Scene, header: Header) -> Described:
    """Describe the 3D boxes as a Detection3DArray.

    Args:
        scene: A scene with 3D boxes.
        header: Header of its image.

    Returns:
        The message, in metres of the optical frame of the camera (x right, y down, z forward); the axes of a box are
        those of REP 103: x forward along its length, y left along its width, z up along its height.
    """
    results, ids = hypotheses(scene), instance_numbers(scene.objects)
    detections = []
    for row, pose, size in cuboids(scene):
        hypothesis = {"hypothesis": results[row], "pose": {"pose": pose}}
        box = {"center": pose, "size": size}
        detections.append({"header": header.values, "results": [hypothesis], "bbox": box, "id": str(ids[row])})
    values = {"header": header.values, "detections": detections}
    return Described("detections3d", "vision_msgs/msg/Detection3DArray", values)


def hypotheses(scene: Scene) -> list[Values]:
    """Return the class and the score of each object.

    Args:
        scene: The scene.

    Returns:
        Values of a message ObjectHypothesis per row; the score is 1 in ground truth.
    """
    scores = scene.objects.scores
    known = torch.ones(len(scene.objects)) if scores is None else scores
    return [{"class_id": name, "score": score} for name, score in zip(scene.names(), known.tolist(), strict=True)]


def has_cuboids(scene: Scene) -> bool:
    """Return whether a scene has 3D boxes, be they none.

    Args:
        scene: The scene.

    Returns:
        True if it has.
    """
    return BOXES3D in scene


def cuboids(scene: Scene) -> Iterator[tuple[int, Values, Values]]:
    """Yield the 3D boxes that are valid.

    Args:
        scene: The scene.

    Yields:
        (Row, values of its Pose, values of its size as a Vector3); none for a scene without 3D boxes.
    """
    if not has_cuboids(scene):
        return
    boxes: Boxes3D = scene[BOXES3D]
    rows = (scene.rows_with(BOXES3D) & boxes.valid).nonzero()[:, 0].tolist()
    turns = matrix_to_quaternion(boxes.rotation[rows].double() @ torch.from_numpy(BODY))
    columns = (boxes.center[rows].tolist(), boxes.size[rows].tolist(), turns.tolist())
    for row, center, (width, height, length), (w, x, y, z) in zip(rows, *columns, strict=True):
        turn = {"x": x, "y": y, "z": z, "w": w}
        pose = {"position": dict(zip("xyz", center, strict=True)), "orientation": turn}
        yield row, pose, {"x": length, "y": width, "z": height}


def instance_numbers(objects: Objects) -> list[int]:
    """Return the number of each object's instance: 1 + its id; those beyond 65535 begin again at 1.

    Args:
        objects: The objects.

    Returns:
        Numbers from 1 to 65535.
    """
    return [int(identity) % LARGEST + 1 for identity in objects.ids.tolist()]


def label_info(vocabulary: Vocabulary, header: Header, threshold: float = 0.0) -> Described:
    """Describe what the pixels of a label image mean.

    Args:
        vocabulary: The names of the classes.
        header: Header of the first image.
        threshold: Least score of the detections.

    Returns:
        The message LabelInfo: `class_id` is 1 + the label, things before stuff.
    """
    classes = [{"class_id": 1 + label, "class_name": name} for label, name in enumerate(vocabulary.labels)]
    values = {"header": header.values, "class_map": classes, "threshold": threshold}
    return Described("label_info", "vision_msgs/msg/LabelInfo", values)


def label_images(scene: Scene, header: Header) -> Iterator[Described]:
    """Describe the maps of labels and instances of a scene, as far as it has them.

    Args:
        scene: The scene.
        header: Header of its image.

    Yields:
        Messages Image of the encoding mono16.
    """
    maps = {"label_image": label_map(scene), "instance_image": instance_map(scene)}
    for topic, pixels in maps.items():
        if pixels is not None:
            yield Described(topic, "sensor_msgs/msg/Image", mono16(pixels, header))


def label_map(scene: Scene) -> UInt16[np.ndarray, "H W"] | None:
    """Return 1 + the label of each pixel, 0 where it has none.

    Args:
        scene: The scene.

    Returns:
        The map; None for a scene without labels of pixels.
    """
    if SEMANTIC in scene:
        labels: Tensor = scene[SEMANTIC]
        return (labels.clamp(min=-1) + 1).numpy().astype(np.uint16)
    if PANOPTIC in scene:
        panoptic: Panoptic = scene[PANOPTIC]
        return _renumbered(panoptic, [1 + segment.label for segment in panoptic.segments])
    return None


def instance_map(scene: Scene) -> UInt16[np.ndarray, "H W"] | None:
    """Return the number of the instance at each pixel, 0 where there is none.

    Args:
        scene: The scene.

    Returns:
        The map; None for a scene without masks.
    """
    numbers = instance_numbers(scene.objects)
    if MASKS in scene:
        masks, scores = scene[MASKS], scene.objects.scores
        pixels = np.zeros(scene.size, np.uint16)
        rows = scene.rows_with(MASKS).nonzero()[:, 0].tolist()
        best_last = rows[::-1] if scores is None else sorted(rows[::-1], key=lambda row: float(scores[row]))
        for row in best_last:
            bitmap, (x0, y0, x1, y1) = masks.cropped(row)
            pixels[y0:y1, x0:x1][bitmap.numpy()] = numbers[row]
        return pixels
    if PANOPTIC in scene:
        panoptic: Panoptic = scene[PANOPTIC]
        rows = [segment.object for segment in panoptic.segments]
        return _renumbered(panoptic, [0 if row is None else numbers[row] for row in rows])
    return None


def _renumbered(panoptic: Panoptic, values: Sequence[int]) -> UInt16[np.ndarray, "H W"]:
    """Return a map with the value of each segment at its pixels, 0 elsewhere."""
    ids = panoptic.ids.numpy()
    pixels = np.zeros(ids.shape, np.uint16)
    for segment, value in zip(panoptic.segments, values, strict=True):
        pixels[ids == segment.id] = value
    return pixels


def mono16(pixels: UInt16[np.ndarray, "H W"], header: Header) -> dict[str, Any]:
    """Return the values of an Image of 16 bits.

    Args:
        pixels: The image.
        header: Its header.

    Returns:
        The values, little endian.
    """
    height, width = pixels.shape
    data = np.frombuffer(pixels.astype("<u2").tobytes(), np.uint8)
    size = {"height": height, "width": width, "step": 2 * width}
    return {"header": header.values, "encoding": "mono16", "is_bigendian": 0, "data": data, **size}


def shares_of_color(color: tuple[int, int, int], opacity: float = 1.0) -> dict[str, float]:
    """Return the values of a message ColorRGBA, or Foxglove's Color.

    Args:
        color: Red, green and blue, 0 to 255.
        opacity: From 0 to 1.

    Returns:
        The values, 0 to 1.
    """
    return {**{name: value / 255 for name, value in zip("rgb", color, strict=True)}, "a": opacity}
