"""Bags as streams of images: what comes with each, and what is refused or noted."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mcap.writer import IndexType
from mcap.writer import Writer as McapWriter
from PIL import Image
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

import scenekit as sk
from scenekit.errors import InputError
from scenekit.io.ranges import check_range
from scenekit.ros.definitions import typestore
from scenekit.ros.headers import SECOND
from scenekit.ros.values import rosbags_message
from tests.ros.recording import CLOUD, IMAGE, INFO, TF, Message, cloud, header, image, info, noise, record, tf
from tests.world.posed import looking, scene_of

RAW, CAMERA, DEPTH, LIDAR = "/cam/image_raw", "/cam/camera_info", "/cam/depth", "/lidar"
OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""The optical frame in one whose x is forward."""


def drive(count: int = 4) -> list[Message]:
    """Images each 0.1 s from 100 s on; the robot drives 1 m in 0.1 s along x, the camera looks ahead."""
    messages: list[Message] = [
        ("/tf_static", TF, 100, tf(0, "base", "optical", (0, 0, 1), OPTICAL)),
        ("/tf_static", TF, 100, tf(0, "base", "lidar", (0.5, 0, 2))),
        ("/tf", TF, 100, tf(99, "odom", "base", (-10, 0, 0))),
        ("/tf", TF, 100, tf(101, "odom", "base", (10, 0, 0))),
    ]
    for number in range(count):
        time = 100 + number / 10
        messages.append((CAMERA, INFO, time, info(time, (6, 8), (10, 10, 3.5, 2.5))))
        messages.append((RAW, IMAGE, time, image(time, noise(seed=number))))
        metres = np.full((6, 8), 1000 + number, np.uint16)
        messages.append((DEPTH, IMAGE, time + 0.03, image(time + 0.02, metres, "16UC1")))
        messages.append((LIDAR, CLOUD, time + 0.04, cloud(time + 0.01, np.array([[3.0, -1.0, 0.0]]))))
    return sorted(messages, key=lambda one: one[2])


def read_bag(path: Path, *arguments: Any, **options: Any) -> tuple[list[Any], list[str]]:
    """The frames of a bag, and the lines about it."""
    lines: list[str] = []
    return list(sk.bag(path, *arguments, on_note=lines.append, **options)), lines


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("distro", ["humble", "jazzy"])
def test_all_that_comes_with_an_image(tmp_path: Path, storage: str, distro: str) -> None:
    path = record(tmp_path / "run", drive(), storage, distro)
    frames, lines = read_bag(path, RAW, depth_topic=DEPTH, points_topic=LIDAR)
    assert lines == ["poses are from 'optical' to 'odom'"]
    assert [frame.moment.number for frame in frames] == [0, 1, 2, 3]
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image.permute(1, 2, 0), noise(seed=number))
        assert (frame.header.stamp, frame.header.frame_id) == (100_000_000_000 + number * 100_000_000, "optical")
        assert frame.moment.time == frame.header.stamp / 1e9 and frame.source == str(path)
        # x of odom is forward: the camera's z; its position is that of the robot, 1 m up
        expected = [[0.0, 0.0, 1.0, number], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
        torch.testing.assert_close(frame.moment.pose, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0)
        assert frame.camera.matrix.tolist() == [[10.0, 0.0, 4.0], [0.0, 10.0, 3.0], [0.0, 0.0, 1.0]]
        torch.testing.assert_close(frame.inputs["depth"], torch.full((6, 8), 1.0 + number / 1000))
        # 0.5 m ahead of the camera, 1 m above, 3 m ahead and 1 m to the right of itself; 0.1 m driven in 0.01 s
        torch.testing.assert_close(frame.inputs["points"], torch.tensor([[1.0, -1.0, 3.6]]), atol=1e-5, rtol=0)


def test_depth_and_points_too_far_in_time_are_absent(tmp_path: Path) -> None:
    path = record(tmp_path / "run", drive())
    frames, lines = read_bag(path, RAW, depth_topic=DEPTH, points_topic=LIDAR, tolerance=0.015)
    assert all(set(frame.inputs) == {"points"} for frame in frames)
    assert lines[1:] == [f"{DEPTH}: 4 of 4 images have none within 0.015 s"]


def test_a_part_of_the_images(tmp_path: Path) -> None:
    path = record(tmp_path / "run", drive(8))
    frames, _ = read_bag(path, RAW, start=0.1, stop=0.6, every=2, depth_topic=DEPTH)
    assert [frame.moment.number for frame in frames] == [1, 3, 5]  # counted from the first one, as of videos
    assert [round(float(frame.inputs["depth"][0, 0]), 3) for frame in frames] == [1.001, 1.003, 1.005]
    opened = sk.bag(path, RAW)
    assert opened.count == 8 and opened.rate == pytest.approx(8 / 0.74)
    with pytest.raises(InputError, match="tolerance: expected seconds from 0, got -1"):
        sk.bag(path, RAW, tolerance=-1.0)


@pytest.mark.parametrize(
    "options", [{"start": 2.0, "stop": 1.0}, {"start": -1.0}, {"stop": float("nan")}, {"every": 0}, {"every": True}]
)
def test_a_range_is_refused_as_that_of_a_video(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as expected:
        check_range(**{"start": None, "stop": None, "every": 1, **options})
    with pytest.raises(InputError) as error:
        sk.bag(record(tmp_path / "run", drive(1)), RAW, **options)
    assert str(error.value) == str(expected.value)


def test_positions_of_a_map_projection_keep_their_millimetres(tmp_path: Path) -> None:
    """Through the frame, a scene, its JSON, a map and its JSON; float32 has steps of 0.5 m there."""
    place = (4512345.678, 512345.123, 0.25)
    messages: list[Message] = [
        ("/tf_static", TF, 1, tf(0, "map", "optical", place)),
        (RAW, IMAGE, 1, image(1, noise())),
    ]
    ((frame,), _) = read_bag(record(tmp_path / "run", messages))
    assert tuple(frame.moment.pose[:3, 3].tolist()) == place
    scene = sk.Scene((6, 8), sk.Vocabulary(()), moment=frame.moment, camera=sk.Camera(torch.eye(3)))
    again = sk.Scene.from_json(json.loads(json.dumps(scene.to_json())))
    assert again.moment is not None and again.moment.pose is not None
    assert tuple(again.moment.pose[:3, 3].tolist()) == place
    world = sk.World()
    world.add(replace(scene_of([], looking((0, 0, 1), (1, 0, 1))), moment=again.moment))
    assert tuple(sk.World.from_json(json.loads(json.dumps(world.to_json()))).views[-1].position.tolist()) == place


def test_transforms_far_from_the_range_are_not_kept(tmp_path: Path) -> None:
    """Those beside it are, as poses within it lie between them."""
    far: list[Message] = [
        ("/tf", TF, 100, tf(time, "odom", "base", ((time - 100) * 10, 0, 0))) for time in range(60, 140)
    ]
    messages = [one for one in drive(8) if one[0] != "/tf"]
    path = record(tmp_path / "run", sorted([*messages, *far], key=lambda one: one[2]))
    opened = sk.bag(path, RAW, start=0.2, stop=0.6, on_note=print)
    (track,) = (track for track in opened.poses.buffer._tracks.values() if not track.static)
    assert sorted(track.poses) == [100 * SECOND, 101 * SECOND]
    whole = {frame.moment.number: frame.moment.pose for frame in sk.bag(path, RAW, on_note=print)}
    part = {frame.moment.number: frame.moment.pose for frame in opened}
    assert list(part) == [2, 3, 4, 5]
    for number, pose in part.items():
        torch.testing.assert_close(pose, whole[number], atol=0, rtol=0)


def test_distorted_images_are_rectified_and_noted_once(tmp_path: Path) -> None:
    lens = {"d": [-0.2, 0.0, 0.0, 0.0, 0.0], "p": [8, 0, 3.5, 0, 0, 8, 2.5, 0, 0, 0, 1, 0]}
    spot = np.zeros((7, 9, 3), np.uint8)
    spot[3, 4] = 200
    messages: list[Message] = [(CAMERA, INFO, 1, {**info(1, (7, 9), (8, 8, 4, 3)), **lens})]
    messages += [(RAW, IMAGE, time, image(time, spot)) for time in (1, 2)]
    depth = np.where(spot[:, :, 0] > 0, 2000, 0).astype(np.uint16)
    messages += [(DEPTH, IMAGE, time, image(time, depth, "16UC1")) for time in (1, 2)]
    path = record(tmp_path / "run", messages)
    (frame, _), lines = read_bag(path, RAW, depth_topic=DEPTH)
    assert frame.camera.matrix[0].tolist() == [8.0, 0.0, 4.0]
    # the principal point moves from (4, 3) to (3.5, 2.5): the spot is shared by four pixels
    assert frame.image[0, 2:4, 3:5].tolist() == [[pytest.approx(50, abs=2)] * 2] * 2
    assert int((frame.inputs["depth"] == 2.0).sum()) in (1, 2, 4) and frame.inputs["depth"].isnan().sum() > 58
    assert lines == [f"images are rectified: the lens of {CAMERA} distorts them (plumb_bob)"]
    rectified = [("/cam/image_rect" if topic == RAW else topic, *rest) for topic, *rest in messages]
    (frame, _), lines = read_bag(record(tmp_path / "rect", rectified), "/cam/image_rect")
    assert not lines and frame.image.max() == 200 and frame.camera.matrix[0].tolist() == [8.0, 0.0, 4.0]


def test_cameras_of_no_use_are_noted(tmp_path: Path) -> None:
    messages: list[Message] = [(RAW, IMAGE, 1, image(1, noise()))]
    (frame,), lines = read_bag(record(tmp_path / "none", messages))
    assert frame.camera is None and lines == [f"{RAW}: there is no camera_info beside it; images have no camera"]
    empty = [*messages, (CAMERA, INFO, 1.0, info(1, (6, 8), (0, 0, 0, 0)))]
    (frame,), lines = read_bag(record(tmp_path / "zero", empty))
    assert frame.camera is None and lines == [f"{CAMERA}: K is not calibrated (fx 0, fy 0); images have no camera"]


def test_the_frame_of_the_world(tmp_path: Path) -> None:
    path = record(tmp_path / "run", drive())
    (frame, *_), lines = read_bag(path, RAW, world_frame="base")
    assert frame.moment.pose[:3, 3].tolist() == [0.0, 0.0, 1.0] and not lines
    expected = "no transforms connect 'optical' with 'map'; the frames of the bag are: base, lidar, odom, optical"
    with pytest.raises(InputError, match=expected):
        sk.bag(path, RAW, world_frame="map")
    late = [(*one[:2], one[2] + 3, image(one[2] + 3, noise())) if one[0] == RAW else one for one in drive()]
    frames, lines = read_bag(record(tmp_path / "late", sorted(late, key=lambda one: one[2])), RAW)
    assert all(frame.moment.pose is None for frame in frames)
    assert len(lines) == 2 and lines[1].startswith(
        "images without a pose: the transform from 'base' to 'odom' is known"
    )
    lost = [one for one in drive() if "lidar" not in str(one[3])[:300] or one[0] == LIDAR]
    with pytest.raises(InputError, match="no transforms connect 'lidar' with 'odom'; the frames of the bag are: base,"):
        sk.bag(record(tmp_path / "lost", lost), RAW, points_topic=LIDAR, on_note=print)


def test_images_outside_of_the_transforms_have_no_points(tmp_path: Path) -> None:
    early = [one for one in drive(4) if one[0] != "/tf"]
    moving = [("/tf", TF, 100, tf(time, "base", "lidar", (0.5, 0, 2))) for time in (100.0, 100.05)]
    kept = [one for one in early if "lidar" not in str(one[3])[:300] or one[0] == LIDAR]
    path = record(tmp_path / "run", sorted([*kept, *moving], key=lambda one: one[2]))
    frames, lines = read_bag(path, RAW, points_topic=LIDAR, world_frame="base")
    assert ["points" in frame.inputs for frame in frames] == [True, True, False, False]
    assert lines == [line for line in lines if line.startswith("images without points: the transform from 'lidar'")]


def spoiled(message: Message, **values: Any) -> Message:
    """A message with other values."""
    topic, kind, time, before = message
    return topic, kind, time, {**before, **values}


def test_damaged_depth_and_points_leave_their_images(tmp_path: Path) -> None:
    """The second of each has fewer bytes than pixels or points, as has the second image's depth alone."""
    messages, seen = [], dict.fromkeys((DEPTH, LIDAR), 0)
    for one in drive():
        if one[0] in seen:
            seen[one[0]] += 1
        broken = one[0] in seen and seen[one[0]] in (2, 3)
        messages.append(spoiled(one, data=np.zeros(3, np.uint8)) if broken else one)
    frames, lines = read_bag(record(tmp_path / "run", messages), RAW, depth_topic=DEPTH, points_topic=LIDAR)
    assert [sorted(frame.inputs) for frame in frames] == [["depth", "points"], [], [], ["depth", "points"]]
    assert [line.split(" at ")[0] for line in lines[1:]] == [
        f"damaged messages are left out: {DEPTH}",
        f"damaged messages are left out: {LIDAR}",
    ]


def test_depth_in_an_unknown_encoding_is_refused_at_once(tmp_path: Path) -> None:
    messages = [spoiled(one, encoding="64FC1") if one[0] == DEPTH else one for one in drive(2)]
    with pytest.raises(InputError, match=f"{DEPTH}: depth with the encoding '64FC1' is unknown"):
        sk.bag(record(tmp_path / "run", messages), RAW, depth_topic=DEPTH)


@pytest.mark.parametrize("topic", [RAW, DEPTH, LIDAR, CAMERA])
def test_a_damaged_first_message_does_not_refuse_the_bag(tmp_path: Path, topic: str) -> None:
    store, known = typestore(), {}
    with Writer(tmp_path / "run", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for name, kind, time, values in drive():
            first = name not in known
            connection = known.setdefault(name, None) or writer.add_connection(name, kind, typestore=store)
            known[name] = connection
            data = bytes(store.serialize_cdr(rosbags_message(store, kind, values), kind))
            writer.write(connection, round(time * SECOND), data[:30] if first and name == topic else data)
    frames, lines = read_bag(tmp_path / "run", RAW, depth_topic=DEPTH, points_topic=LIDAR)
    assert len(frames) == (3 if topic == RAW else 4)
    (line,) = [line for line in lines if line.startswith("damaged messages are left out")]
    assert f"{topic}: the message recorded at 100.0" in line and line.endswith(")")


def test_damaged_messages_are_left_out(tmp_path: Path) -> None:
    store = typestore()
    with Writer(tmp_path / "run", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(RAW, IMAGE, typestore=store)
        for number in range(3):
            data = bytes(store.serialize_cdr(rosbags_message(store, IMAGE, image(1 + number, noise())), IMAGE))
            writer.write(connection, (1 + number) * 10**9, data[:30] if number == 1 else data)
    frames, lines = read_bag(tmp_path / "run")
    assert [frame.moment.time for frame in frames] == [1.0, 3.0]
    assert lines[1].startswith(f"damaged messages are left out: {RAW}: the message recorded at 2.000 s is damaged (")


def test_topics_that_are_not_there_are_listed(tmp_path: Path) -> None:
    path = record(tmp_path / "run", drive())
    with pytest.raises(InputError, match=f"several topics of images; name one of them: {DEPTH}, {RAW}"):
        sk.bag(path)
    assert sk.bag(path, depth_topic=DEPTH, on_note=print).topics.image == RAW
    with pytest.raises(InputError, match=f"'/x' is not in the bag; topics of images are: {DEPTH}, {RAW}"):
        sk.bag(path, "/x")
    with pytest.raises(InputError, match=f"{LIDAR}' is of type {CLOUD}, expected {IMAGE} or"):
        sk.bag(path, LIDAR)
    with pytest.raises(InputError, match=f"topics of point clouds are: {LIDAR}"):
        sk.bag(path, RAW, points_topic="/velodyne")
    with pytest.raises(InputError, match="has no topic of images; its topics are: /tf"):
        sk.bag(record(tmp_path / "tf", drive()[:2]))


def test_depth_that_is_not_registered(tmp_path: Path) -> None:
    half = [(DEPTH, IMAGE, 100.0, image(100, np.arange(12, dtype=np.uint16).reshape(3, 4) + 1000, "16UC1"))]
    images: list[Message] = [(RAW, IMAGE, 100.0, image(100, noise()))]
    (frame,), _ = read_bag(record(tmp_path / "half", [*images, *half]), RAW, depth_topic=DEPTH)
    assert (
        frame.inputs["depth"][::2, ::2].mul(1000).round().int().tolist()
        == (np.arange(12).reshape(3, 4) + 1000).tolist()
    )
    other = [(DEPTH, IMAGE, 100.0, image(100, np.ones((4, 8), np.uint16), "16UC1"))]
    with pytest.raises(InputError, match="depth of 8 x 4 pixels is not registered to images of 8 x 6"):
        read_bag(record(tmp_path / "other", [*images, *other]), RAW, depth_topic=DEPTH)


def test_stamps_that_repeat_or_jump(tmp_path: Path) -> None:
    stamps = (5.0, 5.0, 9.0, 1.0)
    messages = [(RAW, IMAGE, 1.0 + i, image(stamp, noise(seed=i))) for i, stamp in enumerate(stamps)]
    frames, lines = read_bag(record(tmp_path / "run", messages))
    assert [frame.moment.time for frame in frames] == [*stamps]
    assert lines[1:] == [
        f"{RAW}: the stamps repeat or go back, first at image 1 (5.000 s, then 5.000 s); images stay in the order of"
        " the recording"
    ]
    unset = {**image(0, noise()), "header": header(0)}
    (frame,), _ = read_bag(record(tmp_path / "unset", [(RAW, IMAGE, 7.5, unset)]))
    assert frame.moment.time == 7.5


def test_damaged_images_are_left_out(tmp_path: Path) -> None:
    kind, stream = "sensor_msgs/msg/CompressedImage", io.BytesIO()
    Image.fromarray(noise()).save(stream, "PNG")
    whole = np.frombuffer(stream.getvalue(), np.uint8)
    data = [whole, whole[:40], whole]
    messages = [
        ("/cam/compressed", kind, float(i), {"header": header(i), "format": "png", "data": one})
        for i, one in enumerate(data, 1)
    ]
    opened = sk.bag(record(tmp_path / "run", messages), on_note=(lines := []).append)
    assert [frame.moment.number for frame in opened] == [0, 2] and opened.damaged == 1
    assert lines[1].startswith("damaged images are left out: /cam/compressed, image 1 at 2.000 s: the compressed image")
    with pytest.raises(InputError, match=f"{RAW}: the encoding 'yuv422' is unknown"):
        sk.bag(record(tmp_path / "yuv", [(RAW, IMAGE, 1.0, image(1, noise(), "yuv422"))]))


def test_what_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such bag: .*; expected an .mcap file, a folder"):
        sk.bag(tmp_path / "none.mcap")
    for name, content in (
        ("empty.mcap", b""),
        ("text.mcap", b"hello, this is text"),
        ("x.txt", b"x"),
        ("y.db3", b"no"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a bag"):
            sk.bag(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder cannot be read as a bag"):
        sk.bag(tmp_path / "folder")
    for storage in ("mcap", "sqlite3"):
        with pytest.raises(InputError, match=r"holds no messages of ROS 2|no topic of images"):
            sk.bag(record(tmp_path / f"nothing-{storage}", [], storage))


@pytest.mark.parametrize("package", ["rosbags", "mcap"])
def test_without_the_packages(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "run", drive(1), "mcap" if package == "mcap" else "sqlite3")
    for name in ("rosbags.highlevel", "mcap.reader"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(InputError, match=rf"bags need the package {package}: pip install 'scenekit\[ros\]'"):
        sk.bag(path, RAW)


def big(tmp_path: Path, count: int = 12) -> Path:
    """A bag of several chunks: rosbags closes one after each megabyte."""
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    return record(tmp_path / "big", [(RAW, IMAGE, 1.0 + i, image(1 + i, pixels)) for i in range(count)])


def test_bags_that_are_cut_off_give_what_is_left(tmp_path: Path) -> None:
    path = big(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    frames, lines = read_bag(path)
    assert [frame.moment.number for frame in frames] == list(range(6))  # two chunks of three images are whole
    (cut,) = [line for line in lines if "cut off" in line]
    assert cut.startswith(f"{path} is cut off or damaged (") and cut.count("\n") == 0
    path.write_bytes(whole[:200])
    with pytest.raises(InputError, match="holds no messages of ROS 2"):
        read_bag(path)


def test_a_damaged_chunk_ends_the_images(tmp_path: Path) -> None:
    path = big(tmp_path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400_000] = bytes(400_000)
    path.write_bytes(content)
    frames, lines = read_bag(path)
    assert 3 <= len(frames) < 12 and any("cut off or damaged" in line for line in lines)


def test_channels_of_other_encodings_are_ignored(tmp_path: Path) -> None:
    """A file of two worlds, with and without an index: Foxglove's JSON beside ROS."""
    source = record(tmp_path / "run", drive(2))
    from mcap.reader import make_reader

    bare = {"use_statistics": False, "repeat_channels": False, "repeat_schemas": False, "index_types": IndexType.NONE}
    kinds = {"indexed": {}, "unchunked": {"use_chunking": False}, "bare": bare}
    for name, options in kinds.items():
        target = tmp_path / f"{name}.mcap"
        with target.open("wb") as out, source.open("rb") as stream:
            writer = McapWriter(out, **options)
            writer.start(profile="", library="test")
            schema = writer.register_schema("foxglove.Log", "jsonschema", b"{}")
            writer.add_message(writer.register_channel("/log", "json", schema), 100_000_000_000, b"{}", 0)
            channels: dict[int, int] = {}
            for kind, channel, message in make_reader(stream).iter_messages():
                if channel.id not in channels:
                    known = writer.register_schema(kind.name, kind.encoding, kind.data)
                    channels[channel.id] = writer.register_channel(channel.topic, "cdr", known)
                writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time)
            writer.finish()
        frames, lines = read_bag(target, RAW)
        assert len(frames) == 2 and lines == ["poses are from 'optical' to 'odom'"]


def test_folders_of_several_files(tmp_path: Path) -> None:
    """What `ros2 bag record` splits; without metadata.yaml, as where it was killed."""
    folder = tmp_path / "split"
    folder.mkdir()
    messages = drive(4)
    parts: Sequence[list[Message]] = (messages[:10], messages[10:])
    for number, part in enumerate(parts):
        record(tmp_path / f"part{number}", part).rename(folder / f"split_{number}.mcap")
    frames, _ = read_bag(folder, RAW)
    assert [frame.header.stamp for frame in frames] == [100_000_000_000 + i * 100_000_000 for i in range(4)]


def test_bags_of_ros_1(tmp_path: Path) -> None:
    """Its CameraInfo has K, D, R and P in capital letters."""
    store, path = get_typestore(Stores.ROS1_NOETIC), tmp_path / "old.bag"
    messages: list[Message] = [(CAMERA, INFO, 1.0, info(1, (6, 8), (10, 10, 3.5, 2.5)))]
    messages.append((RAW, IMAGE, 1.0, image(1.0, noise())))
    with Rosbag1Writer(path) as writer:
        for topic, kind, time, values in messages:
            capital = {key.upper() if key in "kdrp" else key: value for key, value in values.items()}
            data = store.serialize_ros1(rosbags_message(store, kind, capital), kind)
            writer.write(writer.add_connection(topic, kind, typestore=store), round(time * 1e9), data)
    (frame,), _ = read_bag(path)
    np.testing.assert_array_equal(frame.image.permute(1, 2, 0), noise())
    assert frame.camera.matrix[0].tolist() == [10.0, 0.0, 4.0] and frame.header.stamp == 1_000_000_000


MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
WAYS = [(plugin, mode) for plugin in (MCAP, SQLITE) for mode in (CompressionMode.MESSAGE, CompressionMode.FILE)]


@pytest.mark.parametrize(("plugin", "mode"), [*WAYS, (MCAP, CompressionMode.STORAGE)])
def test_compressed_bags(tmp_path: Path, plugin: StoragePlugin, mode: CompressionMode) -> None:
    store = typestore()
    writer = Writer(tmp_path / "run", version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(RAW, IMAGE, typestore=store)
        message = rosbags_message(store, IMAGE, image(1.0, noise()))
        writer.write(connection, 1_000_000_000, store.serialize_cdr(message, IMAGE))
    (frame,), _ = read_bag(tmp_path / "run")
    np.testing.assert_array_equal(frame.image.permute(1, 2, 0), noise())
