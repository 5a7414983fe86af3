"""Numbers, ids and text of annotation files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.io.records import Record, brief, is_number, read_json, read_records


def record(**data: Any) -> Record:
    return Record(data, Path("a.json"), "annotation", 0)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_text(tmp_path / "a.json") == '{"a": 1}'
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_text_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ab", encoding="utf-16")
    for path, message in (("none.txt", "no such file"), ("a.txt", "not encoded in UTF-8"), (".", "cannot read")):
        with pytest.raises(InputError, match=message):
            read_text(tmp_path / path)


@pytest.mark.parametrize("digits", [400, 5000])
def test_long_whole_numbers(tmp_path: Path, digits: int) -> None:
    number = "1" + "0" * (digits - 1)
    (tmp_path / "a.json").write_text(f'{{"list": [{{"id": 3, "height": {number}, "box": [1, {number}]}}]}}')
    (entry,) = read_records(read_json(tmp_path / "a.json"), tmp_path / "a.json", "list", "annotation")
    for read in (lambda: entry.number("height"), lambda: entry.integer("height"), lambda: entry.numbers("box", 2)):
        with pytest.raises(InputError) as caught:
            read()
        assert "annotation id 3: '" in str(caught.value) and len(str(caught.value)) < 400


def test_a_long_id_is_not_repeated_in_full() -> None:
    assert len(str(record(id=10**350))) < 130
    assert len(brief([10**5000])) < 100


def test_numbers_whose_areas_are_infinite_in_single_precision() -> None:
    assert [is_number(value) for value in (1e12, -1e12, 10**12, 0)] == [True] * 4
    assert not any(map(is_number, (1e13, 1e308, 10**400, float("nan"), float("inf"), True, "1", None, [1])))
    with pytest.raises(InputError, match=r"'height' must be a finite number of at most 1e\+12, not 1e\+308"):
        record(height=1e308).number("height")


def test_whole_numbers_of_programs_for_tables() -> None:
    assert [record(n=value).integer("n") for value in (7, 7.0, -(2**63))] == [7, 7, -(2**63)]
    for value in (7.5, True, "7", None, 2**63, 1e300):
        with pytest.raises(InputError, match="'n' must be an integer"):
            record(n=value).integer("n")


def test_flags_that_are_null_are_not_set() -> None:
    assert [record(n=value).flag("n") for value in (None, 0, 1, True, 1.0)] == [False, False, True, True, True]
    with pytest.raises(InputError, match="must be 0 or 1, not null"):
        record(n=None).flag("n", required=True)


def test_nesting_that_is_too_deep(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(InputError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")
    deep: Any = json.loads("[" * 500 + "]" * 500)
    assert len(brief(deep)) <= 90
