"""3D boxes in a recording for rerun's viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenekit.ops.rotations import matrix_to_quaternion
from scenekit.scene import Scene
from scenekit.visualization.camera_view import camera_of
from scenekit.visualization.draw import object_colors
from scenekit_plugins.boxes3d.cuboids import cuboid_text, drawable_cuboids


def record_boxes3d(scene: Scene) -> Mapping[str, tuple[Any, ...]]:
    """Return the boxes with their labels; half sizes are length, height, width, as the object's x, y and z axes are."""
    import rerun as rr

    rows, boxes = drawable_cuboids(scene)
    texts, colors, assumed = scene.names(), object_colors(scene), camera_of(scene).assumed
    shown = rr.Boxes3D(
        centers=boxes.center.numpy(),
        half_sizes=boxes.size[:, [2, 1, 0]].numpy() / 2,
        quaternions=matrix_to_quaternion(boxes.rotation)[:, [1, 2, 3, 0]].numpy(),
        colors=[colors[row] for row in rows],
        labels=[cuboid_text(texts[row], boxes, i, assumed) for i, row in enumerate(rows)],
    )
    return {"world/boxes3d": (shown,)}
