"""`scenekit score events`, on the videos that the public programs were run on."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Result

CASES = json.loads((Path(__file__).parents[1] / "reference" / "events" / "official.json").read_text())


def written(folder: Path, references: list[Any], results: Any) -> list[Path]:
    contents = [*references, {"version": "VERSION 1.0", "results": results}]
    paths = [folder / f"GT{number}.json" for number in range(len(references))] + [folder / "PRED.json"]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_files_of_two_annotators(tmp_path: Path, run: Callable[..., Result]) -> None:
    files = written(tmp_path, CASES["references"], CASES["results"])
    result = run("score", "events", *files, "--json").json
    found = [row["recall"] for row in result["breakdown"].values()]
    assert found == pytest.approx(CASES["densevid_eval"]["Recall"]) and result["language_score"] == "unigram-F"
    printed = run("score", "events", *files).out
    assert "SODA_c (unigram-F)" in printed and f"{result['SODA_c']:.4f}" in printed and "tIoU" in printed
    best = run("score", "events", *files, "--story", "best", "--json").json
    assert best["SODA_c"] != result["SODA_c"] and best["recall"] == result["recall"]


def test_oddities_are_notes_or_refused(tmp_path: Path, run: Callable[..., Result]) -> None:
    references = {"v": {"timestamps": [[0, 5], [4, 3]], "sentences": ["a", "b"]}}
    files = written(tmp_path, [references], {"v": []})
    assert "ends before it begins" in run("score", "events", *files, "--json").json["notes"][0]
    assert run("score", "events", *files, "--strict").status == 2


GT = {"v": {"duration": 9, "timestamps": [[0, 5]], "sentences": ["a dog"]}}
PRED = {"v": [{"sentence": "a dog", "timestamp": [0, 5]}]}


@pytest.mark.parametrize(
    ("references", "results", "message"),
    [
        (GT, {}, "has no predictions for video 'v' (1 of 1 are missing)"),
        (GT, {**PRED, "w": []}, "has predictions for video 'w', which"),
        (GT, None, 'expected an object with "results" by video'),
        (GT, {"v": [{"sentence": "a"}]}, "PRED.json: video 'v', event number 0 has no 'timestamp'"),
        (GT, {"v": [{"sentence": 3, "timestamp": [0, 1]}]}, "video 'v', event number 0: 'sentence' must be text"),
        (GT, {"v": [{"sentence": "a", "timestamp": [0, float("nan")]}]}, "'timestamp' must be 2 finite numbers"),
        (GT, {"v": [{"sentence": "a", "timestamp": [0, 1, 2]}]}, "'timestamp' must be 2 numbers, not 3"),
        (GT, {"v": [{"sentence": "a", "timestamp": [4, 2]}]}, "event number 0 ends before it begins: [4, 2] seconds"),
        (GT, {"v": {"sentence": "a"}}, "PRED.json: video 'v': expected a list of objects"),
        ([GT], PRED, "GT0.json: expected an object of videos"),
        ({"v": {"sentences": []}}, PRED, "GT0.json: video 'v' has no 'timestamps'"),
        ({"v": {"timestamps": [[0, 1]], "sentences": []}}, PRED, "GT0.json: video 'v': 0 'sentences' for 1"),
        ({"v": {"timestamps": [[0, float("inf")]], "sentences": ["a"]}}, PRED, "'timestamps' number 0 holds inf"),
        ({"v": {"timestamps": [[0]], "sentences": ["a"]}}, PRED, "'timestamps' must be rows of 2 numbers"),
        ({"v": {"timestamps": [[0, 1]], "sentences": "a"}}, PRED, "'sentences' must be a list of texts"),
    ],
)
def test_bad_files_are_refused(
    references: Any, results: Any, message: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    files = written(tmp_path, [copy.deepcopy(references)], results)
    assert message in refused("score", "events", *files)


def test_one_file_is_not_enough(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "then one of predictions" in refused("score", "events", *written(tmp_path, [], PRED))
