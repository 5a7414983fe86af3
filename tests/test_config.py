"""What configurations have in common."""

from __future__ import annotations

import math
from typing import Annotated

import pytest
from pydantic import Field

from scenekit.config import Config, merged, validated
from scenekit.errors import InputError


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


class Numbers(Config):
    """Numbers in every place that a configuration has for them."""

    one: float = 0
    pair: tuple[float, float] = (0, 0)
    named: dict[str, float] = {}
    endless: Annotated[float, Field(allow_inf_nan=True)] = 0


@pytest.mark.parametrize(
    ("option", "value"), [("one", math.nan), ("one", "inf"), ("pair", (0, math.inf)), ("named", {"a": -math.inf})]
)
def test_numbers_must_be_finite_unless_their_field_says_otherwise(option: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^here: '{option}.*input should be a finite number, got"):
        validated(Numbers, {option: value}, "here")
    assert validated(Numbers, {"endless": math.inf}, "here").endless == math.inf


class Sides(Config):
    """A list that may not be empty."""

    sides: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)


def test_an_invalid_entry_does_not_make_its_list_too_short() -> None:
    with pytest.raises(InputError, match=r"^sides: 'sides\.0': input should be greater than 0, got 0$"):
        validated(Sides, {"sides": [0]}, "sides")
    with pytest.raises(InputError, match="at least 1 item"):
        validated(Sides, {"sides": []}, "sides")
