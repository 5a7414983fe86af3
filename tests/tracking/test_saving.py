"""Files of tracks, read again and scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.io.track_files import read_track_lines
from scenekit.metrics.mot import score_mot_files
from scenekit.metrics.notes import Notes
from tests.tracking.streams import box, crossing, scene


def test_mot_challenge_by_hand(tmp_path: Path) -> None:
    given = scene([box(0, 10), box(5.25, 20)], 3, [0, 1], [0.5, 0.25])
    sk.save_tracks([given], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text().splitlines() == [
        "4,0,1,11,30,40,0.5,1,-1,-1",
        "4,1,6.25,21,30,40,0.25,2,-1,-1",
    ]
    sk.save_tracks([given], tmp_path / "a.txt", classes=["person"])
    assert (tmp_path / "a.txt").read_text() == "4,1,6.25,21,30,40,0.25,-1,-1,-1\n"


def test_kitti_is_read_again(tmp_path: Path) -> None:
    stream: list[sk.Scene | InputError] = [InputError("damaged"), *crossing(3)]
    sk.save_tracks(stream, tmp_path / "0000.txt", format="kitti")
    lines = read_track_lines(tmp_path / "0000.txt", "kitti")
    assert lines.names == ("car",) * 6 and lines.frames.tolist() == [0, 0, 1, 1, 2, 2]
    assert lines.boxes[:2] == pytest.approx(crossing(1)[0].objects.boxes.numpy())


def test_frames_without_moments_are_counted(tmp_path: Path) -> None:
    stream: list[sk.Scene | InputError] = [InputError("damaged"), replace(crossing(1)[0], moment=None)]
    sk.save_tracks(stream, tmp_path / "a.txt")
    assert read_track_lines(tmp_path / "a.txt", "motchallenge").frames.tolist() == [1, 1]


def test_tracks_of_ground_truth_score_one(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred").mkdir()
    truth = [
        replace(one, streams={sk.OBJECTS: replace(one.objects, ids=torch.tensor([5, 3]), scores=None)})
        for one in crossing()
    ]
    for folder, stream in (("gt", iter(truth)), ("pred", sk.track(crossing()))):
        sk.save_tracks(stream, tmp_path / folder / "clip.txt", classes=["car"])
    found = score_mot_files(tmp_path / "gt", tmp_path / "pred", notes=Notes())["pedestrian"]["combined"]
    assert (found["HOTA"], found["MOTA"], found["IDF1"]) == (1, 1, 1)


def test_objects_without_a_track_are_left_out(tmp_path: Path) -> None:
    given = crossing(1)[0]
    objects = replace(given.objects, ids=torch.tensor([-1, 3]))
    sk.save_tracks([replace(given, streams={sk.OBJECTS: objects})], tmp_path / "a.txt")
    assert read_track_lines(tmp_path / "a.txt", "motchallenge").ids.tolist() == [3]
    sk.save_tracks([], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == ""


def test_what_cannot_be_written(tmp_path: Path) -> None:
    given = crossing(1)[0]
    with pytest.raises(InputError, match="unknown format of tracks 'mot'"):
        sk.save_tracks([given], tmp_path / "a.txt", format="mot")
    with pytest.raises(InputError, match="there is no class 'persons'; did you mean 'person'"):
        sk.save_tracks([given], tmp_path / "a.txt", classes=["persons"])
    objects = replace(given.objects, ids=torch.tensor([3, 3]))
    with pytest.raises(InputError, match=r"frame 0 has an id more than once: \[3, 3\]"):
        sk.save_tracks([replace(given, streams={sk.OBJECTS: objects})], tmp_path / "a.txt")
    assert not list(tmp_path.iterdir()), "nothing is left behind"
