"""`scenekit predict` with tasks of clips: a first pass over a whole video, whose values the drawn frames show."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk

TIMES = [0.0, 0.04, 0.2, 0.24, 0.3, 1.0]
BOTH = ("--tasks", "masks,events", "--threshold", "0")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six frames at uneven times."""
    with sk.VideoWriter(tmp_path / "clip.mp4") as writer:
        for seed, time in enumerate(TIMES):
            writer.write(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8), time)
    return tmp_path / "clip.mp4"


@pytest.fixture
def predict(run: Callable[..., Any], clip_model: str) -> Callable[..., Any]:
    """Runs `scenekit predict` with that model."""
    return lambda *arguments: run("predict", "--model", clip_model, *arguments)


def scenes_in(text: str) -> list[sk.Scene]:
    return [sk.Scene.from_json(json.loads(line)) for line in text.splitlines()]


def drawn(path: Path) -> list[np.ndarray]:
    with sk.video(path) as frames:
        return [frame.image.permute(1, 2, 0).numpy().astype(int) for frame in frames]


def test_events_stand_beside_the_lines_in_a_table_and_below_the_drawings(predict, clip_model, clip, tmp_path) -> None:
    out, lines = tmp_path / "out.mp4", tmp_path / "scenes.jsonl"
    result = predict(clip, *BOTH, "--out", out, "--json", lines)
    assert (result.status, result.err) == (0, "")
    whole = sk.ClipScene.load(tmp_path / "scenes.clip.json")
    expected = sk.predict_clip(sk.load(clip_model), clip, threshold=0.0)
    assert whole.times == pytest.approx(TIMES) and whole.frames == () and len(whole[sk.EVENTS]) >= 2
    assert torch.allclose(whole[sk.EVENTS].spans, expected[sk.EVENTS].spans, atol=1e-3)
    assert whole[sk.EVENTS].captions.texts == expected[sk.EVENTS].captions.texts
    assert "clip.mp4: events" in result.out and "start, s" in result.out
    assert all(texts[0][:20] in result.out for texts in whole[sk.EVENTS].captions.texts)
    assert predict(clip, "--tasks", "masks", "--threshold", "0", "--out", tmp_path / "plain.mp4").status == 0
    with_texts, without = drawn(out), drawn(tmp_path / "plain.mp4")
    spans = whole[sk.EVENTS].spans.tolist()
    frames = list(zip(TIMES, with_texts, without, strict=True))
    covered = [(one, other) for time, one, other in frames if any(start <= time <= end for start, end in spans)]
    assert covered
    for one, other in covered:
        assert one.shape == other.shape and np.abs(one - other).max() > 100


def test_lines_are_the_scenes_of_frames_as_without_tasks_of_clips(predict, clip, tmp_path) -> None:
    predict(clip, *BOTH, "--json", tmp_path / "both.jsonl")
    predict(clip, "--tasks", "masks", "--threshold", "0", "--json", tmp_path / "masks.jsonl")
    assert (tmp_path / "both.jsonl").read_text() == (tmp_path / "masks.jsonl").read_text()
    assert len(scenes_in((tmp_path / "both.jsonl").read_text())) == 6


def test_beside_printed_lines_the_table_goes_to_standard_error(predict, clip) -> None:
    result = predict(clip, *BOTH, "--json")
    scenes = scenes_in(result.out)
    assert len(scenes) == 6 and not any(sk.EVENTS in scene for scene in scenes)
    assert "clip.mp4: events" in result.err and "start, s" in result.err


def test_tasks_of_clips_alone(predict, clip, tmp_path) -> None:
    result = predict(clip, "--tasks", "events", "--out", tmp_path / "drawn", "--start", "0.1", "--every", "2")
    assert (result.status, result.err) == (0, "")
    assert sorted(os.listdir(tmp_path / "drawn")) == ["clip.clip.json", "clip.jsonl", "clip.mp4"]
    whole = sk.ClipScene.load(tmp_path / "drawn" / "clip.clip.json")
    assert whole.times == pytest.approx((0.2, 0.3))
    scenes = scenes_in((tmp_path / "drawn" / "clip.jsonl").read_text())
    assert [scene.moment.number for scene in scenes if scene.moment] == [2, 4]
    assert all(not scene.values and len(scene.objects) == 0 for scene in scenes)


def test_of_several_videos_each_has_a_file(predict, clip, tmp_path) -> None:
    (tmp_path / "other.mp4").write_bytes(clip.read_bytes())
    result = predict(clip, tmp_path / "other.mp4", *BOTH, "--json", tmp_path / "all.jsonl")
    assert result.status == 0 and "other.mp4: events" in result.out
    names = {"all-clip.clip.json", "all-other.clip.json", "all.jsonl"}
    assert names == {path.name for path in tmp_path.iterdir()} - {"clip.mp4", "other.mp4"}


@pytest.mark.parametrize("options", [("--track",), ("--stats",), ("--rates", "masks=2"), ("--focal", "70")])
def test_beside_other_options_of_videos(predict, clip, tmp_path, options: tuple[str, ...]) -> None:
    result = predict(clip, *options, *BOTH, "--json", tmp_path / "scenes.jsonl", "--out", tmp_path / "out.mp4")
    assert result.status == 0 and "clip.mp4: events" in result.out
    assert len(scenes_in((tmp_path / "scenes.jsonl").read_text())) == 6


@pytest.mark.parametrize("options", [("--stats",), ("--track",)])
def test_tasks_of_clips_alone_beside_other_options(predict, clip, tmp_path, options: tuple[str, ...]) -> None:
    result = predict(clip, *options, "--tasks", "events", "--out", tmp_path / "out.mp4")
    assert result.status == 0 and len(drawn(tmp_path / "out.mp4")) == 6


def test_scenes_in_a_bag_are_those_of_frames(predict, clip, tmp_path) -> None:
    pytest.importorskip("rosbags")
    from rosbags.highlevel import AnyReader

    assert predict(clip, *BOTH, "--out", tmp_path / "out.mcap").status == 0
    with AnyReader([tmp_path / "out.mcap"]) as reader:
        chosen = [connection for connection in reader.connections if connection.topic == "/scenekit/scene"]
        texts = [reader.deserialize(data, one.msgtype).data for one, _, data in reader.messages(chosen)]
    assert len(texts) == 6 and not any("events" in json.loads(text) for text in texts)
    assert all("masks" in json.loads(text) for text in texts)


def test_without_a_name_tasks_of_clips_do_not_run(predict, clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenekit.model.clips.predict_clip", None)
    result = predict(clip, "--threshold", "0")
    assert result.status == 0 and "events" not in result.out
    assert result.err == "note: without events; for everything: --tasks masks,events\n"
    assert predict(clip, "--tasks", "masks").err == ""


def test_an_interrupted_first_pass_leaves_nothing_drawn(predict, clip, tmp_path, monkeypatch: Any) -> None:
    from scenekit.model import clips

    add = clips._ClipRun.add
    monkeypatch.setattr(clips._ClipRun, "add", lambda *a: (add(*a), signal.raise_signal(signal.SIGINT)))
    result = predict(clip, *BOTH, "--out", tmp_path / "drawn", "--json", tmp_path / "a.jsonl")
    assert result.status == 130 and result.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"clip.mp4", "a.jsonl"}


def test_an_interrupted_second_pass_leaves_the_events_and_what_is_done(predict, clip, tmp_path, monkeypatch) -> None:
    from scenekit.cli import stream_sinks

    write = stream_sinks.DrawnVideo.write

    def interrupted(self: Any, scene: sk.Scene, frame: sk.VideoFrame) -> None:
        write(self, scene, frame)
        if self.writer.count == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(stream_sinks.DrawnVideo, "write", interrupted)
    assert predict(clip, *BOTH, "--out", tmp_path / "drawn").status == 130
    assert len(drawn(tmp_path / "drawn" / "clip.mp4")) == 3
    assert len(sk.ClipScene.load(tmp_path / "drawn" / "clip.clip.json")) == 6


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ("--live",),
            "--tasks events: it reads a whole video before the frames are drawn, and cannot be used with --live",
        ),
        (("--budget", "1s"), "cannot be used with --budget"),
        (("--tasks", "events,maks"), "no task 'maks'; did you mean 'masks'"),
        (("--start", "0.5", "--stop", "0.6"), "at least one frame"),
    ],
)
def test_what_is_refused(predict, clip, tmp_path, options: tuple[str, ...], reason: str) -> None:
    result = predict(clip, *BOTH, "--out", tmp_path / "drawn", *options)
    assert result.status == 2 and reason in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "drawn").exists()


class Camera:
    """A camera that is opened, and never read."""

    source, rate, duration, damaged = "a camera", None, None, 0

    def __iter__(self) -> Camera:
        return self

    def __next__(self) -> sk.VideoFrame:
        raise AssertionError("read")

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


@pytest.mark.parametrize("name", ["0", "rtsp://host/a"])
def test_live_sources_are_refused(refused, clip_model, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("scenekit.io.video.reading.video", lambda source, **options: Camera())
    said = refused("predict", name, "--model", clip_model, *BOTH)
    assert f"which needs a video file, not {name}; record one first, or leave it out" in said


def test_bags_are_refused(predict, tmp_path) -> None:
    pytest.importorskip("rosbags")
    from tests.ros.recording import IMAGE, image, noise, record

    bag = record(tmp_path / "run", [("/image", IMAGE, 1.0, image(1.0, noise()))])
    result = predict(bag, *BOTH)
    assert result.status == 2 and f"needs a video file, not {bag}" in result.err


def test_images_are_refused(predict, tmp_path) -> None:
    Image.new("RGB", (50, 40)).save(tmp_path / "photo.png")
    result = predict(tmp_path / "photo.png", *BOTH)
    assert result.status == 2 and "task 'events' is one of clips; run it on frames" in result.err
