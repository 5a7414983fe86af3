"""The node of ROS 2 against a stand-in for rclpy: what it subscribes to, publishes and logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import scenekit as sk
from scenekit.errors import InputError
from scenekit.ros.definitions import typestore
from scenekit.ros.headers import Header
from scenekit.ros.node import Parameters, SceneNode, created_node, imported_rclpy, spin
from scenekit.ros.scenes import messages_of
from scenekit.ros.values import rosbags_message
from tests.ros.recording import IMAGE, INFO, image, info, noise
from tests.ros.scenes import scene
from tests.ros.stand_in import Node, install


class Model:
    """Returns one scene for each image, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []

    def predict(self, frame: Any, **options: Any) -> sk.Scene:
        self.calls.append((frame, options))
        return scene()


def incoming(type: str, values: Any) -> Any:
    return rosbags_message(typestore(), type, values)


def as_values(message: Any) -> Any:
    """The fields of a message that are set, as plain values."""
    if hasattr(message, "get_fields_and_field_types"):
        return {name: as_values(value) for name, value in vars(message).items()}
    return [as_values(one) for one in message] if isinstance(message, list) else message


def started(monkeypatch: pytest.MonkeyPatch, absent: Any = (), **parameters: Any) -> tuple[Node, Any]:
    node, model = Node({}), Model()
    install(monkeypatch, node, absent)
    SceneNode(node, model, Parameters(topic="/cam/image_raw", **parameters))  # type: ignore[arg-type]
    return node, model


def test_a_scene_is_published_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    node, model = started(monkeypatch, tasks="masks, keypoints", threshold=0.25, budget="60 ms")
    assert set(node.subscriptions) == {"/cam/image_raw", "/cam/camera_info", "/cam/image_raw/camera_info"}
    node.subscriptions["/cam/camera_info"](incoming(INFO, info(2.5, (6, 8), (10, 10, 3.5, 2.5))))
    for time in (2.5, 2.75):
        node.subscriptions["/cam/image_raw"](incoming(IMAGE, image(time, noise(), "bgr8")))
    (first, options), (second, _) = model.calls
    assert options == {"tasks": ["masks", "keypoints"], "threshold": 0.25, "budget": "60 ms"}
    np.testing.assert_array_equal(first.image.permute(1, 2, 0), noise()[:, :, ::-1])
    assert (first.header, first.moment.number, second.moment.time) == (Header(2_500_000_000, "optical"), 0, 2.75)
    assert first.camera.matrix[0].tolist() == [10.0, 0.0, 4.0]
    expected = {one.topic: one for one in messages_of(scene(), first.header)}
    assert node.published.keys() == {f"/scenekit/{topic}" for topic in (*expected, "label_info")}
    assert len(node.published["/scenekit/label_info"]) == 1
    for topic, one in expected.items():
        message, _ = node.published[f"/scenekit/{topic}"]
        found = as_values(message)
        if one.type == IMAGE:
            np.testing.assert_array_equal(np.array(found.pop("data")), one.values["data"])
        assert found == {key: value for key, value in one.values.items() if key != "data" or one.type != IMAGE}
    assert node.profiles["/scenekit/label_info"][1].durability == "lasting"
    assert node.profiles["/scenekit/markers"][0] == "visualization_msgs/MarkerArray"


def test_images_that_are_unusable_are_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    node, model = started(monkeypatch)
    for time in (1, 2):
        node.subscriptions["/cam/image_raw"](incoming(IMAGE, image(time, noise(), "bayer_rggb8")))
    assert not model.calls and len(node.lines) == 2
    assert node.lines[1].startswith("images are left out: /cam/image_raw: the encoding 'bayer_rggb8' is unknown")


def test_packages_that_are_absent_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    node, _ = started(monkeypatch, absent=["foxglove_msgs"])
    node.subscriptions["/cam/image_raw"](incoming(IMAGE, image(1, noise())))
    assert "/scenekit/detections2d" in node.published and "/scenekit/scene_update" not in node.published
    (line,) = node.lines[1:]
    assert "without the package foxglove_msgs: apt install ros-$ROS_DISTRO-foxglove-msgs" in line


def test_compressed_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    node, _ = Node({}), install(monkeypatch, node := Node({}))
    SceneNode(node, Model(), Parameters(topic="/cam/image_raw/compressed"))  # type: ignore[arg-type]
    assert node.profiles["/cam/image_raw/compressed"][0] == "sensor_msgs/CompressedImage"
    assert "/cam/camera_info" in node.subscriptions


def test_ros_may_set_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node({"threshold": 0.125, "topic": "/front"})
    rclpy = install(monkeypatch, node)
    with created_node(["--ros-args"]) as made:
        chosen = Parameters(threshold=0.5, tasks="masks").declared(made)
        spin(made)
    assert chosen == Parameters(threshold=0.125, topic="/front", tasks="masks")
    assert not node.alive and rclpy.settings == {"started": [["--ros-args"]], "stopped": [True]}


def test_ros_may_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    class ExternalShutdownException(Exception):  # noqa: N818
        pass

    rclpy = install(monkeypatch, node := Node({}))
    for error, expected in ((ExternalShutdownException, None), (KeyError, KeyError)):
        rclpy.spin = lambda _, error=error: (_ for _ in ()).throw(error())  # type: ignore[attr-defined]
        if expected is None:
            spin(node)
        else:
            with pytest.raises(expected):
                spin(node)


def test_without_rclpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rclpy", None)
    with pytest.raises(
        InputError, match="the node needs rclpy, which comes with ROS 2, not from PyPI: source /opt/ros"
    ):
        imported_rclpy()
