"""Definitions of messages: those of a ROS 2 distribution, vision_msgs 4.1.1, and the visualizations of Foxglove.

Names, types and order of the fields are those of the packages, so that the hashes of the types are, too.
"""

from __future__ import annotations

import functools
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.ros.packages import imported

DISTROS = ("humble", "iron", "jazzy", "kilted", "lyrical")
"""Distributions of ROS 2 for which messages are written."""

DEFAULT_DISTRO = "jazzy"

VISION = {
    "VisionClass": "uint16 class_id\nstring class_name",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\nvision_msgs/BoundingBox2D bbox\n"
        "string id"
    ),
    "Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\nvision_msgs/BoundingBox3D bbox\n"
        "string id"
    ),
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
}
"""Messages of the package vision_msgs, by name."""

_POSE, _SIZE, _COLOR = "geometry_msgs/Pose pose\n", "geometry_msgs/Vector3 size\n", "foxglove_msgs/Color color\n"
_TIME, _METADATA = "builtin_interfaces/Time timestamp\n", "foxglove_msgs/KeyValuePair[] metadata\n"
_VERTICES = "geometry_msgs/Point[] points\nfoxglove_msgs/Color color\nfoxglove_msgs/Color[] colors\nuint32[] indices"

FOXGLOVE = {
    "Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a",
    "KeyValuePair": "string key\nstring value",
    "Point2": "float64 x\nfloat64 y",
    "ArrowPrimitive": (
        f"{_POSE}float64 shaft_length\nfloat64 shaft_diameter\nfloat64 head_length\nfloat64 head_diameter\n{_COLOR}"
    ),
    "CubePrimitive": f"{_POSE}{_SIZE}{_COLOR}",
    "SpherePrimitive": f"{_POSE}{_SIZE}{_COLOR}",
    "CylinderPrimitive": f"{_POSE}{_SIZE}float64 bottom_scale\nfloat64 top_scale\n{_COLOR}",
    "LinePrimitive": (
        "uint8 LINE_STRIP=0\nuint8 LINE_LOOP=1\nuint8 LINE_LIST=2\nuint8 type\n"
        f"{_POSE}float64 thickness\nbool scale_invariant\n{_VERTICES}"
    ),
    "TriangleListPrimitive": f"{_POSE}{_VERTICES}",
    "TextPrimitive": f"{_POSE}bool billboard\nfloat64 font_size\nbool scale_invariant\n{_COLOR}string text",
    "ModelPrimitive": (
        f"{_POSE}geometry_msgs/Vector3 scale\n{_COLOR}bool override_color\nstring url\nstring media_type\nuint8[] data"
    ),
    "SceneEntity": (
        f"{_TIME}string frame_id\nstring id\nbuiltin_interfaces/Duration lifetime\nbool frame_locked\n{_METADATA}"
        "foxglove_msgs/ArrowPrimitive[] arrows\nfoxglove_msgs/CubePrimitive[] cubes\n"
        "foxglove_msgs/SpherePrimitive[] spheres\nfoxglove_msgs/CylinderPrimitive[] cylinders\n"
        "foxglove_msgs/LinePrimitive[] lines\nfoxglove_msgs/TriangleListPrimitive[] triangles\n"
        "foxglove_msgs/TextPrimitive[] texts\nfoxglove_msgs/ModelPrimitive[] models"
    ),
    "SceneEntityDeletion": f"{_TIME}uint8 MATCHING_ID=0\nuint8 ALL=1\nuint8 type\nstring id",
    "SceneUpdate": "foxglove_msgs/SceneEntityDeletion[] deletions\nfoxglove_msgs/SceneEntity[] entities",
    "CircleAnnotation": (
        f"{_TIME}foxglove_msgs/Point2 position\nfloat64 diameter\nfloat64 thickness\nfoxglove_msgs/Color fill_color\n"
        f"foxglove_msgs/Color outline_color\n{_METADATA}"
    ),
    "PointsAnnotation": (
        f"{_TIME}uint8 UNKNOWN=0\nuint8 POINTS=1\nuint8 LINE_LOOP=2\nuint8 LINE_STRIP=3\nuint8 LINE_LIST=4\n"
        "uint8 type\nfoxglove_msgs/Point2[] points\nfoxglove_msgs/Color outline_color\n"
        "foxglove_msgs/Color[] outline_colors\n"
        f"foxglove_msgs/Color fill_color\nfloat64 thickness\n{_METADATA}"
    ),
    "TextAnnotation": (
        f"{_TIME}foxglove_msgs/Point2 position\nstring text\nfloat64 font_size\nfoxglove_msgs/Color text_color\n"
        f"foxglove_msgs/Color background_color\n{_METADATA}"
    ),
    "ImageAnnotations": (
        f"{_TIME}foxglove_msgs/CircleAnnotation[] circles\nfoxglove_msgs/PointsAnnotation[] points\n"
        f"foxglove_msgs/TextAnnotation[] texts\n{_METADATA}"
    ),
}
"""Messages of the package foxglove_msgs, by name."""


def check_distro(distro: str) -> None:
    """Check the name of a distribution.

    Args:
        distro: The name.

    Raises:
        InputError: No messages are written for it.
    """
    if distro not in DISTROS:
        raise InputError(f"no messages of the ROS 2 distribution {distro!r}{nearest(distro, DISTROS)}")


@functools.cache
def typestore(distro: str = DEFAULT_DISTRO) -> Any:
    """Return the types of a distribution, with those of vision_msgs and foxglove_msgs.

    Args:
        distro: Name of the distribution, such as "jazzy".

    Returns:
        The typestore of rosbags.

    Raises:
        InputError: There is no such distribution, or the package rosbags is absent.
    """
    check_distro(distro)
    typesys = imported("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores(f"ros2_{distro}"))
    for package, definitions in (("vision_msgs", VISION), ("foxglove_msgs", FOXGLOVE)):
        for name, text in definitions.items():
            store.register(typesys.get_types_from_msg(text, f"{package}/msg/{name}"))
    return store
