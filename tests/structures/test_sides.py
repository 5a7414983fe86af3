"""Names and texts in a flipped image, each worked by hand."""

from typing import Any

import pytest

from scenekit.structures.sides import exchanged, flipped_names, other_side, side_left


def becomes(names: tuple[str, ...], *tables: Any) -> tuple[tuple[int, ...], frozenset[int]]:
    flipped = flipped_names(names, *tables)
    return flipped.order, flipped.one_sided


SPELLINGS = [
    ("left_shoe", "right_shoe"),
    ("left shoe", "right shoe"),
    ("shoe-left", "shoe-right"),
    ("Shoe.L", "Shoe.R"),
    ("shoe/left/inner", "shoe/right/inner"),
    ("lane marking (left)", "lane marking (right)"),
    ("leftHand", "rightHand"),
    ("LHand", "RHand"),
    ("handLeft", "handRight"),
    ("shoeR", "shoeL"),
    ("LEFT SHOE", "RIGHT SHOE"),
    ("Left", "Right"),
    ("l_shoe", "r_shoe"),
    ("left1", "right1"),
    ("topleft", "topright"),
    ("leftmost", "rightmost"),
    ("on_left_side_of", "on_right_side_of"),
    ("left hand of the right man", "right hand of the left man"),
    ("rechter Schuh", "linker Schuh"),
    ("scarpa sinistra", "scarpa destra"),
    ("Левый ботинок", "Правый ботинок"),
    ("왼쪽 신발", "오른쪽 신발"),
    ("左手", "右手"),
]


@pytest.mark.parametrize(("left", "right"), SPELLINGS)
def test_every_spelling_of_a_side(left: str, right: str) -> None:
    assert (other_side(left), other_side(right)) == (right, left)
    assert becomes((left, "ball", right)) == ((2, 1, 0), set())
    assert becomes(("ball", right)) == ((0, 1), {1})


NO_SIDES = ["bright", "BRIGHT", "leftover", "left-overs", "right_angle", "rightAngle", "right-angled", "copyright"]
NO_SIDES += [
    "all right",
    "upright piano",
    "playwright",
    "human rights",
    "right of way",
    "right whale",
    "lamp",
    "L",
    "L5",
]


@pytest.mark.parametrize("name", NO_SIDES)
def test_what_only_looks_like_a_side(name: str) -> None:
    assert other_side(name) == name
    assert becomes((name, "ball")) == ((0, 1), set())


@pytest.mark.parametrize(
    "pair",
    [
        *(("lshoulder", "rshoulder"), ("finger_l1", "finger_r1"), ("ctx-lh-a", "ctx-rh-a"), ("shoeleft", "shoeright")),
        *(("fl_wheel", "fr_wheel"), ("plateTL", "plateTR"), ("RL", "RR"), ("lt. shoe", "rt. shoe")),
    ],
)
def test_sides_that_only_the_counterpart_shows(pair: tuple[str, str]) -> None:
    assert flipped_names(pair).order == (1, 0)
    assert becomes(pair[:1]) == ((0,), set())


def test_counterparts_in_another_spelling() -> None:
    assert flipped_names(("Left shoe", "right_shoe")).order == (1, 0)
    assert becomes(("left shoe", "right_shoe", "Right Shoe")) == ((0, 1, 2), {0, 1, 2}), "of two, neither is it"


def test_letters_are_sides_unless_there_are_others() -> None:
    """A circuit has L and R, too: neither is exchanged, and an image with them not flipped."""
    assert flipped_names(("L", "R")).order == (1, 0)
    assert becomes(("R", "L", "C")) == ((0, 1, 2), {0, 1})
    assert flipped_names(("letter_R", "letter_L", "letter_C")).one_sided == {0, 1}
    assert flipped_names(("S", "M", "L")).one_sided == frozenset()
    assert becomes(("lamp", "ramp")) == ((0, 1), set())


def test_pairs_of_a_table_come_first() -> None:
    assert flipped_names(("a", "b", "c"), (("a", "c"),)).order == (2, 1, 0)
    assert becomes(("a", "b"), (("a", "c"),)) == ((0, 1), {0})
    words = (("port", "starboard"), ("left turn sign", "left turn sign"))
    assert flipped_names(("port side", "Starboard side"), (), words).order == (1, 0)
    assert becomes(("left turn sign",), (), words) == ((0,), set())


def test_texts() -> None:
    words = (("left", "right"),)
    text = "To the LEFT of the Left one, all right, the leftmost left-hand left_shoe is bright"
    assert exchanged(text, words) == (
        "To the RIGHT of the Right one, all right, the rightmost right-hand right_shoe is bright"
    )
    assert exchanged(text, ()) == text
    assert exchanged("left, LEFT and Right", (("Left", "Right"),)) == "right, RIGHT and Left"
    assert side_left(text, words) is None and side_left(text, ()) == "LEFT"
    assert side_left("a left_shoe and leftovers", ()) == "left" and side_left("leftovers", ()) is None
    assert side_left("left, and links", words) == "links"
