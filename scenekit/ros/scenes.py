"""All messages about one scene."""

from __future__ import annotations

from collections.abc import Iterator

from scenekit.graph.export import to_node_link
from scenekit.ros.detections import detections2d, detections3d, has_cuboids, label_images
from scenekit.ros.headers import Header
from scenekit.ros.markers import image_annotations, markers, scene_update
from scenekit.ros.values import Described
from scenekit.scene import Scene
from scenekit.scene_json import json_text

TEXT = "std_msgs/msg/String"

ONCE = "label_info"
"""The topic whose message holds until the vocabulary changes."""


def messages_of(scene: Scene, header: Header) -> Iterator[Described]:
    """Describe a scene as messages, as far as it has the values.

    Args:
        scene: The scene.
        header: Header of its image, which all messages share.

    Yields:
        `detections2d`, `label_image`, `instance_image` and `image_annotations`; with 3D boxes `detections3d`, `markers`
        and `scene_update`; `graph` and `scene` as JSON.
    """
    yield detections2d(scene, header)
    yield from label_images(scene, header)
    yield image_annotations(scene, header)
    if has_cuboids(scene):
        yield detections3d(scene, header)
        yield markers(scene, header)
        yield scene_update(scene, header)
    yield Described("graph", TEXT, {"data": to_node_link(scene.graph()).decode()})
    yield Described("scene", TEXT, {"data": json_text(scene.to_json())})
