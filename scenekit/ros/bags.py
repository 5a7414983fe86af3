"""The images of a bag, with camera, pose, depth and points."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.ranges import check_range
from scenekit.ros.cameras import Cameras, FramePoses
from scenekit.ros.clouds import cloud_points
from scenekit.ros.headers import SECOND, BagFrame, Header
from scenekit.ros.lens import Lens
from scenekit.ros.opening import BagNotes, Logged, Messages, note_damage, opened
from scenekit.ros.pixels import check_depth_encoding, check_encoding, color_image, depth_image
from scenekit.ros.synchronizing import Dated, Synchronizer, Together
from scenekit.ros.topics import Topics, choose, is_rectified
from scenekit.ros.transforms import EXTRAPOLATION, TransformBuffer, UnknownTransformError
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
    start: float | None = None,
    stop: float | None = None,
    every: int = 1,
    tolerance: float = TOLERANCE,
    extrapolation: float = EXTRAPOLATION,
    on_note: Callable[[str], None] | None = None,
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
        start: Seconds after the first image at which the images begin.
        stop: Seconds after the first image before which they end.
        every: Every which image, counted from the first one that is given; those between count in the numbers of the
            others.
        tolerance: Largest difference in seconds between an image and the depth and points that belong to it.
        extrapolation: Seconds that a transform may be used before its first and after its last message.
        on_note: Gets a line about each choice and each damage, once; by default they are logged as warnings.

    Returns:
        The images; iterating opens the bag anew.

    Raises:
        InputError: There is no such bag, it has no such topic, several topics of images and none is named, frames that
            are not connected, or images in an encoding that is unknown; a number is invalid; or the extra `ros` is not
            installed.
    """
    selection = BagRange.of(start, stop, every)
    for option, seconds in (("tolerance", tolerance), ("extrapolation", extrapolation)):
        if not 0 <= seconds < math.inf:
            raise InputError(f"{option}: expected seconds from 0, got {seconds!r}")
    notes, name = BagNotes(on_note or _log.warning), os.fspath(path)
    with opened(name, notes) as messages:
        topics = choose(messages.types, topic, depth_topic, points_topic, info_topic, name)
        first = _first_image(messages, topics, name, notes)
        cameras = Cameras(topics.info, is_rectified(topics.image), notes)
        buffer = TransformBuffer(extrapolation, selection.span(first.stamp, extrapolation + tolerance))
        _read_small(messages, topics, cameras, buffer, notes)
        _check_depth(messages, topics, notes)
        poses = FramePoses.choose(buffer, first.frame_id or cameras.frame_id, world_frame, notes)
        _check_points(messages, topics, poses, notes)
        count, span = messages.counts.get(topics.image) or None, messages.span
    if topics.info is None:
        notes.once("camera", f"{topics.image}: there is no camera_info beside it; images have no camera")
    duration = None if span is None else (span[1] - span[0]) / SECOND
    return Bag(name, topics, cameras, poses, selection, first, round(tolerance * SECOND), notes, count, duration)


@dataclass(frozen=True)
class BagRange:
    """Which images of a bag are asked for."""

    start: float
    """Nanoseconds after the first image at which they begin; -infinity for all, also those whose stamps jump back."""
    stop: float
    """Nanoseconds after the first image before which they end."""
    every: int
    """Every which one."""

    @classmethod
    def of(cls, start: float | None, stop: float | None, every: int) -> BagRange:
        """Check a selection.

        Args:
            start: Seconds; None for 0.
            stop: Seconds; None for all.
            every: A number from 1.

        Returns:
            The selection.

        Raises:
            InputError: A number is invalid, or there can be no such images.
        """
        check_range(start, stop, every)
        return cls(start * SECOND if start else -math.inf, math.inf if stop is None else stop * SECOND, every)

    def has(self, elapsed: int) -> bool:
        """Return whether an image lies between start and stop.

        Args:
            elapsed: Nanoseconds after the first image.

        Returns:
            True if it does.
        """
        return self.start <= elapsed < self.stop

    def span(self, first: int, margin: float) -> tuple[float, float]:
        """Return the times of the images.

        Args:
            first: Stamp of the first image, in nanoseconds.
            margin: Seconds to add on both sides.

        Returns:
            The first and the last one, in nanoseconds; infinite where there is no limit.
        """
        return first + self.start - margin * SECOND, first + self.stop + margin * SECOND


def _readable(messages: Messages, topics: list[str], notes: BagNotes) -> Iterator[tuple[Logged, Any]]:
    """Yield messages with what they hold; damaged ones are left out."""
    for one in messages.read(topics):
        try:
            message = one.message()
        except InputError as error:
            note_damage(notes, one.topic, error)
            continue
        yield one, message


def _first_image(messages: Messages, topics: Topics, name: str, notes: BagNotes) -> Header:
    """Return the header of the first image that is not damaged, whose encoding is checked."""
    for one, message in _readable(messages, [topics.image], notes):
        check_encoding(message, topics.image)
        return Header.of(message, one.time)
    raise InputError(
        f"{name}: the topic {topics.image!r} has no messages that can be read; record it again, or name another topic"
    )


def _check_depth(messages: Messages, topics: Topics, notes: BagNotes) -> None:
    """Check the encoding of the first depth that is not damaged."""
    for _, message in _readable(messages, [topics.depth] if topics.depth else [], notes):
        check_depth_encoding(message, str(topics.depth))
        return


def _check_points(messages: Messages, topics: Topics, poses: FramePoses, notes: BagNotes) -> None:
    """Check that the frame of the point clouds is connected with that of the camera."""
    for one, message in _readable(messages, [topics.points] if topics.points else [], notes):
        header = Header.of(message, one.time)
        with suppress(UnknownTransformError):  # of this time, not of all
            poses.from_sensor(header, header.stamp)
        return


def _read_small(messages: Messages, topics: Topics, cameras: Cameras, buffer: TransformBuffer, notes: BagNotes) -> None:
    """Read the messages that all images need: cameras and transforms."""
    wanted = [*topics.transforms, *([topics.info] if topics.info else [])]
    for one, message in _readable(messages, wanted, notes):
        if one.topic == topics.info:
            cameras.add(message, one.time)
        else:
            buffer.add_message(message, static=one.topic.endswith("_static"))


@dataclass(eq=False)
class Bag:
    """The images of a bag; `bag` opens one."""

    path: str
    """Path of the bag."""
    topics: Topics
    """Topics that are read."""
    cameras: Cameras
    """Cameras of the images."""
    poses: FramePoses
    """Poses of the camera."""
    selection: BagRange
    """Images that are asked for."""
    first: Header
    """Header of the first image."""
    tolerance: int
    """Largest difference of stamps within one frame, in nanoseconds."""
    notes: BagNotes
    """Gets a line about each damage."""
    count: int | None = None
    """Number of images in the bag; None where it is unknown."""
    duration: float | None = None
    """Seconds of the recording; None where they are unknown."""
    damaged: int = 0
    """Number of images that the last iteration has left out, as they are damaged."""

    @property
    def rate(self) -> float | None:
        """Images a second on average; None where it is unknown."""
        return self.count / self.duration if self.count and self.duration else None

    def __iter__(self) -> Iterator[BagFrame]:
        """Yield the images in the order in which they were recorded.

        Yields:
            Frames, numbered from 0; a damaged image is left out, and its number with it.

        Raises:
            InputError: Depth is not registered to the images, or frames are not connected.
        """
        others = tuple(topic for topic in (self.topics.depth, self.topics.points) if topic is not None)
        absent = dict.fromkeys(others, 0)
        asked, self.damaged = 0, 0
        synchronizer = Synchronizer(self.topics.image, others, self.tolerance, self.notes)
        with opened(self.path, self.notes) as messages:
            logged = messages.read([self.topics.image, *others])
            first: int | None = None
            for number, together in self._between(synchronizer.run(logged)):
                if first is not None and (number - first) % self.selection.every:
                    continue
                asked += 1
                for topic in others:
                    absent[topic] += topic not in together.others
                frame = self._frame(number, together)
                if frame is not None:
                    first = number if first is None else first
                    yield frame
        for topic, count in absent.items():
            if count:
                self.notes.once(
                    f"absent {topic}",
                    f"{topic}: {count} of {asked} images have none within {self.tolerance / SECOND:g} s",
                )

    def _between(self, images: Iterator[Together]) -> Iterator[tuple[int, Together]]:
        """Yield the images between start and stop, with their numbers."""
        before = None
        for number, together in enumerate(images):
            stamp = together.image.header.stamp
            self._check_order(before, stamp, number)
            before = stamp
            if stamp - self.first.stamp > self.selection.stop + SECOND:
                return
            if self.selection.has(stamp - self.first.stamp):
                yield number, together

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
            self.damaged += 1
            self.notes.once("images", f"damaged images are left out: {error}")
            return None
        image, camera, lens = self.cameras.see(raw, header.stamp)
        pose = self.poses.at(header.stamp)
        tensor = None if pose is None else torch.from_numpy(pose)
        moment = Moment(header.stamp / SECOND, number, tensor)
        inputs = self._inputs(together, (image.shape[0], image.shape[1]), lens)
        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return BagFrame(planes, moment, camera, inputs, self.path, header)

    def _inputs(self, together: Together, size: Size, lens: Lens | None) -> dict[str, Tensor]:
        """Return depth and points of an image, as far as there are any."""
        inputs: dict[str, Tensor] = {}
        if (found := self._decoded(self.topics.depth, together, depth_image)) is not None:
            one, depth, name = found
            inputs[DEPTH_INPUT] = registered(depth, size, lens, name)
        if (found := self._decoded(self.topics.points, together, cloud_points)) is not None:
            one, points, _ = found
            try:
                pose = self.poses.from_sensor(one.header, together.image.header.stamp)
                inputs[POINTS_INPUT] = torch.from_numpy(points @ pose[:3, :3].T + pose[:3, 3]).float()
            except UnknownTransformError as error:
                self.notes.once("moved", f"images without points: {error}")
        return inputs

    def _decoded(
        self, topic: str | None, together: Together, decode: Callable[[Any, str], Any]
    ) -> tuple[Dated[Any], Any, str] | None:
        """Return the message of a topic, what it holds, and its name; None without one, or where it is damaged."""
        if topic is None or (one := together.others.get(topic)) is None:
            return None
        name = f"{topic} at {one.header.stamp / SECOND:.3f} s"
        try:
            return one, decode(one.value, name), name
        except InputError as error:
            note_damage(self.notes, topic, error)
            return None


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
