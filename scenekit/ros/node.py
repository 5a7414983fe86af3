"""A node of ROS 2 that predicts scenes of a topic of images; it needs `rclpy`, which comes with ROS itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scenekit.errors import InputError
from scenekit.ros.cameras import Cameras
from scenekit.ros.detections import label_info
from scenekit.ros.headers import SECOND, BagFrame, Header
from scenekit.ros.opening import BagNotes
from scenekit.ros.pixels import COMPRESSED, color_image
from scenekit.ros.scenes import ONCE, messages_of
from scenekit.ros.topics import IMAGE, INFO, info_topics, is_rectified
from scenekit.ros.values import Described, rclpy_message, ros_class
from scenekit.scene import Scene
from scenekit.structures.moments import Moment

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel

NAME = "scenekit"
"""Name of the node, and what its topics begin with."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the node; ROS may set others with `--ros-args -p NAME:=VALUE`."""

    model: str = "small"
    """A shipped model, a checkpoint, or SOURCE/NAME."""
    topic: str = "/image"
    """Topic of images: Image, or CompressedImage where it ends in /compressed."""
    tasks: str = ""
    """Names of tasks, separated by commas; all if empty."""
    threshold: float = 0.5
    """Least score of an object."""
    budget: str = ""
    """Time for an image, such as "60 ms", which leaves out tasks; none if empty."""
    device: str = "auto"
    """Device of the model."""

    def declared(self, node: Any) -> Parameters:
        """Register the parameters with a node.

        Args:
            node: The node.

        Returns:
            The parameters as ROS has set them.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return Parameters(**{name: node.declare_parameter(name, value).value for name, value in values.items()})


def imported_rclpy() -> ModuleType:
    """Import rclpy.

    Returns:
        The module.

    Raises:
        InputError: It is absent.
    """
    try:
        return import_module("rclpy")
    except ImportError as cause:
        raise InputError(
            "the node needs rclpy, which comes with ROS 2, not from PyPI: source /opt/ros/DISTRO/setup.bash, and use"
            " the Python that ROS uses; bags need no ROS: scenekit predict run.mcap"
        ) from cause


@contextmanager
def created_node(arguments: Sequence[str]) -> Iterator[Any]:
    """Create a node of rclpy.

    Args:
        arguments: Arguments of ROS, such as --ros-args -p threshold:=0.3.

    Yields:
        The node.

    Raises:
        InputError: rclpy is absent.
    """
    rclpy = imported_rclpy()
    rclpy.init(args=list(arguments))
    node = rclpy.create_node(NAME)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def spin(node: Any) -> None:
    """Run a node until it is interrupted or ROS shuts down.

    Args:
        node: The node.
    """
    try:
        imported_rclpy().spin(node)
    except Exception as error:
        if type(error).__name__ != "ExternalShutdownException":
            raise


@dataclass(eq=False)
class SceneNode:
    """Predicts the scene of each image, and publishes it as the messages of `scenekit.ros.scenes.messages_of`.

    Images that come while one is predicted are dropped, the latest aside. The topics are those of a bag.
    """

    node: Any
    """The node of rclpy."""
    model: SceneModel
    """The model."""
    parameters: Parameters
    """Parameters of the node."""
    _publishers: dict[str, Any] = field(default_factory=dict)
    _number: int = -1

    def __post_init__(self) -> None:
        topic, log = self.parameters.topic, self.node.get_logger()
        self._notes = BagNotes(log.warning)
        self._cameras = Cameras("camera_info", is_rectified(topic), self._notes)
        qos = import_module("rclpy.qos")
        latest = qos.QoSProfile(depth=1, reliability=qos.ReliabilityPolicy.BEST_EFFORT)
        kind = COMPRESSED if topic.endswith("/compressed") else IMAGE
        for name in info_topics(topic):
            self.node.create_subscription(ros_class(INFO), name, self.see_camera, latest)
        self.node.create_subscription(ros_class(kind), topic, self.see_image, latest)
        log.info(f"predicting the images of {topic}")

    def see_camera(self, message: Any) -> None:
        """Keep the camera of the images.

        Args:
            message: A CameraInfo.
        """
        self._cameras.add(message, 0)

    def see_image(self, message: Any) -> None:
        """Predict and send the scene of an image; an image that is unusable is logged once.

        Args:
            message: An Image or a CompressedImage.
        """
        self._number += 1
        try:
            frame = self.frame(message)
            scene = self.predict(frame)
        except InputError as error:
            self._notes.once("images", f"images are left out: {error}")
            return
        if ONCE not in self._publishers:
            self.publish(label_info(scene.vocabulary, frame.header, self.parameters.threshold))
        for one in messages_of(scene, frame.header):
            self.publish(one)

    def frame(self, message: Any) -> BagFrame:
        """Convert a message to a frame.

        Args:
            message: An Image or a CompressedImage.

        Returns:
            The frame, rectified where the camera is known.

        Raises:
            InputError: The encoding is unknown, or the data are damaged.
        """
        header = Header.of(message)
        image, camera, _ = self._cameras.see(color_image(message, self.parameters.topic), header.stamp)
        moment = Moment(header.stamp / SECOND, self._number)
        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return BagFrame(planes, moment, camera, source=self.parameters.topic, header=header)

    def predict(self, frame: BagFrame) -> Scene:
        """Predict the scene of a frame.

        Args:
            frame: The frame.

        Returns:
            The scene.
        """
        names = [name.strip() for name in self.parameters.tasks.split(",") if name.strip()] or None
        budget = self.parameters.budget or None
        return self.model.predict(frame, tasks=names, threshold=self.parameters.threshold, budget=budget)

    def publish(self, one: Described) -> None:
        """Send a message, if the package of its type is installed.

        Args:
            one: The message.
        """
        if one.topic not in self._publishers:
            self._publishers[one.topic] = self._publisher(one)
        publisher = self._publishers[one.topic]
        if publisher is not None:
            publisher.publish(rclpy_message(one.type, one.values))

    def _publisher(self, one: Described) -> Any:
        """Create a publisher; None, with a line in the log, where the package is absent."""
        qos = import_module("rclpy.qos")
        lasting = one.topic == ONCE
        durability = qos.DurabilityPolicy.TRANSIENT_LOCAL if lasting else qos.DurabilityPolicy.VOLATILE
        try:
            kind = ros_class(one.type)
        except ImportError:
            package = one.type.split("/")[0]
            apt = f"apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
            self._notes.once(
                package, f"{one.topic} and the like are not published without the package {package}: {apt}"
            )
            return None
        profile = qos.QoSProfile(depth=1 if lasting else 10, durability=durability)
        return self.node.create_publisher(kind, f"/{NAME}/{one.topic}", profile)
