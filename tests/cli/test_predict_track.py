"""`scenekit predict --track`: tracks of a video as scenes and as a file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scenekit as sk
from scenekit.cli.stream_sinks import TrackLines, track_lines
from scenekit.cli.stream_tracking import is_tracker_name
from scenekit.errors import InputError
from scenekit.io.track_files import read_track_lines
from tests.tracking.streams import crossing


def test_a_video_is_tracked(run, tiny_model, samples: Path, tmp_path: Path) -> None:
    """The tiny model finds anything; every id of a scene is in the file, and none twice in a frame."""
    clip, out, lines = samples / "video" / "intel_car_clip.mp4", tmp_path / "tracks.txt", tmp_path / "scenes.jsonl"
    result = run(
        *("predict", clip, "--track", "--model", tiny_model, "--tasks", "masks", "--threshold", "0"),
        *("--track-set", "birth=0", "--track-set", "high=0", "--smooth", "0.5"),
        *("--start", "2", "--stop", "3", "--every", "5", "--out", out, "--json", lines),
    )
    assert result.status == 0, result.err
    scenes = [sk.Scene.from_json(json.loads(line)) for line in lines.read_text().splitlines()]
    assert len(scenes) > 1 and len(scenes[0].objects) > 0 and all(sk.APPEARANCE in scene for scene in scenes)
    found = read_track_lines(out, "motchallenge")
    expected = [id for scene in scenes for id in scene.objects.ids.tolist()]
    assert found.ids.tolist() == expected and min(expected) >= 0
    assert set(found.frames.tolist()) <= {scene.moment.number for scene in scenes if scene.moment}


def test_tracks_are_in_the_file_while_the_stream_runs(samples: Path, tmp_path: Path) -> None:
    """After each scene its lines are there, also if the process ends then; no scene is kept."""
    target, stream = tmp_path / "tracks.txt", list(sk.track(crossing(3)))
    with sk.video(samples / "video" / "intel_car_clip.mp4") as source, track_lines(target, source) as sink:
        for number, scene in enumerate(stream):
            assert isinstance(scene, sk.Scene)
            sink.write(scene, sk.VideoFrame(None, scene.moment))
            assert len(target.read_text().splitlines()) == 2 * (number + 1)
    sk.save_tracks(stream, tmp_path / "whole.txt")
    assert target.read_text() == (tmp_path / "whole.txt").read_text()


def test_a_file_of_tracks_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "tracks.txt").mkdir()
    with pytest.raises(InputError, match=r"tracks\.txt"):
        TrackLines(tmp_path / "tracks.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--track", "asociate"), "unknown tracker 'asociate'; did you mean 'associate'"),
        (("--track", "--track-set", "hits=0"), "tracker 'associate'"),
        (("--smooth", "1"), "--smooth is for tracked objects; add --track"),
        (("--track-set", "hits=1"), "--track-set is for tracked objects; add --track"),
        (("--track", "--smooth", "0"), "smooth: expected seconds, a number above 0"),
        (("--out", "tracks.txt"), "--out tracks.txt holds tracks; add --track"),
    ],
)
def test_options_that_are_wrong(refused, samples: Path, options: tuple[str, ...], message: str) -> None:
    assert message in refused("predict", samples / "video" / "intel_car_clip.mp4", *options)


def test_images_are_not_tracked(refused, tmp_path: Path) -> None:
    for option in (("--track",), ("--smooth", "1"), ("--track-set", "hits=1")):
        message = refused("predict", tmp_path / "photo.jpg", *option)
        assert f"{option[0]} is for videos, and cannot be used with images" in message


@pytest.mark.parametrize("word", ["associate", "trackers/bytetrack"])
def test_names_of_trackers(word: str) -> None:
    assert is_tracker_name(word)


@pytest.mark.parametrize("word", ["", "clip.mp4", "0", "--out", "rtsp://camera", "a/b.mkv"])
def test_words_that_are_sources_or_options(word: str) -> None:
    assert not is_tracker_name(word)
