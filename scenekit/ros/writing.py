"""Scenes as a bag: an MCAP file or a folder with a SQLite file, for `ros2 bag`, Foxglove, rerun and rosbags."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from scenekit.errors import InputError
from scenekit.io.files import new_folder, path_named, unwritable
from scenekit.ros.definitions import DEFAULT_DISTRO, typestore
from scenekit.ros.detections import label_info
from scenekit.ros.headers import Header
from scenekit.ros.packages import imported
from scenekit.ros.scenes import ONCE, messages_of
from scenekit.ros.values import Described, rosbags_message
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary

MCAP = ".mcap"
"""Suffix of an MCAP file; a name without suffix is that of a folder with a SQLite file."""

PREFIX = "/scenekit"
"""Before the name of every topic."""

FORMATS = {"humble": 8, "iron": 8}
"""Versions of the format of bags by distribution; 9 for later ones."""


class BagWriter:
    """Writes scenes into a bag, in which each has the messages that `scenekit.ros.scenes.messages_of` describes.

    The bag appears at its path when the block ends, also where an error or Ctrl-C ends it: it then holds the scenes
    that were added. Without any scene an error leaves nothing.

    ```python
    with sk.BagWriter("out.mcap") as writer:
        for frame in sk.bag("run.mcap", "/camera/image_raw"):
            writer.add(model.predict(frame), frame.header)
    ```

    Args:
        path: A file that ends in .mcap, or a new folder for a SQLite bag.
        distro: Distribution of ROS 2 whose definitions of messages are used.
        prefix: What the names of all topics begin with.
        threshold: Least score of the detections, for the message LabelInfo.

    Raises:
        InputError: The path has another suffix or cannot be written, there is no such distribution, or the extra `ros`
            is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        distro: str = DEFAULT_DISTRO,
        prefix: str = PREFIX,
        threshold: float = 0.0,
    ) -> None:
        self.target = check_bag_path(path)
        self.prefix, self.threshold = prefix.rstrip("/"), threshold
        self.count = 0
        self._store, self._distro = typestore(distro), distro
        self._vocabulary: Vocabulary | None = None
        self._connections: dict[str, Any] = {}
        self._draft, self._writer = self._opened()

    def add(self, scene: Scene, header: Header | None = None) -> None:
        """Add the messages of a scene.

        Args:
            scene: The scene.
            header: Header of its image, as `BagFrame.header` has it; by default the time of its moment, in the frame
                "camera".

        Raises:
            InputError: The bag cannot be written.
        """
        header = header or Header.at(scene.moment)
        described = [*messages_of(scene, header)]
        if scene.vocabulary != self._vocabulary:
            described.insert(0, label_info(scene.vocabulary, header, self.threshold))
            self._vocabulary = scene.vocabulary
        try:
            for one in described:
                self._write(one, header.stamp)
        except OSError as error:
            raise unwritable(self.target, error) from error
        self.count += 1

    def close(self) -> None:
        """Complete the bag and move it to its path.

        Raises:
            InputError: The bag cannot be written.
        """
        draft, self._draft = self._draft, None
        if draft is None:
            return
        try:
            self._writer.close()
            if self.target.suffix.lower() == MCAP:
                next(self._writer.path.glob(f"*{MCAP}")).replace(self.target)
            else:
                self._writer.path.replace(self.target)
        except OSError as error:
            raise unwritable(self.target, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def discard(self) -> None:
        """Remove what has been written; nothing appears at the path."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._writer.abort()
            shutil.rmtree(draft, ignore_errors=True)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.count == 0:
            self.discard()
        else:
            self.close()

    def _opened(self) -> tuple[Path | None, Any]:
        """Open a bag of the same name in a hidden folder beside the target."""
        rosbag2, is_file = imported("rosbags.rosbag2"), self.target.suffix.lower() == MCAP
        plugin = rosbag2.StoragePlugin.MCAP if is_file else rosbag2.StoragePlugin.SQLITE3
        draft = None
        try:
            draft = Path(tempfile.mkdtemp(prefix=".", dir=self.target.parent))
            name = draft / (self.target.stem if is_file else self.target.name)
            writer = rosbag2.Writer(name, version=FORMATS.get(self._distro, 9), storage_plugin=plugin)
            if is_file:  # chunks, which all readers know; maps of labels shrink to some percent
                writer.set_compression(rosbag2.CompressionMode.STORAGE, rosbag2.CompressionFormat.ZSTD)
            writer.open()
        except OSError as error:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            raise unwritable(self.target, error) from error
        return draft, writer

    def _write(self, one: Described, stamp: int) -> None:
        topic = f"{self.prefix}/{one.topic}"
        if topic not in self._connections:
            lasting = {"offered_qos_profiles": [_lasting()]} if one.topic == ONCE else {}
            connection = self._writer.add_connection(topic, one.type, typestore=self._store, **lasting)
            self._connections[topic] = connection
        message = rosbags_message(self._store, one.type, one.values)
        self._writer.write(self._connections[topic], stamp, self._store.serialize_cdr(message, one.type))


def _lasting() -> Any:
    """Return the profile of a topic whose last message later subscribers get, too."""
    kinds = imported("rosbags.interfaces")
    endless = kinds.QosTime(2147483647, 4294967295)
    return kinds.Qos(
        kinds.QosHistory.KEEP_LAST,
        1,
        kinds.QosReliability.RELIABLE,
        kinds.QosDurability.TRANSIENT_LOCAL,
        endless,
        endless,
        kinds.QosLiveliness.AUTOMATIC,
        endless,
        avoid_ros_namespace_conventions=False,
    )


def check_bag_path(path: str | os.PathLike[str]) -> Path:
    """Check the path of a bag that is to be written.

    Args:
        path: The path that a user names.

    Returns:
        The path.

    Raises:
        InputError: The suffix is another one, there is a folder with files, or no folder to write in.
    """
    target = path_named(path)
    if target.suffix.lower() not in (MCAP, ""):
        raise InputError(f"{target}: expected the name of a bag: a file that ends in .mcap, or a folder without suffix")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; create it, or name another one")
    if target.suffix.lower() == MCAP and target.is_dir():
        raise InputError(f"{target} is a folder; name a file that ends in .mcap")
    return target if target.suffix.lower() == MCAP else new_folder(target)
