"""What configurations have in common."""

from __future__ import annotations

from scenekit.config import Config, merged


class Section(Config):
    """Options with defaults."""

    one: int = 1
    two: int = 2


def test_merged_section_by_section() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"c": 4}, "d": {"e": 5}}) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


def test_a_section_changes_only_what_it_was_given() -> None:
    assert merged({"s": {"one": 7, "two": 8}}, {"s": Section(two=9)}) == {"s": {"one": 7, "two": 9}}
