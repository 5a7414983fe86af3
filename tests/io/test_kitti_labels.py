"""Lines of KITTI's text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenekit.io.kitti_labels import read_kitti_lines

LINE = "Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"


def lines(folder: Path, *texts: str) -> Path:
    (folder / "a.txt").write_text("\n".join(texts), encoding="utf-8-sig")
    return folder / "a.txt"


def test_lines_without_and_with_scores(tmp_path: Path) -> None:
    read = read_kitti_lines(lines(tmp_path, LINE, "", LINE))
    assert read.names == ("Car", "Car") and read.numbers.shape == (2, 14) and not read.issues
    assert read.where == (f"{tmp_path / 'a.txt'}, line 1", f"{tmp_path / 'a.txt'}, line 3")
    assert read_kitti_lines(lines(tmp_path, f"{LINE} 0.5")).numbers[0, 14] == 0.5
    assert read_kitti_lines(lines(tmp_path, f"{LINE} 0.5"), scored=False).numbers.shape == (1, 14)
    assert read_kitti_lines(lines(tmp_path)).numbers.shape == (0, 14)


@pytest.mark.parametrize("value", ["810e73", "nan", "inf", "x", "1" * 400, "1" * 5000])
def test_numbers_that_cannot_be(tmp_path: Path, value: str) -> None:
    read = read_kitti_lines(lines(tmp_path, LINE.replace("614.12", value), LINE))
    assert read.names == ("Car",)
    (issue,) = read.issues
    assert "a.txt, line 1: expected" in issue and len(issue) < 300


def test_columns_that_are_missing(tmp_path: Path) -> None:
    (issue,) = read_kitti_lines(lines(tmp_path, "Car 1 2")).issues
    assert issue.endswith("expected a class and 14 numbers, got 3 columns")
    (issue,) = read_kitti_lines(lines(tmp_path, LINE), scored=True).issues
    assert issue.endswith("expected a class and 15 numbers, the last a score, got 15 columns")
