"""Small bags that rosbags writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from scenekit.ros.definitions import typestore
from scenekit.ros.headers import SECOND, Header
from scenekit.ros.values import rosbags_message

IMAGE = "sensor_msgs/msg/Image"
INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
TF = "tf2_msgs/msg/TFMessage"

Message = tuple[str, str, float, Mapping[str, Any]]
"""Topic, type, seconds at which it is recorded, values."""


def header(time: float, frame: str = "optical") -> Mapping[str, Any]:
    return Header(round(time * SECOND), frame).values


def image(time: float, pixels: np.ndarray, encoding: str = "rgb8", **more: Any) -> Mapping[str, Any]:
    """An Image of an array [H W C], in the byte order of the array."""
    height, width = pixels.shape[:2]
    flat = np.ascontiguousarray(pixels)
    values = {
        "header": header(time),
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": int(flat.dtype.str.startswith(">")),
        "step": flat.nbytes // height,
        "data": np.frombuffer(flat.tobytes(), np.uint8),
    }
    return {**values, **more}


def info(time: float, size: tuple[int, int], k: Sequence[float], **more: Any) -> Mapping[str, Any]:
    """A CameraInfo; `k` is fx, fy, cx, cy."""
    fx, fy, cx, cy = k
    values = {
        "header": header(time),
        "height": size[0],
        "width": size[1],
        "distortion_model": "plumb_bob",
        "k": [fx, 0, cx, 0, fy, cy, 0, 0, 1],
        "r": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0],
    }
    return {**values, **more}


def tf(time: float, parent: str, child: str, place: Sequence[float], turn: Sequence[float] = (0, 0, 0, 1)) -> Any:
    """A TFMessage with one transform."""
    move = {
        "translation": dict(zip("xyz", place, strict=True)),
        "rotation": dict(zip("xyzw", turn, strict=True)),
    }
    return {"transforms": [{"header": header(time, parent), "child_frame_id": child, "transform": move}]}


def cloud(time: float, points: np.ndarray, frame: str = "lidar") -> Mapping[str, Any]:
    """A PointCloud2 of float32 points [P 3], with an intensity between y and z."""
    table = np.zeros((len(points), 5), np.float32)
    table[:, [0, 1, 3]] = points
    fields = [
        {"name": name, "offset": offset, "datatype": 7, "count": 1}
        for name, offset in (("x", 0), ("y", 4), ("intensity", 8), ("z", 12))
    ]
    return {
        "header": header(time, frame),
        "height": 1,
        "width": len(points),
        "fields": fields,
        "point_step": 20,
        "row_step": 20 * len(points),
        "data": np.frombuffer(table.tobytes(), np.uint8),
    }


def record(path: Path, messages: Sequence[Message], storage: str = "mcap", distro: str = "jazzy") -> Path:
    """Write a bag; of an MCAP bag the file is returned, of another one the folder."""
    store, connections = typestore(distro), {}
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        for topic, kind, time, values in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            data = store.serialize_cdr(rosbags_message(store, kind, values), kind)
            writer.write(connections[topic], round(time * SECOND), data)
    return path / f"{path.name}.mcap" if storage == "mcap" else path


def noise(height: int = 6, width: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
