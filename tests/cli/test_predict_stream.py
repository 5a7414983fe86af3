"""`scenekit predict` on videos: what it writes, what stays after an interruption, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scenekit as sk


def test_a_video_gives_a_drawn_video_and_a_scene_a_line(run, tiny_model, samples: Path, tmp_path: Path) -> None:
    clip, out, lines = samples / "video" / "intel_car_clip.mp4", tmp_path / "out.mp4", tmp_path / "scenes.jsonl"
    result = run(
        *("predict", clip, "--model", tiny_model, "--tasks", "masks", "--threshold", "0"),
        *("--start", "2", "--stop", "4", "--every", "5", "--out", out, "--json", lines),
    )
    assert result.status == 0 and "intel_car_clip.mp4" in result.out
    scenes = [sk.Scene.from_json(json.loads(line)) for line in lines.read_text().splitlines()]
    assert [(scene.moment.time, scene.moment.number) for scene in scenes if scene.moment] == [
        (2.0, 25), (2.4, 30), (2.8, 35), (3.2, 40), (3.6, 45),
    ]  # fmt: skip
    with sk.video(out) as drawn:
        assert [frame.moment.time for frame in drawn if frame.moment] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])
        assert drawn.size == (432, 768)
