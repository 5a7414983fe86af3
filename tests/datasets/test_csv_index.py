"""Indexing CSV files by a column."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from scenekit.errors import InputError
from scenekit_datasets.csv_index import open_csv


def test_rows_of_each_value_as_the_csv_module_reads_them(tmp_path: Path) -> None:
    """Values in runs and scattered, quoted texts with commas and line breaks, a byte order mark, empty lines."""
    dice = random.Random(0)
    texts = ["plain", "a, b", 'said "x"', "two\nlines", "ö", "a\u2028b", ""]
    rows = [[f"{dice.randrange(7):x}" * dice.choice((1, 3)), dice.choice(texts), str(n)] for n in range(300)]
    rows += [["run", "x", str(n)] for n in range(50)]
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["ImageID", "Text", "N"], *rows])
        file.write("\r\n")
    cache = tmp_path / "cache"
    cache.mkdir()
    for _ in range(2):  # built, then stored
        index = open_csv(path, "ImageID", ["N"], cache, names="Text")
        ids, names = (sorted({row[n] for row in rows}) for n in (0, 1))
        assert (index.keys, index.names) == (tuple(ids), tuple(names))
        for value in {row[0] for row in rows}:
            assert [list(row.values()) for row in index.rows(value)] == [row for row in rows if row[0] == value]
        assert index.rows("none") == index.rows("") == index.rows("zz") == []
        assert len(index.starts) < len(rows) - 40, "adjacent rows are one span"
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv lacks the columns ImageID, XMin; its columns are none: it is empty"),
        (b"imageid,XMin\n", "a.csv lacks the columns ImageID; its columns are imageid, XMin"),
        (b"ImageID,XMin\na,1\nb\n", r"a.csv: the row at byte 17 has 1 values, expected 2: \[.b.\]"),
        (b"ImageID,XMin\na,\xff\n", r"a.csv is not a valid CSV file: it is not encoded in UTF-8 \(byte 13\)"),
        (b"ImageID,XMin\na," + b"x" * 200_000 + b"\n", "a.csv is not a valid CSV file: field larger than"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_csv(tmp_path / "a.csv", "ImageID", ["XMin"])


def test_files_that_are_not_there_or_change(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*b\.csv"):
        open_csv(tmp_path / "b.csv", "ImageID", [])
    (tmp_path / "a.csv").write_text("ImageID,N\na,1\n")
    index = open_csv(tmp_path / "a.csv", "ImageID", [])
    (tmp_path / "a.csv").write_text("ImageID\na\n\n\n")
    with pytest.raises(InputError, match="has changed since it was opened"):
        index.rows("a")
    (tmp_path / "a.csv").write_text("ImageID,N\n")
    assert len(open_csv(tmp_path / "a.csv", "ImageID", []).values) == 0
