"""Which topics of a bag are read: those that are named, else the only ones that it can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scenekit.errors import InputError, listed
from scenekit.ros.pixels import COMPRESSED

IMAGE = "sensor_msgs/msg/Image"
IMAGES = (IMAGE, COMPRESSED)
INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
TRANSFORMS = "tf2_msgs/msg/TFMessage"

SHOWN = 30
"""How many topics an error lists."""


@dataclass(frozen=True)
class Topics:
    """The topics of a bag that are read."""

    image: str
    """Images."""
    depth: str | None = None
    """Depth, registered to the images."""
    points: str | None = None
    """Point clouds."""
    info: str | None = None
    """The camera of the images."""
    transforms: tuple[str, ...] = ()
    """Transforms between frames."""


def choose(
    types: Mapping[str, str], image: str | None, depth: str | None, points: str | None, info: str | None, bag: str
) -> Topics:
    """Choose the topics to read.

    Args:
        types: Types of messages by topic.
        image: Topic of images; None for the only one there is.
        depth: Topic of depth, if any.
        points: Topic of point clouds, if any.
        info: Topic of the camera; None for the one beside the images, if any.
        bag: Path of the bag in errors.

    Returns:
        The topics.

    Raises:
        InputError: A topic is absent or of another type, or there are several topics of images.
    """
    if not types:
        raise InputError(f"{bag} holds no messages of ROS 2; record it again, or name another bag")
    image = named(types, image, IMAGES, "images", bag) or only_images(types, depth, bag)
    return Topics(
        image,
        named(types, depth, IMAGES, "images", bag),
        named(types, points, (CLOUD,), "point clouds", bag),
        named(types, info, (INFO,), "cameras", bag) or beside(types, image),
        tuple(topic for topic, kind in types.items() if kind == TRANSFORMS),
    )


def named(types: Mapping[str, str], topic: str | None, kinds: Collection[str], what: str, bag: str) -> str | None:
    """Check a topic that is named.

    Args:
        types: Types of messages by topic.
        topic: The topic; None stays None.
        kinds: Types that it may have.
        what: What it is to hold, in errors.
        bag: Path of the bag in errors.

    Returns:
        The topic.

    Raises:
        InputError: It is absent or of another type.
    """
    if topic is None or types.get(topic) in kinds:
        return topic
    reason = f"is of type {types[topic]}, expected {' or '.join(kinds)}" if topic in types else "is not in the bag"
    found = listed(sorted(name for name, kind in types.items() if kind in kinds), SHOWN) or "none"
    raise InputError(f"{bag}: the topic {topic!r} {reason}; topics of {what} are: {found}")


def only_images(types: Mapping[str, str], depth: str | None, bag: str) -> str:
    """Return the only topic of images.

    Args:
        types: Types of messages by topic.
        depth: The topic of depth, which does not count.
        bag: Path of the bag in errors.

    Returns:
        The topic.

    Raises:
        InputError: There is none, or there are several.
    """
    found = sorted(topic for topic, kind in types.items() if kind in IMAGES and topic != depth)
    if not found:
        raise InputError(f"{bag} has no topic of images; its topics are: {listed(sorted(types), SHOWN)}")
    if len(found) > 1:
        raise InputError(f"{bag} has several topics of images; name one of them: {listed(found, SHOWN)}")
    return found[0]


def beside(types: Mapping[str, str], image: str) -> str | None:
    """Return the topic of the camera of images, where drivers publish it.

    Args:
        types: Types of messages by topic.
        image: Topic of the images, such as "/camera/image_raw/compressed".

    Returns:
        Such as "/camera/camera_info"; None where there is none.
    """
    return next((topic for topic in info_topics(image) if types.get(topic) == INFO), None)


def info_topics(image: str) -> tuple[str, ...]:
    """Return where drivers publish the camera of images.

    Args:
        image: Topic of the images, such as "/camera/image_raw/compressed".

    Returns:
        Such as "/camera/camera_info", the likeliest first.
    """
    base = image.removesuffix("/compressed")
    return (f"{base.rpartition('/')[0]}/camera_info", f"{base}/camera_info")


def is_rectified(image: str) -> bool:
    """Return whether images are rectified, by their topic.

    Args:
        image: The topic.

    Returns:
        True for such as "/camera/image_rect_color/compressed".
    """
    return any(part.startswith("image_rect") for part in image.split("/"))
