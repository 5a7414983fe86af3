"""Names of files that fit a file system, and drafts beside their target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scenekit.io.files import short_name, write_atomically


def test_short_names_stay() -> None:
    assert short_name("street", 20) == "street"
    assert short_name("x" * 20, 20) == "x" * 20


@pytest.mark.parametrize("name", ["x" * 240, "ä" * 120, "図" * 80, "👩‍🔬" * 30, "\udcff" * 200])
def test_long_names_are_cut_off_at_whole_letters_and_stay_different(name: str) -> None:
    short, other = short_name(name, 100), short_name(name + "y", 100)
    assert len(os.fsencode(short)) <= 100 and short != other and short[:-9] == name[: len(short) - 9]
    assert short == short_name(name, 100)


def test_a_name_as_long_as_the_file_system_permits(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"content")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"content"]
