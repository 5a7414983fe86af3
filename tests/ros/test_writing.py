"""Bags of scenes: read again by rosbags, by mcap and by rerun; complete however the writing ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import Writer as McapWriter
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import scenekit as sk
from scenekit.errors import InputError
from scenekit.ros.definitions import typestore
from scenekit.ros.detections import instance_map, label_info
from scenekit.ros.headers import Header
from scenekit.ros.scenes import messages_of
from scenekit.ros.values import rosbags_message
from tests.ros.scenes import scene

HEADER = Header(1_700_000_000_123_456_789, "camera_optical")

TOPICS = {
    "/scenekit/label_info": "vision_msgs/msg/LabelInfo",
    "/scenekit/detections2d": "vision_msgs/msg/Detection2DArray",
    "/scenekit/detections3d": "vision_msgs/msg/Detection3DArray",
    "/scenekit/label_image": "sensor_msgs/msg/Image",
    "/scenekit/instance_image": "sensor_msgs/msg/Image",
    "/scenekit/markers": "visualization_msgs/msg/MarkerArray",
    "/scenekit/image_annotations": "foxglove_msgs/msg/ImageAnnotations",
    "/scenekit/scene_update": "foxglove_msgs/msg/SceneUpdate",
    "/scenekit/graph": "std_msgs/msg/String",
    "/scenekit/scene": "std_msgs/msg/String",
}


def expected(distro: str = "jazzy") -> dict[str, str]:
    """All messages about the scene, as text by topic."""
    described = [label_info(scene().vocabulary, HEADER), *messages_of(scene(), HEADER)]
    store = typestore(distro)
    return {f"/scenekit/{one.topic}": str(rosbags_message(store, one.type, one.values)) for one in described}


def written(path: Path, count: int = 1, **options: Any) -> Path:
    with sk.BagWriter(path, **options) as writer:
        for number in range(count):
            writer.add(scene(number), replace(HEADER, stamp=HEADER.stamp + number))
    return path


@pytest.mark.parametrize("name", ["out.mcap", "out"])
@pytest.mark.parametrize("distro", ["humble", "jazzy"])
def test_rosbags_reads_what_was_written(tmp_path: Path, name: str, distro: str) -> None:
    path = written(tmp_path / name, 2, distro=distro)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    with AnyReader([path]) as reader:
        assert {one.topic: one.msgtype for one in reader.connections} == TOPICS
        found = [(one.topic, time, reader.deserialize(data, one.msgtype)) for one, time, data in reader.messages()]
        (lasting,) = next(one for one in reader.connections if one.topic.endswith("info")).ext.offered_qos_profiles
    first = {topic: str(message) for topic, time, message in found if time == HEADER.stamp}
    assert first == expected(distro) and len(found) == 2 * len(TOPICS) - 1  # the class names once
    assert lasting.durability == QosDurability.TRANSIENT_LOCAL


def test_the_suffix_may_have_capitals(tmp_path: Path) -> None:
    path = written(tmp_path / "OUT.MCAP", 2)
    assert [one.name for one in tmp_path.iterdir()] == ["OUT.MCAP"]
    with path.open("rb") as stream:
        assert {channel.topic for _, channel, _ in make_reader(stream).iter_messages()} == set(TOPICS)


def test_mcap_reads_what_was_written(tmp_path: Path) -> None:
    """By the definitions in the file itself, and the values of some messages by themselves."""
    found, decoded = {}, {}
    with written(tmp_path / "out.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        for schema, channel, message in reader.iter_messages():
            assert schema is not None and (schema.encoding, channel.message_encoding) == ("ros2msg", "cdr")
            assert message.log_time == HEADER.stamp
            store = get_typestore(Stores.EMPTY)
            store.register(get_types_from_msg(schema.data.decode(), schema.name))
            decoded[channel.topic] = store.deserialize_cdr(message.data, schema.name)
            found[channel.topic] = str(decoded[channel.topic])
    assert found == expected()
    person, _ = decoded["/scenekit/detections2d"].detections
    assert (person.header.stamp.sec, person.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (person.header.frame_id, person.id, person.results[0].hypothesis.class_id) == (
        "camera_optical",
        "5",
        "person",
    )
    assert (person.bbox.center.position.x, person.bbox.size_x) == (16.0, 20.0)
    image = decoded["/scenekit/instance_image"]
    np.testing.assert_array_equal(image.data.view("<u2").reshape(image.height, image.width), instance_map(scene()))
    box = decoded["/scenekit/detections3d"].detections[0].bbox
    assert (box.center.position.z, box.size.x, box.size.y, box.size.z) == (8.0, 3.0, 1.0, 1.5)
    text = json.loads(decoded["/scenekit/scene"].data)
    assert sk.Scene.from_json(text).to_json() == scene().to_json()


def test_what_mcap_writes_rosbags_reads(tmp_path: Path) -> None:
    store, name = typestore(), "vision_msgs/msg/Detection2DArray"
    (detections,) = [one for one in messages_of(scene(), HEADER) if one.type == name]
    message = rosbags_message(store, name, detections.values)
    with (tmp_path / "other.mcap").open("wb") as stream:
        writer = McapWriter(stream)
        writer.start(profile="ros2", library="test")
        schema = writer.register_schema(name, "ros2msg", store.generate_msgdef(name, ros_version=2)[0].encode())
        channel = writer.register_channel("/found", "cdr", schema)
        writer.add_message(channel, 7, bytes(store.serialize_cdr(message, name)), 7)
        writer.finish()
    with AnyReader([tmp_path / "other.mcap"]) as reader:
        ((connection, time, data),) = reader.messages()
        assert (time, str(reader.deserialize(data, connection.msgtype))) == (7, str(message))


def test_rerun_converts_what_was_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rerun", "mcap", "convert", str(written(tmp_path / "out.mcap")), "-o"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([*command, tmp_path / "out.rrd"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.rrd").stat().st_size > 1000
    assert all(topic in done.stderr for topic in TOPICS)


@pytest.mark.parametrize("name", ["out.mcap", "out"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_an_error_leaves_what_was_done(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    path = tmp_path / name
    with pytest.raises(error), sk.BagWriter(path) as writer:
        writer.add(scene(), HEADER)
        raise error
    with AnyReader([path]) as reader:
        assert reader.message_count == len(TOPICS)
    with pytest.raises(error), sk.BagWriter(tmp_path / f"again{path.suffix}"):
        raise error
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_scene_that_fails_halfway_ends_the_bag_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError), sk.BagWriter(tmp_path / "out.mcap") as writer:
        writer.add(scene(), HEADER)
        monkeypatch.setattr(sk.Scene, "graph", lambda *_: (_ for _ in ()).throw(RuntimeError("no graph")))
        writer.add(scene(1), HEADER)
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        assert reader.message_count == len(TOPICS)


def test_an_older_file_is_replaced_only_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    path.write_bytes(b"old")
    with sk.BagWriter(path) as writer:
        writer.add(scene(), HEADER)
        assert path.read_bytes() == b"old"
    assert path.read_bytes().startswith(b"\x89MCAP")


def test_time_and_frame_of_scenes_without_a_header(tmp_path: Path) -> None:
    with sk.BagWriter(tmp_path / "out.mcap", prefix="/front/") as writer:
        writer.add(scene(3))
        writer.add(replace(scene(), moment=None))
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        wanted = [one for one in reader.connections if one.topic == "/front/detections2d"]
        headers = [reader.deserialize(data, one.msgtype).header for one, _, data in reader.messages(wanted)]
    assert [(one.stamp.sec, one.stamp.nanosec, one.frame_id) for one in headers] == [
        (0, 0, "camera"), (103, 250_000_000, "camera"),
    ]  # fmt: skip


def test_paths_that_cannot_be_bags(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "folder.mcap").mkdir()
    for name, reason in (
        ("out.bag", r"expected the name of a bag: a file that ends in .mcap, or a folder without suffix"),
        ("none/out.mcap", r"there is no folder .*none; create it"),
        ("full", "exists and is not an empty folder"),
        ("folder.mcap", "is a folder; name a file"),
    ):
        with pytest.raises(InputError, match=reason):
            sk.BagWriter(tmp_path / name)
    with pytest.raises(InputError, match="no messages of the ROS 2 distribution 'noetic'"):
        sk.BagWriter(tmp_path / "out.mcap", distro="noetic")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder.mcap", "full"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    writer = sk.BagWriter(tmp_path / "out.mcap")
    monkeypatch.setattr(type(writer._writer), "write", full)
    with pytest.raises(InputError, match=r"cannot write .*out.mcap: No space left on device; free some space"):
        writer.add(scene(), HEADER)
    writer.discard()
    assert list(tmp_path.iterdir()) == []
