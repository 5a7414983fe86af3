"""The cameras of a topic of images over time, and where they are."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8

from scenekit.ros.headers import Header
from scenekit.ros.lens import Lens, lens_of
from scenekit.ros.opening import BagNotes
from scenekit.ros.transforms import Pose, TransformBuffer, UnknownTransformError
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size

WORLD_FRAMES = ("map", "odom", "world")
"""Frames that poses are in where none is named, the first that the transforms connect with the camera."""


@dataclass
class Cameras:
    """The messages CameraInfo of a topic, by time; a message that equals the one before is not kept."""

    topic: str | None
    """Name of the topic; None without one."""
    rectified: bool
    """Whether the images are rectified already."""
    notes: BagNotes
    """Gets a line about each choice."""
    frame_id: str = ""
    """Frame of the first message."""
    _stamps: list[int] = field(default_factory=list)
    _infos: list[Any] = field(default_factory=list)
    _lenses: dict[tuple[int, Size], Lens | None] = field(default_factory=dict)

    def add(self, message: Any, logged: int) -> None:
        """Add a message.

        Args:
            message: The CameraInfo.
            logged: Nanoseconds at which it was recorded.
        """
        if self._infos and _content(self._infos[-1]) == _content(message):
            return
        header = Header.of(message, logged)
        self.frame_id = self.frame_id or header.frame_id
        self._stamps.append(header.stamp)
        self._infos.append(message)

    def see(
        self, image: UInt8[np.ndarray, "H W 3"], stamp: int
    ) -> tuple[UInt8[np.ndarray, "H W 3"], Camera | None, Lens | None]:
        """Return an image without distortion, with its camera.

        Args:
            image: The image as it is.
            stamp: When it was taken, in nanoseconds.

        Returns:
            (Image, camera, lens by which it was rectified); camera and lens are None where there is none.
        """
        lens = self._lens(stamp, (int(image.shape[0]), int(image.shape[1])))
        if lens is None:
            return image, None, None
        if self.rectified or not lens.distorts:
            return image, lens.camera(rectified=self.rectified), None
        return lens.rectify(image), lens.camera(rectified=True), lens

    def _lens(self, stamp: int, size: Size) -> Lens | None:
        """Return the camera at a time: the last message before it, else the first one."""
        if not self._infos:
            return None
        row = max(bisect_right(self._stamps, stamp) - 1, 0)
        if (row, size) not in self._lenses:
            found = lens_of(self._infos[row], size, str(self.topic))
            self._lenses[row, size] = found if isinstance(found, Lens) else None
            if not isinstance(found, Lens):
                self.notes.once("camera", found)
            elif found.distorts and not self.rectified:
                self.notes.once("lens", f"images are rectified: the lens of {self.topic} distorts them ({found.model})")
        return self._lenses[row, size]


def _content(info: Any) -> tuple[Any, ...]:
    """Return what makes a CameraInfo another one, its time aside."""
    matrices = (getattr(info, name, getattr(info, name.upper(), ())) for name in "dkrp")
    region = info.roi
    crop = (region.x_offset, region.y_offset, region.width, region.height, info.binning_x, info.binning_y)
    return (info.width, info.height, info.distortion_model, *crop, *(tuple(map(float, matrix)) for matrix in matrices))


@dataclass
class FramePoses:
    """Where a camera is over time."""

    buffer: TransformBuffer
    """The transforms of the bag."""
    camera: str
    """Optical frame of the camera."""
    world: str | None
    """Frame that poses are in; None for no poses."""
    notes: BagNotes
    """Gets a line about the first time without a pose."""

    @classmethod
    def choose(cls, buffer: TransformBuffer, camera: str, world: str | None, notes: BagNotes) -> FramePoses:
        """Choose the frame of poses.

        Args:
            buffer: The transforms of the bag.
            camera: Optical frame of the camera.
            world: Frame that poses are to be in; None for the first of `WORLD_FRAMES` that is connected.
            notes: Gets a line about the choice.

        Returns:
            The poses.

        Raises:
            InputError: The frame that is named is not connected with the camera.
        """
        if world is not None:
            if world != camera and (world not in buffer.frames or not buffer.connected(world, camera)):
                buffer.lookup(world, camera, 0)
            return cls(buffer, camera, world, notes)
        known = [name for name in WORLD_FRAMES if name in buffer.frames and buffer.connected(name, camera)]
        poses = cls(buffer, camera, known[0] if known else None, notes)
        if known:
            notes.once("poses", f"poses are from {camera!r} to {known[0]!r}")
        elif buffer.frames:
            expected = ", ".join(WORLD_FRAMES)
            notes.once(
                "poses",
                f"images have no pose: {camera!r} is connected with none of {expected}; name the frame of the world",
            )
        return poses

    def at(self, stamp: int) -> Pose | None:
        """Return the pose of the camera in the world.

        Args:
            stamp: Nanoseconds.

        Returns:
            From the camera to the world, in metres; None where it is not known.
        """
        if self.world is None:
            return None
        try:
            return self.buffer.lookup(self.world, self.camera, stamp)
        except UnknownTransformError as error:
            self.notes.once("times", f"images without a pose: {error}")
            return None

    def from_sensor(self, sensor: Header, stamp: int) -> Pose:
        """Return the pose that moves points of another sensor to the camera.

        What the camera moved between the two times is taken into account where poses are known.

        Args:
            sensor: Frame and time of the points.
            stamp: Time of the image, in nanoseconds.

        Returns:
            From the sensor to the camera, in metres.

        Raises:
            InputError: No transforms connect the two frames at the time.
        """
        if sensor.frame_id == self.camera and sensor.stamp == stamp:
            return np.eye(4)
        if self.world is not None:
            try:
                camera = self.buffer.lookup(self.world, self.camera, stamp)
                moved: Pose = np.linalg.inv(camera) @ self.buffer.lookup(self.world, sensor.frame_id, sensor.stamp)
                return moved
            except UnknownTransformError:
                pass
        return self.buffer.lookup(self.camera, sensor.frame_id, stamp)
