from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from pydantic import Field

from scenekit.errors import InputError
from scenekit.hooks.options import check_options

if TYPE_CHECKING:
    from nowhere import Missing


def build(
    root: str,
    size: tuple[int, int] = (1, 1),
    scale: float = 1.0,
    keys: Sequence[str] | None = None,
    classes: Sequence[str] | Mapping[str, str] = (),
    faulty: Literal["refuse", "skip"] = "refuse",
    cache: str | bool | None = None,
    part: Annotated[int, Field(ge=0)] = 0,
    odd: "Missing | None" = None,
    free=None,
) -> None: ...


class Built:
    def __init__(self, length: int = 3) -> None: ...


def test_values_are_converted_to_what_the_annotations_name():
    options = {"root": Path("a/b"), "size": [3, 4], "scale": 2, "keys": ["a"], "odd": {"a": 1}, "free": 7}
    assert check_options(build, options, "it") == {**options, "root": "a/b", "size": (3, 4), "scale": 2.0}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("root", 5, "valid string, got 5"),
        ("size", 320, "input should be a list, got 320"),
        ("size", [1, 2, 3], "at most 2 items"),
        ("size", ["x", 1], "valid integer"),
        ("scale", float("inf"), "finite number, got inf"),
        ("scale", "nan", "finite number"),
        ("keys", 5, "got 5"),
        ("keys", "masks", "got 'masks'"),
        ("classes", {"Car": None}, "valid string"),
        ("faulty", "drop", "'refuse' or 'skip', got 'drop'"),
        ("cache", 5, "valid string or .*valid boolean.*, got 5"),
        ("part", -1, "greater than or equal to 0"),
    ],
)
def test_a_value_of_another_type_is_one_line_that_names_the_option(option, value, expected):
    with pytest.raises(InputError, match=expected) as caught:
        check_options(build, {"root": "x", option: value}, "data set 'it'")
    assert str(caught.value).startswith(f"data set 'it': option {option!r}: ") and "\n" not in str(caught.value)


def test_classes_and_partial_functions_are_validated_too():
    assert check_options(Built, {"length": 2}, "it") == {"length": 2}
    for function, options in ((Built, {"length": "x"}), (partial(build, "root"), {"scale": "x"})):
        with pytest.raises(InputError, match=r"option '(length|scale)'"):
            check_options(function, options, "it")


def test_an_integer_of_more_digits_than_python_prints() -> None:
    for option in ("scale", "root", "size"):
        with pytest.raises(InputError, match=f"option '{option}'"):
            check_options(build, {"root": "x", option: 10**5000}, "it")
