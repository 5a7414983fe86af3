"""Bags of ROS 2 as sources and targets of `scenekit predict`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.cli.stream_sinks import FILES, Opener, Sink, of_frame
from scenekit.cli.stream_sources import FrameSource, Kind, Selection

if TYPE_CHECKING:
    from scenekit.ros.bags import Bag
    from scenekit.ros.writing import BagWriter
    from scenekit.scene import Scene
    from scenekit.structures.moments import VideoFrame

SUFFIXES = (".mcap", ".db3", ".bag")
"""Suffixes of files that are read as bags."""

MCAP = ".mcap"
"""Suffix of bags that are written."""

Name = str | None

TopicOption = Annotated[
    Name, typer.Option("--topic", metavar="NAME", help="Topic of images in a bag; default: the only one.")
]
DepthTopicOption = Annotated[
    Name, typer.Option("--depth-topic", metavar="NAME", help="Topic of depth in a bag, registered to the images.")
]
PointsTopicOption = Annotated[
    Name, typer.Option("--points-topic", metavar="NAME", help="Topic of point clouds in a bag.")
]
InfoTopicOption = Annotated[
    Name, typer.Option("--info-topic", metavar="NAME", help="Topic of the camera; default: camera_info beside images.")
]
WorldFrameOption = Annotated[
    Name, typer.Option("--world-frame", metavar="NAME", help="Frame of poses; default: map, odom or world.")
]
DistroOption = Annotated[
    str, typer.Option("--distro", metavar="NAME", help="ROS 2 distribution whose messages a bag is written with.")
]


@dataclass(frozen=True)
class BagOptions:
    """What is read of bags; the names are arguments of `scenekit.bag`."""

    topic: Name = None
    depth_topic: Name = None
    points_topic: Name = None
    info_topic: Name = None
    world_frame: Name = None

    def named(self) -> dict[str, object]:
        """Return the options of the command line.

        Returns:
            Values by option.
        """
        return {f"--{name.replace('_', '-')}": value for name, value in vars(self).items()}

    def opened(self, name: str, selection: Selection) -> Bag:
        """Open a bag.

        Args:
            name: Its path.
            selection: The images of it.

        Returns:
            The bag.

        Raises:
            InputError: It cannot be read, or has no such topics.
        """
        from scenekit.ros.bags import bag

        chosen: dict[str, Any] = {**vars(self), **vars(selection)}
        return bag(name, **chosen, on_note=output.print_note)

    def kind(self) -> Kind:
        """Return the kind of sources that bags are.

        Returns:
            The kind; a bag that has been checked is not opened anew.
        """
        known: dict[str, Bag] = {}

        def check(name: str, selection: Selection) -> None:
            known[name] = self.opened(name, selection)

        def opened(name: str, selection: Selection) -> FrameSource:
            return BagStream(known.pop(name) if name in known else self.opened(name, selection))

        return Kind("bags", is_bag, opened, check)


def is_bag(name: str) -> bool:
    """Return whether a name is that of a bag.

    Args:
        name: The name.

    Returns:
        True for a file with one of `SUFFIXES`, and for a folder that holds one, or a metadata.yaml.
    """
    if name.lower().endswith(SUFFIXES):
        return True
    try:
        return os.path.isdir(name) and any(one.endswith((*SUFFIXES, "metadata.yaml")) for one in os.listdir(name))
    except OSError:  # of a folder that this user may not list
        return False


@dataclass
class BagStream:
    """A bag as a source of frames."""

    bag: Bag
    """The bag."""
    _frames: Any = field(default=None, repr=False)

    @property
    def source(self) -> str:
        """Return its path."""
        return self.bag.path

    @property
    def rate(self) -> float | None:
        """Return the images a second on average, if known, before `every`."""
        return self.bag.rate

    @property
    def duration(self) -> float | None:
        """Return its seconds, if known."""
        return self.bag.duration

    @property
    def damaged(self) -> int:
        """Return how many images have been left out so far."""
        return self.bag.damaged

    def __iter__(self) -> Iterator[VideoFrame]:
        return self

    def __next__(self) -> VideoFrame:
        frame: VideoFrame = next(self._frames)
        return frame

    def __enter__(self) -> BagStream:
        self._frames = iter(self.bag)
        return self

    def __exit__(self, *error: Any) -> None:
        self._frames.close()


@dataclass(frozen=True)
class BagSink:
    """A bag of scenes."""

    writer: BagWriter
    """Writes the bag."""

    def write(self, scene: Scene, frame: VideoFrame) -> None:
        """Write the messages of a scene, with the header of its image if that has one.

        Args:
            scene: The scene.
            frame: Its frame.
        """
        self.writer.add(of_frame(scene), getattr(frame, "header", None))


@contextmanager
def bag_of_scenes(distro: str, threshold: float, target: Path, source: FrameSource) -> Iterator[Sink]:
    """Provide a bag of scenes.

    Args:
        distro: Distribution of ROS 2 whose messages are written.
        threshold: Least score of the objects.
        target: The file.
        source: Whose frames they are of.

    Yields:
        The sink.

    Raises:
        InputError: The file cannot be written.
    """
    from scenekit.ros.writing import BagWriter

    with BagWriter(target, distro=distro, threshold=threshold) as writer:
        yield BagSink(writer)


def files(out: Path | None, distro: str, threshold: float) -> dict[str, Opener]:
    """Return what --out writes to a file, bags among it.

    Args:
        out: Value of --out.
        distro: Distribution of ROS 2 whose messages are written.
        threshold: Least score of the objects.

    Returns:
        What opens a file, by its suffix.

    Raises:
        InputError: There is no such distribution; or a bag is to be written, and the extra `ros` is not installed.
    """
    from scenekit.ros.definitions import check_distro, typestore

    check_distro(distro)
    if out is not None and out.suffix.lower() == MCAP:
        typestore(distro)
    return {**FILES, MCAP: partial(bag_of_scenes, distro, threshold)}
