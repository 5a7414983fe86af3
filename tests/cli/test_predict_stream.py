"""`scenekit predict` on videos: what it writes, what stays after an interruption, what is refused."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.cli import stream_sinks
from scenekit.cli.predict_stream import StreamRun, paired, taken
from scenekit.cli.stream_sinks import Targets
from scenekit.cli.stream_sources import Kind, Selection, kind_of
from tests.io.video.making import Made, spoiled

FAST = ("--tasks", "masks", "--threshold", "0")
TIMES = [0.0, 0.04, 0.2, 0.24, 0.3, 1.0]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six frames at uneven times."""
    with sk.VideoWriter(tmp_path / "clip.mp4") as writer:
        for seed, time in enumerate(TIMES):
            writer.write(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8), time)
    return tmp_path / "clip.mp4"


def scenes_in(text: str) -> list[sk.Scene]:
    """The scenes of JSON lines, each of which must be whole."""
    assert text.endswith("\n")
    return [sk.Scene.from_json(json.loads(line)) for line in text.splitlines()]


def moments(scenes: list[sk.Scene]) -> list[tuple[float, int]]:
    return [(round(scene.moment.time, 6), scene.moment.number) for scene in scenes if scene.moment]


def frame_times(path: Path) -> list[float]:
    with sk.video(path) as video:
        return [round(frame.moment.time, 4) for frame in video if frame.moment]


def test_a_video_gives_a_drawn_video_and_a_scene_a_line(run, tiny_model, clip, tmp_path) -> None:
    out, lines = tmp_path / "new" / "out.mp4", tmp_path / "new" / "scenes.jsonl"
    result = run("predict", clip, "--model", tiny_model, *FAST, "--out", out, "--json", lines)
    assert (result.status, result.err) == (0, "") and "clip.mp4" in result.out
    scenes = scenes_in(lines.read_text())
    assert moments(scenes) == [(time, number) for number, time in enumerate(TIMES)]
    assert {(scene.path, scene.size) for scene in scenes} == {("../clip.mp4", (64, 96))}
    assert all(sk.MASKS in scene and len(scene.objects) == 5 for scene in scenes)
    assert frame_times(out) == TIMES
    with sk.video(out) as drawn, sk.video(clip) as video:
        assert drawn.size == (256, 384)  # small images are drawn enlarged
        enlarged = Image.fromarray(next(video).image.permute(1, 2, 0).numpy()).resize((384, 256))
        difference = np.abs(next(drawn).image.permute(1, 2, 0).numpy().astype(int) - np.asarray(enlarged))
        assert difference.max() > 100 and difference.mean() < 60


def test_start_stop_and_every(run, tiny_model, clip) -> None:
    result = run(
        *("predict", clip, "--model", tiny_model, *FAST, "--json", "--every", "2", "--start", "0.1", "--stop", "0.5")
    )
    assert moments(scenes_in(result.out)) == [(0.2, 2), (0.3, 4)]


def test_scenes_are_those_of_the_frames(run, tiny_model, clip) -> None:
    scenes = scenes_in(run("predict", clip, "--model", tiny_model, *FAST, "--json").out)
    model = sk.load(tiny_model)
    assert len(scenes) == len(TIMES)
    for frame, scene in zip(sk.video(clip), scenes, strict=True):
        alone = model.predict(frame.image, tasks="masks", threshold=0.0)
        assert torch.allclose(alone.objects.boxes, scene.objects.boxes, atol=0.01)


def test_several_videos_share_the_lines_and_have_files_of_their_own(run, tiny_model, clip, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "clip.mp4"
    twin.write_bytes(clip.read_bytes())
    common = ("--model", tiny_model, *FAST, "--every", "3")
    result = run("predict", clip, twin, *common, "--out", tmp_path / "out", "--json", tmp_path / "all.jsonl")
    assert result.status == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["clip-2.jsonl", "clip-2.mp4", "clip.jsonl", "clip.mp4"]
    scenes = scenes_in((tmp_path / "all.jsonl").read_text())
    assert [scene.path for scene in scenes] == ["clip.mp4", "clip.mp4", "other/clip.mp4", "other/clip.mp4"]
    assert scenes_in((tmp_path / "out" / "clip-2.jsonl").read_text())[0].path == "../other/clip.mp4"
    assert frame_times(tmp_path / "out" / "clip-2.mp4") == [0, 0.24]


def test_json_without_a_file_stays_a_flag(run, tiny_model, clip, tmp_path) -> None:
    Image.new("RGB", (50, 40)).save(tmp_path / "photo.png")
    common = ("--model", tiny_model, *FAST)
    assert len(run("predict", "--json", tmp_path / "photo.png", *common).json) == 1
    assert len(scenes_in(run("predict", "--json", clip, *common).out)) == 6
    assert len(scenes_in(run("predict", clip, "--json", "-", *common).out)) == 6
    run("predict", clip, f"--json={tmp_path / 'odd.name'}", *common)
    assert len(scenes_in((tmp_path / "odd.name").read_text())) == 6


def test_damaged_frames_are_counted(run, tiny_model, tmp_path) -> None:
    whole = Made(size=(64, 96)).write(tmp_path / "whole.mp4")
    damaged = spoiled(whole, 12, 3, tmp_path / "damaged.mp4")
    result = run("predict", damaged, "--model", tiny_model, *FAST, "--every", "5")
    with sk.video(damaged) as video:
        assert len(list(video)) + video.damaged == 30
        row = next(line for line in result.out.splitlines() if "damaged.mp4" in line)
        assert int(row.split("│")[3]) == video.damaged > 2


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_what_is_done(
    run, tiny_model, clip, tmp_path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    write = stream_sinks.DrawnVideo.write

    def interrupted(self: Any, scene: sk.Scene, frame: sk.VideoFrame) -> None:
        write(self, scene, frame)
        if self.writer.count == 3:
            signal.raise_signal(number)

    monkeypatch.setattr(stream_sinks.DrawnVideo, "write", interrupted)
    out, lines = tmp_path / "out.mp4", tmp_path / "scenes.jsonl"
    result = run("predict", clip, "--model", tiny_model, *FAST, "--out", out, "--json", lines)
    assert result.status == status and result.err.count("\n") == 1
    assert frame_times(out) == TIMES[:3]
    assert [number for _, number in moments(scenes_in(lines.read_text()))] == [0, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4", "scenes.jsonl"]


def test_a_line_that_cannot_be_written_whole_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = sk.Scene((4, 4), sk.Vocabulary(()))
    frame = sk.VideoFrame(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(sk.InputError, match="cannot write"), stream_sinks.scene_lines(tmp_path / "a.jsonl") as lines:
        lines.write(scene, frame)
        lines._file.write(b'{"half": ')  # type: ignore[attr-defined]
        monkeypatch.setattr(lines, "_file", Failing(lines._file))  # type: ignore[attr-defined]
        lines.write(scene, frame)
    assert len(scenes_in((tmp_path / "a.jsonl").read_text())) == 1


class Failing:
    """A file on a full disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def truncate(self, size: int) -> int:
        return int(self._file.truncate(size))

    def __enter__(self) -> None:
        self._file.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)


class Ending(Iterator[sk.VideoFrame]):
    """A source that breaks off after three frames."""

    source, rate, duration, damaged = "a camera", None, None, 2

    def __init__(self) -> None:
        self._number = self.closed = 0

    def __next__(self) -> sk.VideoFrame:
        if self._number == 3:
            raise sk.InputError("a camera: broke off")
        self._number += 1
        image = torch.zeros(3, 32, 48, dtype=torch.uint8)
        return sk.VideoFrame(image, sk.Moment(float(self._number), self._number), source=self.source)

    def __enter__(self) -> Ending:
        return self

    def __exit__(self, *error: Any) -> None:
        self.closed += 1


def empty_scenes(frames: Iterator[sk.VideoFrame]) -> Iterator[sk.Scene]:
    for frame in frames:
        yield sk.Scene((32, 48), sk.Vocabulary(()), path=frame.source, moment=frame.moment)


@pytest.mark.parametrize("device", ["cpu", "mps"])  # a name is enough: no tensor is on it
def test_a_source_that_breaks_off_ends_the_run_and_leaves_what_is_done(tmp_path: Path, device: str) -> None:
    kind = Kind("cameras", lambda name: True, lambda name, selection: Ending(), lambda name, selection: None)
    targets = Targets(tmp_path / "out.mp4", tmp_path / "scenes.jsonl")
    run = StreamRun(kind, Selection(), targets, partial(paired, empty_scenes), torch.device(device))
    with pytest.raises(sk.InputError, match="broke off"):
        run.over(["0"], ["0"])
    assert [number for _, number in moments(scenes_in((tmp_path / "scenes.jsonl").read_text()))] == [1, 2, 3]
    assert frame_times(tmp_path / "out.mp4") == [0, 1, 2]


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[Ending]:
    """The sources that were opened, in place of videos."""
    opened: list[Ending] = []

    def video(source: Any, **options: Any) -> Ending:
        opened.append(Ending())
        return opened[-1]

    monkeypatch.setattr("scenekit.io.video.reading.video", video)
    return opened


def test_what_can_be_opened_once_is_opened_once(run, tiny_model, cameras: list[Ending]) -> None:
    result = run("predict", "rtsp://host/a", "--model", tiny_model, *FAST, "--json")
    assert "broke off" in result.err and len(scenes_in(result.out)) == 3
    assert [camera.closed for camera in cameras] == [1]


@pytest.mark.parametrize("options", [("--out", "a.avi"), ("--json", "--model", "no_model"), ("none.mp4",)])
def test_what_was_opened_is_closed_where_something_is_refused(
    refused, cameras: list[Ending], options: tuple[str, ...]
) -> None:
    refused("predict", "rtsp://host/a", "rtsp://host/b", "--model", "no_model", *options)
    assert [camera.closed for camera in cameras[:2]] == [1, 1]


def test_a_video_in_a_pipe(run, tiny_model, tmp_path: Path) -> None:
    with sk.VideoWriter(tmp_path / "clip.mkv") as writer:
        for time in TIMES:
            writer.write(np.zeros((64, 96, 3), np.uint8), time)
    os.mkfifo(tmp_path / "pipe.mkv")
    content = (tmp_path / "clip.mkv").read_bytes()
    writing = threading.Thread(target=lambda: (tmp_path / "pipe.mkv").write_bytes(content), daemon=True)
    writing.start()
    result = run("predict", tmp_path / "pipe.mkv", "--model", tiny_model, *FAST, "--json")
    assert [number for _, number in moments(scenes_in(result.out))] == [0, 1, 2, 3, 4, 5]


class Order:
    """A sink that notes what it gets."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def write(self, scene: sk.Scene, frame: sk.VideoFrame) -> None:
        assert scene.moment is frame.moment and frame.moment is not None
        self.numbers.append(frame.moment.number)


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_sinks_get_all_scenes_in_order(device: str) -> None:
    frames = [sk.VideoFrame(None, sk.Moment(float(number), number)) for number in range(50)]
    pairs = zip(empty_scenes(iter(frames)), frames, strict=True)
    sinks = [Order(), Order(), Order()]
    with taken(pairs, sinks, torch.device(device)) as scenes:
        assert [frame.moment.number for _, frame in scenes if frame.moment] == list(range(50))
    assert [sink.numbers for sink in sinks] == [list(range(50))] * 3


@pytest.mark.parametrize(
    "options, reason",
    [
        (("--graph", "g.json"), "--graph is for images"),
        (("--format", "coco"), "--format is for images"),
        (("--mesh", "m.glb"), "--mesh is for images"),
        (("--rerun", "a.rrd"), "--rerun is for images"),
        (("--relations", "0"), "--relations is for images"),
        (("--all-relations",), "--all-relations is for images"),
        (("--start", "9"), "only 1.04 s long"),
        (("--start", "2", "--stop", "1"), "expected more than start"),
        (("--out", "a.avi"), "expected a folder, or a file with .mp4"),
        (("--out", "clip.mp4"), "is the file that is read"),
        (("--out", "link.mp4"), "is the file that is read"),
        (("--json", "clip.mp4", "--json=clip.mp4"), "is the file that is read"),
        (("--out", "."), "is the file that is read"),
        (("--out", "b.mp4", "--json=b.mp4"), "write the same file"),
        (("--out", "folder", "--json=folder/clip.jsonl"), "write the same file"),
        (("--out", "clip.mp4/b.mp4"), "cannot write clip.mp4"),
        (("--out", "new/folder", "--json=new/a.jsonl"), "unknown model"),
        (("clip.mp4", "--out", "b.mp4"), "one file for 2 sources"),
        (("photo.png",), "cannot be mixed"),
        (("missing.mp4",), "missing.mp4: no such file"),
        (("text.mp4",), "no video that FFmpeg knows"),
        (("9999",), "camera 9999: cannot be opened"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_run(
    refused, clip, tmp_path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.mp4").symlink_to(clip)
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    Image.new("RGB", (50, 40)).save("photo.png")
    before = sorted(os.listdir())
    assert reason in refused("predict", "clip.mp4", "--model", "no_model", *options)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("options", [("--start", "1"), ("--stop", "1"), ("--every", "2"), ("--json=a.jsonl",)])
def test_options_of_videos_are_refused_for_images(refused, tmp_path, options: tuple[str, ...]) -> None:
    Image.new("RGB", (50, 40)).save(tmp_path / "photo.png")
    assert options[0].split("=")[0] in refused("predict", tmp_path / "photo.png", "--model", "no_model", *options)


def test_the_focal_length_is_that_of_the_video(run, tiny_model, clip) -> None:
    result = run("predict", clip, "--model", tiny_model, *FAST, "--json", "--focal", "70", "--stop", "0.01")
    (scene,) = scenes_in(result.out)
    assert scene.camera is not None and not scene.camera.assumed
    assert scene.camera.matrix.tolist() == [[70, 0, 48], [0, 70, 32], [0, 0, 1]]


@pytest.mark.parametrize(
    "name, kind",
    [
        *(("a.mp4", "videos"), ("A.MOV", "videos"), ("0", "videos"), ("rtsp://host/a", "videos")),
        *(("a.jpg", None), ("12.png", None), ("folder", None), ("²", None)),
    ],
)
def test_kinds_of_sources(name: str, kind: str | None, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = kind_of([name])
    assert (found and found.name) == kind


def test_a_file_with_the_name_of_a_camera_is_a_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (50, 40)).save("7", "PNG")
    assert kind_of(["7"]) is None


def test_a_real_clip(run, tiny_model, samples: Path, tmp_path: Path) -> None:
    clip, out, lines = samples / "video" / "intel_car_clip.mp4", tmp_path / "out.mp4", tmp_path / "scenes.jsonl"
    result = run(
        *("predict", clip, "--model", tiny_model, *FAST),
        *("--start", "2", "--stop", "4", "--every", "5", "--out", out, "--json", lines),
    )
    assert result.status == 0
    expected = [(2.0, 25), (2.4, 30), (2.8, 35), (3.2, 40), (3.6, 45)]
    assert moments(scenes_in(lines.read_text())) == expected
    assert frame_times(out) == [0, 0.4, 0.8, 1.2, 1.6]
