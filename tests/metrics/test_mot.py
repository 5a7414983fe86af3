"""Tracking metrics, held against trackeval, the official evaluator, and cases by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.io.track_files import guess_format, read_track_lines
from scenekit.metrics.mot import Clear, Hota, Identity, Sequence, TrackingScores, kitti_rules, score_mot_files
from scenekit.metrics.mot.sequence import MotObjects
from scenekit.metrics.notes import Notes
from tests.metrics.mot_reference import (
    as_official,
    made_up,
    official_kitti,
    official_metrics,
    official_mot_challenge,
)

EXACT = {"abs": 1e-9, "rel": 0}


def scored(*parts: list[Any]) -> dict[str, float]:
    scores = TrackingScores()
    scores.update("one", Sequence.of(*parts))
    return scores.result()


@pytest.mark.parametrize("seed", range(12))
def test_every_metric_of_a_random_sequence(seed: int) -> None:
    parts = made_up(seed, frames=10 + 4 * seed, objects=2 + seed)
    assert scored(*parts) == pytest.approx(official_metrics({"one": as_official(*parts)})["one"], **EXACT)


def test_sequences_together_are_those_of_summed_counts() -> None:
    """Among them sequences without targets, without predictions and without both."""
    parts = {str(seed): made_up(seed, frames=12) for seed in range(4)}
    targets, predictions, similarities = made_up(9)
    nothing: list[Any] = [[] for _ in targets]
    parts |= {"no targets": (nothing, predictions, nothing), "no predictions": (targets, nothing, nothing)}
    parts["frames without"] = (
        [[], *targets[1:-1], targets[-1]],
        [*predictions[:-1], []],
        [np.zeros((0, len(predictions[0]))), *similarities[1:-1], np.zeros((len(targets[-1]), 0))],
    )
    scores = TrackingScores()
    for name, one in parts.items():
        scores.update(name, Sequence.of(*one))
    expected = official_metrics({name: as_official(*one) for name, one in parts.items()})
    for name, row in {**scores.sequences(), "combined": scores.result()}.items():
        assert row == pytest.approx(expected[name], **EXACT), name


def test_by_hand() -> None:
    """Two targets of four frames: one is followed throughout, the other by two identities, two frames each.

    MOTA = 1 - 1/8. Each identity can explain at most 4 + 2 of 8. AssA: 4 matches of a track in full and 4 of one in
    half: (4 x 1 + 4 x 2/4) / 8 = 0.75; all are found, so that HOTA is its root.
    """
    targets, predictions = [[1, 2]] * 4, [[7, 8], [7, 8], [7, 9], [7, 9]]
    found = scored(targets, predictions, [np.eye(2)] * 4)
    assert found["MOTA"] == pytest.approx(7 / 8) and found["IDS"] == 1
    assert found["IDF1"] == pytest.approx(6 / 8)
    assert found["AssA"] == pytest.approx(0.75) and found["DetA"] == 1
    assert found["HOTA"] == pytest.approx(math.sqrt(0.75))


def test_equal_similarities_resolve_as_in_the_official_evaluator() -> None:
    """Two predictions of one box tie; the counts are those of the official evaluator all the same."""
    targets, predictions = [[1, 2], [1, 2], [2]], [[3, 4, 5], [5, 4, 3], [4, 3]]
    tables = [np.full((2, 3), 0.6), np.full((2, 3), 0.6), np.array([[0.5, 0.5]])]
    expected = official_metrics({"one": as_official(targets, predictions, tables)})["one"]
    assert scored(targets, predictions, tables) == pytest.approx(expected, **EXACT)


def test_a_match_goes_on_although_another_is_closer() -> None:
    targets, predictions = [[0], [0]], [[5], [5, 6]]
    counts = Clear.of(Sequence.of(targets, predictions, [[[0.6]], [[0.6, 0.9]]]))
    assert (counts.switches, counts.similarity, counts.extra) == (0, pytest.approx(1.2), 1)


def test_nothing_measures_nothing() -> None:
    assert TrackingScores().result() == {}
    empty = Sequence.of([[]], [[]], [np.zeros((0, 0))])
    assert Hota.of(empty).result()["HOTA"] == 0 and Identity.of(empty).result()["IDF1"] == 0
    assert Clear.of(Sequence.of([], [], [])) == Clear()


def test_ids_that_repeat_within_a_frame_are_refused() -> None:
    with pytest.raises(InputError, match="frame 1 has a prediction id more than once"):
        Sequence.of([[1], [1]], [[2], [3, 3]], [[[1]], [[1, 1]]])
    with pytest.raises(InputError, match=r"frame 0: expected similarities of shape \(1, 2\)"):
        Sequence.of([[1]], [[2, 3]], [[[1]]])


def boxes(random: np.random.Generator, count: int) -> np.ndarray:
    start = random.uniform(0, 200, (count, 2))
    return np.concatenate((start, start + random.uniform(15, 90, (count, 2))), axis=1)


def walk(random: np.random.Generator, frames: int, objects: int) -> list[np.ndarray]:
    places, steps = boxes(random, objects), random.uniform(-4, 4, (objects, 2))
    return [places + number * np.tile(steps, 2) for number in range(frames)]


def write_mot(root: Path, name: str, seed: int, frames: int = 15, objects: int = 8) -> None:
    """Ground truth with all classes, flags and distractors, and tracks near it."""
    random = np.random.default_rng(seed)
    classes = random.choice([1, 1, 1, 1, 2, 6, 7, 8, 12, 3], objects)
    known, found = [], []
    for frame, places in enumerate(walk(random, frames, objects), start=1):
        for row in np.flatnonzero(random.random(objects) < 0.9):
            x1, y1, x2, y2 = places[row]
            flag = int(random.random() < 0.9)
            known.append(f"{frame},{row + 1},{x1:.3f},{y1:.3f},{x2 - x1:.3f},{y2 - y1:.3f},{flag},{classes[row]},1")
            if random.random() < 0.85:
                dx, dy = random.normal(0, 4, 2)
                identity = row + 1 if frame < 9 or row % 3 else row + 31
                size = f"{x2 - x1:.3f},{y2 - y1:.3f}"
                found.append(f"{frame},{identity},{x1 + dx:.3f},{y1 + dy:.3f},{size},0.9,-1,-1,-1")
        for x1, y1, x2, y2 in boxes(random, 2):
            found.append(
                f"{frame},{random.integers(50, 10**6)},{x1:.3f},{y1:.3f},{x2 - x1:.3f},{y2 - y1:.3f},0.4,-1,-1,-1"
            )
    folder = root / "gt" / name / "gt"
    folder.mkdir(parents=True)
    (folder / "gt.txt").write_text("\n".join(known) + "\n")
    (folder.parent / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={frames}\n")
    (root / "pred" / "data").mkdir(parents=True, exist_ok=True)
    (root / "pred" / "data" / f"{name}.txt").write_text("\n".join(found) + "\n")


@pytest.mark.parametrize("benchmark", ["MOT17", "MOT20"])
def test_mot_challenge_files_as_the_official_evaluator(tmp_path: Path, benchmark: str) -> None:
    names = [f"{benchmark}-0{number}" for number in range(3)]
    for seed, name in enumerate(names):
        write_mot(tmp_path, name, seed)
    found = score_mot_files(tmp_path / "gt", tmp_path / "pred", notes=Notes())
    expected = official_mot_challenge(tmp_path, dict.fromkeys(names, 15), benchmark)
    assert list(found) == ["pedestrian"] and list(found["pedestrian"]) == [*names, "combined"]
    for name, row in found["pedestrian"].items():
        assert row == pytest.approx(expected[name], **EXACT), name


def test_vehicles_are_distractors_in_mot20_alone(tmp_path: Path) -> None:
    """So that the two benchmarks above differ in what they check."""
    for name in ("MOT17-1", "MOT20-1"):
        write_mot(tmp_path, name, seed=1)
        path = tmp_path / "gt" / name / "gt" / "gt.txt"
        path.write_text(path.read_text().replace(",8,1\n", ",6,1\n").replace(",3,1\n", ",6,1\n"))
    found = score_mot_files(tmp_path / "gt", tmp_path / "pred", notes=Notes())["pedestrian"]
    assert found["MOT17-1"]["FP"] > found["MOT20-1"]["FP"]


def write_kitti(root: Path, name: str, seed: int, frames: int = 15, objects: int = 10) -> None:
    random = np.random.default_rng(seed)
    kinds = random.choice(["Car", "Car", "Car", "Pedestrian", "Pedestrian", "Van", "Person", "Cyclist"], objects)
    rest = "1.5 1.6 4 2 1.6 20 0.4"
    known, found = [], []
    for frame, places in enumerate(walk(random, frames, objects)):
        for row in np.flatnonzero(random.random(objects) < 0.9):
            box = " ".join(f"{value:.3f}" for value in places[row])
            truncated, occluded = random.choice([0, 0, 0, 1, 2]), random.choice([0, 1, 2, 3])
            known.append(f"{frame} {row} {kinds[row]} {truncated} {occluded} -10 {box} {rest}")
            if kinds[row] != "Cyclist" and random.random() < 0.85:
                moved = " ".join(f"{value:.3f}" for value in places[row] + np.tile(random.normal(0, 3, 2), 2))
                kind = {"Van": "Car", "Person": "Pedestrian"}.get(kinds[row], kinds[row])
                found.append(f"{frame} {row if frame < 9 else row + 40} {kind} -1 -1 -10 {moved} {rest} 0.9")
        for area in boxes(random, 2):
            known.append(f"{frame} -1 DontCare -1 -1 -10 {' '.join(f'{v:.3f}' for v in area)} {rest}")
        for extra in boxes(random, 4) - np.array([0, 0, 20, 5]):
            extra[2:] = np.maximum(extra[2:], extra[:2] + 1)
            box = " ".join(f"{value:.3f}" for value in extra)
            found.append(f"{frame} {random.integers(100, 10**6)} Car -1 -1 -10 {box} {rest} 0.5")
    for path, lines in ((root / "gt" / "label_02", known), (root / "pred" / "data", found)):
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_kitti_files_as_the_official_evaluator(tmp_path: Path) -> None:
    names = ["0000", "0001", "0002"]
    for seed, name in enumerate(names):
        write_kitti(tmp_path, name, seed)
    found = score_mot_files(tmp_path / "gt", tmp_path / "pred")
    assert list(found) == ["car", "pedestrian"]
    for kind, rows in found.items():
        expected = official_kitti(tmp_path, dict.fromkeys(names, 15), kind)
        assert 0.2 < rows["combined"]["HOTA"] < 0.95
        for name, row in rows.items():
            assert row == pytest.approx(expected[name], **EXACT), (kind, name)


def test_kitti_scores_two_classes() -> None:
    targets = MotObjects(np.zeros(1, int), np.zeros(1, int), np.zeros((1, 4)), np.array(["tram"]))
    with pytest.raises(InputError, match="KITTI scores car and pedestrian, not 'cars'; did you mean 'car'"):
        kitti_rules(targets, "cars")
    with pytest.raises(InputError, match="columns of occlusion and truncation"):
        kitti_rules(targets, "car")


LINE = "1,1,10,20,30,40,1,1,1\n"


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write ground truth and predictions of a sequence `a`, by default one right track."""

    def write(known: str = LINE, found: str = LINE, info: str | None = None) -> tuple[Path, Path]:
        targets, predictions = tmp_path / "gt", tmp_path / "pred"
        (targets / "a" / "gt").mkdir(parents=True, exist_ok=True)
        predictions.mkdir(exist_ok=True)
        (targets / "a" / "gt" / "gt.txt").write_text(known)
        (predictions / "a.txt").write_text(found)
        if info is not None:
            (targets / "a" / "seqinfo.ini").write_text(info)
        return targets, predictions

    return write


def test_a_right_track_is_perfect(folders: Callable[..., tuple[Path, Path]]) -> None:
    found = score_mot_files(*folders())["pedestrian"]["combined"]
    assert (found["HOTA"], found["MOTA"], found["IDF1"], found["MT"]) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("1,1,10,20,30\n", "a.txt, line 1: expected frame, id, left, top, width, height, score"),
        ("1,1,10,20,30,40,x\n", "a.txt, line 1: expected numbers, but could not convert"),
        ("1,1,10,20,30,nan,1\n", "a.txt, line 1: expected finite numbers of at most"),
        ("0,1,10,20,30,40,1\n", "a.txt, line 1: the frame must be a whole number of at least 1, got 0"),
        ("1.5,1,10,20,30,40,1\n", "a.txt, line 1: the frame must be a whole number"),
        ("1,1,10,20,-30,40,1\n", "a.txt, line 1: width and height must be at least 0"),
        (f"{LINE}\n{LINE}", "a.txt, line 3: frame 1 has the id 1 already, in line 1"),
        ("4,-1,10,20,30,40,1\n" * 2, "a.txt, line 1: frame 4 has the id -1; a track has an id from 0"),
        ("9,1,10,20,30,40,1\n", "a.txt: frame 9 is out of range; seqinfo.ini says 1 to 5"),
    ],
)
def test_lines_that_are_wrong(folders: Callable[..., tuple[Path, Path]], found: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        score_mot_files(*folders(found=found, info="[Sequence]\nseqLength=5\n"))
    assert message in str(caught.value)


@pytest.mark.parametrize("info", ["", "[Sequence]\n", "[Sequence]\nseqLength=many\n", "seqLength=5"])
def test_a_file_of_the_length_that_is_wrong(folders: Callable[..., tuple[Path, Path]], info: str) -> None:
    with pytest.raises(InputError, match=r"seqinfo.ini: expected \[Sequence\] with seqLength"):
        score_mot_files(*folders(info=info))


def test_missing_and_further_sequences(folders: Callable[..., tuple[Path, Path]]) -> None:
    targets, predictions = folders()
    (predictions / "summary.txt").write_text("of another program")
    notes = Notes()
    score_mot_files(targets, predictions, notes=notes)
    assert notes.lines() == [f"{predictions / 'summary.txt'} is left out: {targets} has no such sequence"]
    (predictions / "a.txt").unlink()
    with pytest.raises(InputError, match=r"has no a.txt \(1 of 1 sequences are missing\)"):
        score_mot_files(targets, predictions)


def test_folders_that_are_none(folders: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    targets, predictions = folders()
    with pytest.raises(InputError, match="holds no ground truth"):
        score_mot_files(tmp_path / "pred" / "..", predictions)
    for pair in ((tmp_path / "none", predictions), (targets, tmp_path / "none")):
        with pytest.raises(InputError, match="there is no such folder"):
            score_mot_files(*pair)


def test_classes_by_name_and_number(folders: Callable[..., tuple[Path, Path]]) -> None:
    known = LINE + "1,2,100,100,10,10,1,3,1\n"
    found = score_mot_files(*folders(known, known), classes=["car", "1", "7"], notes=(notes := Notes()))
    assert {name: rows["combined"]["MOTA"] for name, rows in found.items()} == {"car": 1, "1": 1, "7": 0}
    assert any("has objects of other classes than 1, which are left out" in line for line in notes.lines())
    assert any("has no object of the class '7' that counts; nothing is measured" in line for line in notes.lines())
    with pytest.raises(InputError, match=r"--class pedestrain: expected a number from 1, .* did you mean 'pedestrian'"):
        score_mot_files(*folders(), classes=["pedestrain"])


def test_the_format_is_guessed_or_named(folders: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    targets, predictions = folders("", "")
    with pytest.raises(InputError, match="all files are empty; name their format: --format motchallenge"):
        score_mot_files(targets, predictions)
    found = score_mot_files(targets, predictions, format="motchallenge", notes=Notes())
    assert found["pedestrian"]["combined"]["HOTA"] == 0
    assert guess_format(targets / "a" / "gt" / "gt.txt") is None
    (tmp_path / "one.txt").write_text("0 1 Car 0 0 -10 1 2 3 4 1 1 1 1 1 1 1\n")
    assert guess_format(tmp_path / "one.txt") == "kitti"


def test_pixels_of_mot_challenge_begin_with_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("3, 7, 1, 1, 30, 40, 0.5\n")
    lines = read_track_lines(path, "motchallenge")
    assert lines.frames.tolist() == [2] and lines.boxes.tolist() == [[0, 0, 30, 40]]
    assert lines.names == ("-1",) and lines.numbers.tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 1 Car 0 0 -10 1 2 3 4", "expected frame, id, class and 14 numbers"),
        ("0 1 Car 0 0 -10 3 2 1 4 1 1 1 1 1 1 1", "the box [3.0, 2.0, 1.0, 4.0] is reversed"),
        ("-1 1 Car 0 0 -10 1 2 3 4 1 1 1 1 1 1 1", "the frame must be a whole number of at least 0, got -1"),
    ],
)
def test_lines_of_kitti_that_are_wrong(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(InputError) as caught:
        read_track_lines(tmp_path / "a.txt", "kitti")
    assert f"a.txt, line 1: {message}" in str(caught.value)
