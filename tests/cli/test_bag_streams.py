"""`scenekit predict` on bags, and into bags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader

import scenekit as sk
from tests.ros.recording import IMAGE, INFO, TF, Message, image, info, noise, record, tf

RAW = "/cam/image_raw"


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Four images of 0.1 s each, the third one's stamp at that of the second; a second topic of images."""
    messages: list[Message] = [("/tf_static", TF, 5.0, tf(0, "odom", "optical", (1, 2, 3)))]
    messages.append(("/cam/camera_info", INFO, 5.0, info(5, (60, 80), (70, 70, 39.5, 29.5))))
    for number, stamp in enumerate((5.0, 5.1, 5.1, 5.3)):
        messages.append((RAW, IMAGE, 5 + number / 10, image(stamp, noise(60, 80, seed=number))))
    messages.append(("/other", IMAGE, 5.0, image(5.0, noise())))
    return record(tmp_path / "run", messages)


def test_from_a_bag_into_a_bag(run, tiny_model, bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    result = run("predict", bag, "--topic", RAW, "--model", tiny_model, "--threshold", "0", "--out", out)
    assert result.status == 0 and "run.mcap" in result.out, result
    assert "note: poses are from 'optical' to 'odom'" in result.err
    assert f"note: {RAW}: the stamps repeat or go back, first at image 2" in result.err
    with AnyReader([out]) as reader:
        found = [(one, reader.deserialize(data, one.msgtype)) for one, _, data in reader.messages()]
    headers = [message.header for one, message in found if one.topic == "/scenekit/detections2d"]
    stamps = [(header.stamp.sec, header.stamp.nanosec, header.frame_id) for header in headers]
    assert stamps == [(5, n * 100_000_000, "optical") for n in (0, 1, 1, 3)]
    scenes = [sk.Scene.from_json(json.loads(message.data)) for one, message in found if one.topic == "/scenekit/scene"]
    assert [scene.moment.number for scene in scenes if scene.moment] == [0, 1, 2, 3]
    camera, moment = scenes[0].camera, scenes[0].moment
    assert camera is not None and camera.matrix[0].tolist() == [70.0, 0.0, 40.0]
    assert moment is not None and moment.pose is not None and moment.pose[:3, 3].tolist() == [1.0, 2.0, 3.0]
    (labels,) = [message for one, message in found if one.topic == "/scenekit/label_info"]
    assert labels.threshold == 0.0 and labels.class_map[0].class_id == 1


def test_from_a_bag_into_a_video_and_lines(run, tiny_model, bag: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    out, lines = tmp_path / "out.mp4", tmp_path / "scenes.jsonl"
    options = ("--model", tiny_model, "--tasks", "masks", "--out", out, "--json", lines)
    assert run("predict", bag.parent, "--topic", RAW, *options).status == 0
    assert len(lines.read_text().splitlines()) == 4
    with sk.video(out) as drawn:
        times = [frame.moment.time for frame in drawn if frame.moment]
    assert len(times) == 4 and times[:2] == pytest.approx([0, 0.1], abs=1e-3) and times == sorted(set(times))


def test_from_a_video_into_a_bag(run, tiny_model, samples: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip, out = samples / "video" / "intel_car_clip.mp4", tmp_path / "out.mcap"
    options = ("--start", "2", "--stop", "3", "--every", "5", "--tasks", "masks", "--distro", "humble")
    assert run("predict", clip, "--model", tiny_model, "--out", out, *options).status == 0
    with AnyReader([out]) as reader:
        wanted = [one for one in reader.connections if one.topic == "/scenekit/detections2d"]
        stamps = [time for _, time, _ in reader.messages(wanted)]
    assert stamps == [2_000_000_000, 2_400_000_000, 2_800_000_000]


def test_what_is_refused_before_the_model_is_loaded(run, refused, bag: Path, tmp_path: Path) -> None:
    none = ("--model", "none-such")
    assert "several topics of images; name one of them: /cam/image_raw, /other" in refused("predict", bag, *none)
    assert "the topic '/x' is not in the bag" in refused("predict", bag, "--topic", "/x", *none)
    assert "no such bag" in refused("predict", tmp_path / "none.mcap", *none)
    out = ("--out", tmp_path / "out.mcap")
    assert "did you mean 'humble'" in refused("predict", bag, "--topic", RAW, *out, "--distro", "humbel", *none)
    assert "--graph is for images" in refused("predict", bag, "--topic", RAW, "--graph", "x.json", *none)
    same = run("predict", bag, "--topic", RAW, "--out", bag, *none)
    assert same.status == 2 and "is the file that is read; name another file" in same.err
    other = run("predict", bag, "--topic", RAW, "--out", "x.gif", *none)
    assert other.status == 2 and "expected a folder, or a file with .mp4, .m4v, .mov, .mkv, .txt, .mcap" in other.err
    photo = tmp_path / "photo.png"
    photo.touch()
    assert "--topic is for bags, and cannot be used with images" in refused("predict", photo, "--topic", RAW, *none)
    assert "bags and images cannot be mixed" in refused("predict", bag, photo, *none)
    assert not (tmp_path / "out.mcap").exists()


def test_a_bag_that_is_cut_off(run, tiny_model, tmp_path: Path) -> None:
    images: list[Message] = [(RAW, IMAGE, 1.0 + i, image(1 + i, noise(400, 300, seed=i))) for i in range(6)]
    path = record(tmp_path / "run", images)
    path.write_bytes(path.read_bytes()[:-500_000])
    result = run("predict", path, "--model", tiny_model, "--tasks", "masks", "--out", tmp_path / "out.mcap")
    assert result.status == 0
    (line,) = [line for line in result.err.splitlines() if "cut off or damaged" in line]
    assert line.startswith(f"note: {path} is cut off")
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        assert reader.topics["/scenekit/scene"].msgcount == 3


def test_the_node_needs_ros(refused) -> None:
    assert "the node needs rclpy, which comes with ROS 2" in refused("ros", "--topic", "/image")
    assert "--tasks expects comma-separated names" in refused("ros", "--tasks", ",")
