"""The images of a bag, with camera, pose, depth and points."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ros.cameras import Cameras, Poses
from scenekit.ros.clouds import cloud_points
from scenekit.ros.headers import SECOND, BagFrame, Header
from scenekit.ros.lens import Lens
from scenekit.ros.opening import Messages, Notes, opened
from scenekit.ros.pixels import check_encoding, color_image, depth_image
from scenekit.ros.synchronizing import Dated, Synchronizer, Together
from scenekit.ros.topics import Topics, choose, is_rectified
from scenekit.ros.transforms import EXTRAPOLATION, TransformBuffer
from scenekit.structures.geometry import Size
from scenekit.structures.moments import Moment

TOLERANCE = 0.05
"""Seconds between an image and the depth and points that belong to it."""

DEPTH_INPUT, POINTS_INPUT = "depth", "points"
"""Names of the modalities."""

_log = logging.getLogger(__name__)


def bag(
    path: str | os.PathLike[str],
    topic: str | None = None,
    *,
    depth_topic: str | None = None,
    points_topic: str | None = None,
    info_topic: str | None = None,
    world_frame: str | None = None,
    tolerance: float = TOLERANCE,
    extrapolation: float = EXTRAPOLATION,
    say: Callable[[str], None] | None = None,
) -> Bag:
    """Open a bag of ROS 2 as a stream of images; ROS need not be installed.

    Each image is a frame that `SceneModel.predict` takes: RGB without the distortion of its lens, with its camera, the
    time of its header, and, as far as the bag has them, the pose of the camera, depth and points in its frame.

    ```python
    for scene in model.predict(iter(sk.bag("run.mcap", "/camera/image_raw"))):
        print(scene.moment.time, scene.counts())
    ```

    Args:
        path: An .mcap file, a folder that `ros2 bag record` wrote, or a .db3 or .bag file.
        topic: Topic of the images (Image, or CompressedImage); None for the only one in the bag.
        depth_topic: Topic of depth that is registered to the images: 16UC1 in millimetres or 32FC1 in metres.
        points_topic: Topic of point clouds (PointCloud2), which the transforms of the bag move to the camera.
        info_topic: Topic of the camera (CameraInfo); None for `camera_info` beside the images, if it is there.
        world_frame: Frame that poses lead to; None for the first of map, odom and world that the transforms connect
            with the camera.
        tolerance: Largest difference in seconds between an image and the depth and points that belong to it.
        extrapolation: Seconds that a transform may be used before its first and after its last message.
        say: Gets a line about each choice and each damage, once; by default they are logged as warnings.

    Returns:
        The images; iterating opens the bag anew.

    Raises:
        InputError: There is no such bag, it has no such topic, several topics of images and none is named, frames that
            are not connected, or images in an encoding that is unknown; or the extra `ros` is not installed.
    """
    notes, name = Notes(say or _log.warning), os.fspath(path)
    with opened(name, notes) as messages:
        topics = choose(messages.types, topic, depth_topic, points_topic, info_topic, name)
        first = _first_image(messages, topics, name)
        cameras, buffer = Cameras(topics.info, is_rectified(topics.image), notes), TransformBuffer(extrapolation)
        _read_small(messages, topics, cameras, buffer)
        poses = Poses.choose(buffer, first.frame_id or cameras.frame_id, world_frame, notes)
        count = messages.counts.get(topics.image) or None
    if topics.info is None:
        notes.once("camera", f"{topics.image}: there is no camera_info beside it; images have no camera")
    return Bag(name, topics, cameras, poses, round(tolerance * SECOND), notes, count)


def _first_image(messages: Messages, topics: Topics, name: str) -> Header:
    """Return the header of the first image, whose encoding is checked."""
    for one in messages.read([topics.image]):
        message = one.decode()
        check_encoding(message, topics.image)
        return Header.of(message, one.time)
    raise InputError(f"{name}: the topic {topics.image!r} has no messages; record it again, or name another topic")


def _read_small(messages: Messages, topics: Topics, cameras: Cameras, buffer: TransformBuffer) -> None:
    """Read the messages that all images need: cameras and transforms."""
    wanted = [*topics.transforms, *([topics.info] if topics.info else [])]
    for one in messages.read(wanted):
        if one.topic == topics.info:
            cameras.add(one.decode(), one.time)
        else:
            buffer.add_message(one.decode(), static=one.topic.endswith("_static"))


@dataclass(frozen=True, eq=False)
class Bag:
    """The images of a bag; `bag` opens one."""

    path: str
    """Path of the bag."""
    topics: Topics
    """Topics that are read."""
    cameras: Cameras
    """Cameras of the images."""
    poses: Poses
    """Poses of the camera."""
    tolerance: int
    """Largest difference of stamps within one frame, in nanoseconds."""
    notes: Notes
    """Gets a line about each damage."""
    count: int | None = None
    """Number of images; None where the bag has no index."""

    def __iter__(self) -> Iterator[BagFrame]:
        """Yield the images in the order in which they were recorded.

        Yields:
            Frames, numbered from 0; a damaged image is left out, and its number with it.

        Raises:
            InputError: Depth is not registered to the images, or frames are not connected.
        """
        others = tuple(topic for topic in (self.topics.depth, self.topics.points) if topic is not None)
        absent = dict.fromkeys(others, 0)
        number = -1
        with opened(self.path, self.notes) as messages:
            logged = messages.read([self.topics.image, *others])
            before = None
            for number, together in enumerate(Synchronizer(self.topics.image, others, self.tolerance).run(logged)):
                self._check_order(before, together.image.header.stamp, number)
                before = together.image.header.stamp
                for topic in others:
                    absent[topic] += topic not in together.others
                frame = self._frame(number, together)
                if frame is not None:
                    yield frame
        for topic, count in absent.items():
            if count:
                self.notes.once(
                    f"absent {topic}",
                    f"{topic}: {count} of {number + 1} images have none within {self.tolerance / SECOND:g} s",
                )

    def _check_order(self, before: int | None, stamp: int, number: int) -> None:
        if before is not None and stamp <= before:
            self.notes.once(
                "order",
                f"{self.topics.image}: the stamps repeat or go back, first at image {number} ({before / SECOND:.3f} s,"
                f" then {stamp / SECOND:.3f} s); images stay in the order of the recording",
            )

    def _frame(self, number: int, together: Together) -> BagFrame | None:
        """Return a frame; None where the image is damaged."""
        header = together.image.header
        name = f"{self.topics.image}, image {number} at {header.stamp / SECOND:.3f} s"
        try:
            raw = color_image(together.image.value, name)
        except InputError as error:
            self.notes.once("images", f"damaged images are left out: {error}")
            return None
        image, camera, lens = self.cameras.see(raw, header.stamp)
        pose = self.poses.at(header.stamp)
        tensor = None if pose is None else torch.from_numpy(pose).float()
        moment = Moment(header.stamp / SECOND, number, tensor)
        inputs = self._inputs(together, (image.shape[0], image.shape[1]), lens)
        return BagFrame(image, moment, camera, inputs, self.path, header)

    def _inputs(self, together: Together, size: Size, lens: Lens | None) -> dict[str, Tensor]:
        """Return depth and points of an image, as far as there are any."""
        makers: dict[str, tuple[str | None, Callable[[Dated[Any], str], Tensor]]] = {
            DEPTH_INPUT: (
                self.topics.depth,
                lambda one, name: registered(depth_image(one.value, name), size, lens, name),
            ),
            POINTS_INPUT: (self.topics.points, lambda one, name: self._points(one, together.image.header.stamp, name)),
        }
        inputs = {}
        for key, (topic, make) in makers.items():
            if topic is not None and (one := together.others.get(topic)) is not None:
                inputs[key] = make(one, f"{topic} at {one.header.stamp / SECOND:.3f} s")
        return inputs

    def _points(self, cloud: Dated[Any], stamp: int, name: str) -> Float[Tensor, "P 3"]:
        points = cloud_points(cloud.value, name)
        pose = self.poses.from_sensor(cloud.header, stamp)
        return torch.from_numpy(points @ pose[:3, :3].T + pose[:3, 3]).float()


def registered(depth: Float[Tensor, "h w"], size: Size, lens: Lens | None, name: str) -> Float[Tensor, "H W"]:
    """Return depth at the pixels of its image.

    Args:
        depth: Metres, NaN where unknown, as the message has them.
        size: Height and width of the image.
        lens: By which the image was rectified, if it was; depth is rectified in the same way.
        name: Name of the depth in errors.

    Returns:
        Metres, NaN where unknown; of a depth of another size with the same aspect ratio the nearest pixels.

    Raises:
        InputError: The depth has another aspect ratio, so that it belongs to another camera.
    """
    height, width = depth.shape
    if height * size[1] != width * size[0]:
        raise InputError(
            f"{name}: depth of {width} x {height} pixels is not registered to images of {size[1]} x {size[0]}; name a"
            " topic such as /camera/aligned_depth_to_color/image_raw"
        )
    rows, columns = (torch.arange(n) * have // n for n, have in zip(size, (height, width), strict=True))
    pixels = depth[rows][:, columns]
    if lens is None:
        return pixels
    known = lens.rectify(np.nan_to_num(pixels.numpy(), nan=0.0), "nearest")
    return torch.from_numpy(np.where(known > 0, known, np.float32("nan")))
