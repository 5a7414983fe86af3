"""How errors list names and repeat the messages of other libraries."""

from __future__ import annotations

import logging

import pytest

from scenekit.errors import InputError, collecting, listed, one_line, repr_of, summary, warn_once


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


def test_what_several_attempts_miss_is_one_error() -> None:
    done = []
    with pytest.raises(InputError, match=r"^no boxes; no masks$"), collecting() as attempt:
        for name in ("boxes", "scenes", "masks", "boxes"):
            with attempt():
                if name != "scenes":
                    raise InputError(f"no {name}")
                done.append(name)
    assert done == ["scenes"]


def test_values_and_errors_that_cannot_be_written() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert (summary(MuteError()), summary(KeyError("a")), summary(SystemExit())) == (
        "MuteError", "KeyError: 'a'", "SystemExit",
    )  # fmt: skip
    assert repr_of(10**5000) == "a value of type int"
    assert repr_of("x" * 200, longest=5) == "'xxxx..."
