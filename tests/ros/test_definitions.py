"""Definitions of messages: those of vision_msgs, those of Foxglove, and the stores of the distributions."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import foxglove.messages
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import scenekit.ros
from scenekit.errors import InputError
from scenekit.ros.definitions import DISTROS, FOXGLOVE, VISION, typestore
from scenekit.ros.values import rosbags_message

SCALARS = {str: "string", bool: "bool", float: "float64"}


@pytest.mark.parametrize("distro", DISTROS)
def test_every_message_can_be_written_and_read(distro: str) -> None:
    """Empty and by its defaults, also those whose fields differ between distributions."""
    store = typestore(distro)
    own = [f"vision_msgs/msg/{name}" for name in VISION] + [f"foxglove_msgs/msg/{name}" for name in FOXGLOVE]
    assert len(own) > 10
    for name in (*own, "visualization_msgs/msg/Marker", "visualization_msgs/msg/MarkerArray", "std_msgs/msg/String"):
        message = rosbags_message(store, name, {})
        assert str(store.deserialize_cdr(store.serialize_cdr(message, name), name)) == str(message)


def test_markers_differ_between_distributions() -> None:
    foxy = get_typestore(Stores.ROS2_FOXY)
    fields = {name for name, _ in foxy.fielddefs["visualization_msgs/msg/Marker"][1]}
    assert "mesh_file" not in fields
    rosbags_message(foxy, "visualization_msgs/msg/Marker", {"ns": "boxes"})
    assert rosbags_message(typestore("humble"), "visualization_msgs/msg/Marker", {}).mesh_file.filename == ""
    with pytest.raises(InputError, match="no messages of the ROS 2 distribution 'humbel'; did you mean 'humble'"):
        typestore("humbel")


def test_detections_in_the_order_of_vision_msgs() -> None:
    """Bytes of CDR worked out by hand: a class map of one entry, then the threshold, little endian, aligned."""
    store, name = typestore(), "vision_msgs/msg/LabelInfo"
    values = {"class_map": [{"class_id": 258, "class_name": "cup"}], "threshold": 0.5}
    data = bytes(store.serialize_cdr(rosbags_message(store, name, values), name))
    header = b"\0\1\0\0" + bytes(8) + b"\1\0\0\0\0"
    # 3 bytes of padding, 1 class, its id, 2 bytes of padding, "cup", the threshold
    assert data == header + bytes(3) + b"\1\0\0\0" + b"\2\1" + bytes(2) + b"\4\0\0\0cup\0" + b"\0\0\0\x3f"


def test_names_need_no_package_within_one() -> None:
    """As the files of the package spell it: ObjectHypothesis instead of vision_msgs/ObjectHypothesis."""
    short = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VISION.items():
        short.register(get_types_from_msg(text.replace("vision_msgs/", ""), f"vision_msgs/msg/{name}"))
    for name in VISION:
        full = f"vision_msgs/msg/{name}"
        assert short.hash_rihs01(full) == typestore("jazzy").hash_rihs01(full)


@pytest.mark.parametrize("name", FOXGLOVE)
def test_messages_of_foxglove_have_the_fields_of_its_sdk(name: str) -> None:
    kind = getattr(foxglove.messages, name)
    expected = list(inspect.signature(kind).parameters)
    constants, fields = typestore().fielddefs[f"foxglove_msgs/msg/{name}"]
    assert [field for field, _ in fields] == expected
    for constant, _, value in constants:
        enum: Any = getattr(foxglove.messages, "LinePrimitiveLineType" if name == "LinePrimitive" else f"{name}Type")
        member = "".join(part.capitalize() for part in constant.split("_"))
        assert int(getattr(enum, member)) == value


def test_nothing_of_ros_is_imported_before_it_is_used() -> None:
    modules = [
        f"scenekit.ros.{path.stem}" for path in Path(scenekit.ros.__path__[0]).glob("*.py") if path.stem[0] != "_"
    ]
    code = f"import sys, {', '.join(modules)}; assert not {{'rosbags', 'mcap', 'rclpy', 'foxglove'}} & set(sys.modules)"
    assert len(modules) > 10
    subprocess.run([sys.executable, "-c", code], check=True)
