"""How errors list names and repeat the messages of other libraries."""

from __future__ import annotations

import logging

import pytest

from scenekit.errors import listed, one_line, warn_once


@pytest.mark.parametrize(
    ("items", "separator", "expected"),
    [
        (["a", "b"], ", ", "a, b"),
        (["a", "b", "c"], ", ", "a, b and 1 more"),
        (["a", "b", "c", "d"], "; ", "a; b; and 2 more"),
        ([], ", ", ""),
    ],
)
def test_the_first_and_how_many_more(items: list[str], separator: str, expected: str) -> None:
    assert listed(iter(items), 2, separator) == expected


def test_a_message_in_one_line() -> None:
    assert one_line(ValueError("first\n  second\tthird")) == "first second third"
    assert one_line(ValueError("abcdef"), longest=3) == "abc..."
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    for message in ("one", "two", "one"):
        warn_once(logging.getLogger("scenekit.test"), message)
    assert caplog.messages == ["one", "two"]
