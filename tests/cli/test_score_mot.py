"""`scenekit score mot`, on small files by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

TRUTH = "".join(f"{frame},1,10,10,20,20,1,1,1\n" for frame in range(1, 5))


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """A target of four frames, which two tracks follow, two frames each, in the sequences a and b."""
    for folder in ("gt", "pred"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        (tmp_path / "gt" / f"{name}.txt").write_text(TRUTH)
        tracks = "".join(f"{frame},{7 + frame // 3},10,10,20,20,1,-1,-1,-1\n" for frame in range(1, 5))
        (tmp_path / "pred" / f"{name}.txt").write_text(tracks)
    return [str(tmp_path / "gt"), str(tmp_path / "pred")]


def test_the_numbers_by_hand(run: Callable[..., Result], folders: list[str]) -> None:
    found = run("score", "mot", *folders, "--json").json
    assert list(found["pedestrian"]) == ["a", "b", "combined"]
    row = found["pedestrian"]["combined"]
    assert (row["IDS"], row["MOTA"], row["IDF1"]) == (2, pytest.approx(0.75), pytest.approx(0.5))
    assert row["AssA"] == pytest.approx(0.5) and row["HOTA"] == pytest.approx(0.5**0.5)


def test_a_table_for_people(run: Callable[..., Result], folders: list[str]) -> None:
    result = run("score", "mot", *folders)
    assert result.status == 0
    for text in ("tracking of pedestrian", "HOTA", "combined", "0.7071"):
        assert text in result.out


def test_what_is_wrong_is_one_line_and_status_2(run: Callable[..., Result], folders: list[str]) -> None:
    for options, message in (
        (("--format", "mot"), "unknown format of tracks 'mot'; known: kitti, motchallenge"),
        (("--class", "cars"), "--class cars: expected a number from 1"),
    ):
        result = run("score", "mot", *folders, *options)
        assert result.status == 2 and message in " ".join(result.err.split())
    (Path(folders[1]) / "b.txt").unlink()
    result = run("score", "mot", *folders)
    assert result.status == 2 and "has no b.txt (1 of 2 sequences are missing)" in " ".join(result.err.split())
