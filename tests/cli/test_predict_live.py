"""`scenekit predict` with a budget, rates and statistics."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.cli.predict_live import LiveOptions, parsed_rates
from scenekit.model import measuring

PLENTY = "9000s"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames at ten a second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with sk.VideoWriter(path, rate=10.0) as writer:
        for number in range(6):
            writer.write(torch.full((3, 48, 64), 40 * number, dtype=torch.uint8), number / 10)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure ledgers with one pass of each kind."""
    monkeypatch.setattr(measuring, "REPEATS", 1)


@pytest.fixture
def predict(run: Callable[..., Any], tiny_model: str) -> Callable[..., Any]:
    """Runs `scenekit predict` with the tiny model."""
    return lambda *arguments: run("predict", "--model", tiny_model, "--threshold", "0", *arguments)


def test_statistics_are_written(predict, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "stats.json"
    tasks = ("--tasks", "masks,semantic", "--rates", "semantic=3", "--budget", PLENTY)
    result = predict(clip, *tasks, "--stats", target)
    (stats,) = json.loads(target.read_text())["sources"]
    assert result.status == 0 and stats["source"] == str(clip)
    assert stats["frames"] == {"read": 6, "processed": 6, "dropped": 0, "damaged": 0}
    assert stats["ran"] == {"masks": 6, "semantic": 2}
    assert {"decode", "network", "end_to_end", "age"} <= set(stats["times"]) and stats["times"]["age"]["count"] == 6


def test_a_source_that_is_named_twice_has_its_statistics_twice(predict, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "stats.json"
    result = predict(clip, clip, "--tasks", "masks", "--out", tmp_path / "drawn", "--stats", target)
    assert result.status == 0, result.err
    sources = json.loads(target.read_text())["sources"]
    assert [(one["source"], one["frames"]["read"]) for one in sources] == [(str(clip), 6)] * 2


def test_statistics_are_printed(predict, clip: Path) -> None:
    result = predict(clip, "--tasks", "masks", "--stats")
    assert result.status == 0 and "6 frames read, 6 processed, 0 dropped, 0 damaged" in result.out
    assert "end to end" in result.out and "frames by task: masks 6" in result.out


def test_beside_scenes_statistics_go_to_standard_error(predict, clip: Path) -> None:
    result = predict(clip, "--tasks", "masks", "--stats", "--json")
    scenes = [sk.Scene.from_json(json.loads(line)) for line in result.out.splitlines()]
    assert [scene.moment.number for scene in scenes if scene.moment] == list(range(6))
    assert "6 frames read" in result.err and "end to end" in result.err


def test_a_recording_runs_as_if_it_were_live(predict, clip: Path, tmp_path: Path) -> None:
    target, lines = tmp_path / "stats.json", tmp_path / "scenes.jsonl"
    result = predict(clip, "--live", "--tasks", "masks", "--stats", target, "--json", lines)
    (stats,) = json.loads(target.read_text())["sources"]
    count = len(lines.read_text().splitlines())
    assert result.status == 0 and stats["frames"]["read"] == 6 and stats["frames"]["processed"] == count >= 2
    assert stats["frames"]["dropped"] == 6 - count


def test_a_focal_length_is_that_of_every_frame(predict, clip: Path, tmp_path: Path) -> None:
    lines = tmp_path / "scenes.jsonl"
    predict(clip, "--focal", "70", "--rates", "masks=2", "--json", lines)
    scenes = [sk.Scene.from_json(json.loads(line)) for line in lines.read_text().splitlines()]
    assert len(scenes) == 6 and all(scene.camera is not None and scene.camera.matrix[0, 0] == 70 for scene in scenes)


def test_statistics_of_an_interrupted_run_are_reported(clip: Path, tiny_model: str, capsys: Any) -> None:
    live = LiveOptions(stats="-")
    model = sk.load(tiny_model)
    with (
        pytest.raises(KeyboardInterrupt),
        live.reported(aside=False),
        sk.video(clip) as source,
        closing(live.scenes(model, ["masks"], 0.0, None, source)) as pairs,
    ):
        scene, frame = next(pairs)
        assert scene.moment is frame.moment
        raise KeyboardInterrupt
    assert "1 processed" in capsys.readouterr().out


def test_images_have_a_budget_each(predict, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (64, 48), "green").save(image)
    (scene,) = predict(image, "--budget", PLENTY, "--json").json
    assert "left_out" not in scene
    result = predict(image, "--budget", "1us")
    assert result.status == 2 and "nothing fits into 0.001 ms" in result.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--budget", "soon"), "budget: expected a time with a unit"),
        (("--budget", "1us"), "budget: nothing fits into 0.001 ms; the cheapest, the core without tasks, takes"),
        (
            ("--rates", "masks"),
            "--rates: expected numbers of frames by task, such as captions=10,meshes=30, got 'masks'",
        ),
        (("--rates", "masks=0"), "rates: masks: expected a whole number from 1, got 0"),
        (("--rates", "mask=2"), "rates: no task 'mask' runs; did you mean 'masks'"),
        (("--stats", "stats.txt"), "stats.txt"),
        (("--stats=stats.txt",), "--stats stats.txt: expected a .json file"),
        (("--stats", "nowhere/stats.json"), "--stats nowhere/stats.json: no such folder"),
    ],
)
def test_what_is_refused(predict, clip: Path, options: tuple[str, ...], reason: str) -> None:
    result = predict(clip, *options)
    assert result.status == 2 and result.out == "" and reason in result.err and "Traceback" not in result.err


@pytest.mark.parametrize("options", [("--rates", "masks=2"), ("--live",), ("--stats",)])
def test_options_of_videos_are_refused_for_images(predict, tmp_path: Path, options: tuple[str, ...]) -> None:
    result = predict(tmp_path / "image.png", *options)
    assert result.status == 2 and f"{options[0]} is for videos, and cannot be used with images" in result.err


def test_rates_are_parsed() -> None:
    assert parsed_rates("captions=10, meshes = 30") == {"captions": 10, "meshes": 30} and parsed_rates(None) is None
