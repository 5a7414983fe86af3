"""Lines of JSON: characters that end lines elsewhere, and a line that was cut off."""

from pathlib import Path

import pytest

from scenekit.errors import InputError
from scenekit.io.json_lines import json_line, read_json_lines


def read(path: Path, content: bytes) -> tuple[list[tuple[int, object]], list[int]]:
    path.write_bytes(content)
    cut: list[int] = []
    return list(read_json_lines(path, cut.append)), cut


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    values = [{"text": f"a{end}b"} for end in ("\u2028", "\u2029", "\x85", "\n", "\x0b", "\x1e")]
    content = "".join(map(json_line, values)).encode()
    assert content.count(b"\n") == len(values)
    assert read(tmp_path / "a.jsonl", content) == (list(enumerate(values, 1)), [])


def test_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", b"\xef\xbb\xbf1\r\n\r\n2") == ([(1, 1), (3, 2)], [])


@pytest.mark.parametrize("end", ['{"a": ', '{"a": "\u00e9'])
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path, end: str) -> None:
    content = b"1\n" + end.encode()
    assert read(tmp_path / "a.jsonl", content) == ([(1, 1)], [2])
    assert read(tmp_path / "a.jsonl", content[:-1]) == ([(1, 1)], [2]), "within a character"


@pytest.mark.parametrize("content, line", [(b'1\n{"a": \n', 2), (b'1\n{"a": \n3', 2), (b'{"a": ', 1)])
def test_other_broken_lines_are_errors(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(InputError, match=f"line {line} is not valid JSON"):
        read(tmp_path / "a.jsonl", content)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_json_lines(tmp_path / "none.jsonl", print))
