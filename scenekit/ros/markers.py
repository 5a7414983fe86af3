"""Scenes for viewers: MarkerArray of rviz, SceneUpdate and ImageAnnotations of Foxglove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from scenekit.keys import KEYPOINTS
from scenekit.ros.detections import cuboids, instance_numbers, shares_of_color
from scenekit.ros.headers import Header
from scenekit.ros.values import Described, Values
from scenekit.scene import Scene
from scenekit.structures.keypoints import ABSENT
from scenekit.visualization.draw import object_colors, object_texts

CUBE, TEXT_VIEW_FACING, ADD, DELETE_ALL = 1, 9, 0, 3
"""Types and actions of a Marker."""

POINTS, LINE_LOOP, LINE_LIST = 1, 2, 4
"""Types of a PointsAnnotation."""

DELETION_OF_ALL = 1
"""Type of a SceneEntityDeletion."""

TEXT_HEIGHT = 0.2
"""Height of letters in metres."""

OPACITY = 0.4
"""Of the sides of 3D boxes."""

LINE, DOT, FONT = 2.0, 6.0, 14.0
"""Width of lines, diameter of points and height of letters on images, in pixels."""

DARK = (20, 20, 20)


def markers(scene: Scene, header: Header) -> Described:
    """Describe the 3D boxes, with class names above them, as a MarkerArray that replaces the one before.

    Args:
        scene: The scene.
        header: Header of its image.

    Returns:
        The message: namespaces `boxes` and `names`, ids are numbers of instances.
    """
    colors, texts, ids = object_colors(scene), object_texts(scene), instance_numbers(scene.objects)
    found: list[Values] = [{"header": header.values, "action": DELETE_ALL}]
    for row, pose, size in cuboids(scene):
        shared = {"header": header.values, "id": ids[row], "action": ADD}
        box = {"type": CUBE, "pose": pose, "scale": size, "color": shares_of_color(colors[row], OPACITY)}
        place = {"position": above(pose, size)}
        name = {"type": TEXT_VIEW_FACING, "pose": place, "scale": {"z": TEXT_HEIGHT}, "text": texts[row]}
        found.append({**shared, "ns": "boxes", **box})
        found.append({**shared, "ns": "names", **name, "color": shares_of_color(colors[row])})
    return Described("markers", "visualization_msgs/msg/MarkerArray", {"markers": found})


def above(pose: Values, size: Values) -> Values:
    """Return the place of a name: above the box by the height of its letters, as y is down in the camera frame.

    Args:
        pose: Values of the Pose of the box.
        size: Values of its size.

    Returns:
        Values of a Point.
    """
    place = pose["position"]
    return {**place, "y": place["y"] - max(size.values()) / 2 - TEXT_HEIGHT}


def scene_update(scene: Scene, header: Header) -> Described:
    """Describe the 3D boxes as Foxglove's SceneUpdate that replaces the one before.

    Args:
        scene: The scene.
        header: Header of its image.

    Returns:
        The message, with an entity for each box, whose id is the number of the instance.
    """
    colors, texts, ids, names = (
        object_colors(scene),
        object_texts(scene),
        instance_numbers(scene.objects),
        scene.names(),
    )
    entities = []
    for row, pose, size in cuboids(scene):
        cube = {"pose": pose, "size": size, "color": shares_of_color(colors[row], OPACITY)}
        look = {"billboard": True, "font_size": TEXT_HEIGHT, "color": shares_of_color(colors[row])}
        text = {"pose": {"position": above(pose, size)}, "text": texts[row], **look}
        metadata = key_values(label=names[row])
        entity = {"timestamp": header.time, "frame_id": header.frame_id, "id": str(ids[row]), "metadata": metadata}
        entities.append({**entity, "cubes": [cube], "texts": [text]})
    deletions = [{"timestamp": header.time, "type": DELETION_OF_ALL}]
    values = {"deletions": deletions, "entities": entities}
    return Described("scene_update", "foxglove_msgs/msg/SceneUpdate", values)


def image_annotations(scene: Scene, header: Header) -> Described:
    """Describe boxes, names and keypoints as Foxglove's ImageAnnotations.

    A box is a closed line; the keypoints of an object are a PointsAnnotation of single points, whose metadata has their
    names and scores in the order of the points, and the limbs of its skeleton are one of pairs of points.

    Args:
        scene: The scene.
        header: Header of its image.

    Returns:
        The message, in pixels from the corner of the image.
    """
    colors, texts, ids, names = (
        object_colors(scene),
        object_texts(scene),
        instance_numbers(scene.objects),
        scene.names(),
    )
    points, labels = [], []
    for row, (x0, y0, x1, y1) in enumerate(scene.objects.boxes.tolist()):
        corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        about = key_values(id=ids[row], label=names[row])
        points.append(annotation(header, LINE_LOOP, corners, colors[row], LINE, about))
        ink = {"text_color": shares_of_color(DARK), "background_color": shares_of_color(colors[row])}
        place = {"timestamp": header.time, "position": {"x": x0, "y": y0}}
        labels.append({**place, "text": texts[row], "font_size": FONT, **ink, "metadata": about})
    points.extend(keypoint_annotations(scene, header))
    values = {"timestamp": header.time, "points": points, "texts": labels}
    return Described("image_annotations", "foxglove_msgs/msg/ImageAnnotations", values)


def keypoint_annotations(scene: Scene, header: Header) -> Iterator[Values]:
    """Yield the keypoints of each object, then its limbs.

    Args:
        scene: The scene.
        header: Header of its image.

    Yields:
        Values of messages PointsAnnotation; none for a scene without keypoints.
    """
    if KEYPOINTS not in scene:
        return
    keypoints, ids, colors, things = (
        scene[KEYPOINTS],
        instance_numbers(scene.objects),
        object_colors(scene),
        scene.names(),
    )
    for row in scene.rows_with(KEYPOINTS).nonzero()[:, 0].tolist():
        skeleton = scene.vocabulary.skeletons.get(things[row])
        if skeleton is None:
            continue
        place = dict(zip(skeleton.points, scene.vocabulary.points_of(things[row]), strict=True))
        finite = torch.isfinite(keypoints.xy[row]).all(dim=-1)
        there = {name: k for name, k in place.items() if finite[k] and int(keypoints.visibility[row, k]) != ABSENT}
        if not there:
            continue
        xy = {name: tuple(keypoints.xy[row, k].tolist()) for name, k in there.items()}
        about = {"id": ids[row], "label": things[row], "names": ",".join(there)}
        if keypoints.scores is not None:
            about["scores"] = ",".join(f"{float(keypoints.scores[row, k]):.4f}" for k in there.values())
        yield annotation(header, POINTS, list(xy.values()), colors[row], DOT, key_values(**about))
        ends = [xy[name] for edge in skeleton.edges if set(edge) <= xy.keys() for name in edge]
        if ends:
            yield annotation(header, LINE_LIST, ends, colors[row], LINE, key_values(id=ids[row], label=things[row]))


def annotation(
    header: Header,
    kind: int,
    points: Sequence[tuple[float, ...]],
    color: tuple[int, int, int],
    thickness: float,
    metadata: Sequence[Values],
) -> Values:
    """Return the values of a PointsAnnotation.

    Args:
        header: Header of the image.
        kind: Type of the annotation.
        points: Pixels (x, y).
        color: Red, green and blue, 0 to 255.
        thickness: Of lines or points, in pixels.
        metadata: Pairs of keys and values.

    Returns:
        The values.
    """
    places = [{"x": x, "y": y} for x, y in points]
    look = {"outline_color": shares_of_color(color), "thickness": thickness}
    if kind == POINTS:
        look["fill_color"] = shares_of_color(color)
    return {"timestamp": header.time, "type": kind, "points": places, **look, "metadata": metadata}


def key_values(**pairs: Any) -> list[Values]:
    """Return the values of messages KeyValuePair.

    Args:
        pairs: Values by key.

    Returns:
        One for each pair.
    """
    return [{"key": key, "value": str(value)} for key, value in pairs.items()]
