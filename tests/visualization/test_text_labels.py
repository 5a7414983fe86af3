"""Where name plates go."""

import numpy as np
import pytest

from scenekit.visualization.palette import BLACK
from scenekit.visualization.text_labels import MOST_COVERED, Tag, overlap, place, roomiest_spot

SIZE = (30.0, 10.0)


def test_plate_stands_on_top_of_its_box() -> None:
    [(_, rect)] = place((200, 100), [(Tag("a", BLACK, (50.0, 40.0, 70.0, 60.0)), SIZE)])
    assert rect == (50, 30, 80, 40)


def test_plate_moves_into_the_image() -> None:
    [(_, below)] = place((200, 100), [(Tag("a", BLACK, (190.0, 2.0, 200.0, 30.0)), SIZE)])
    assert below == (170, 30, 200, 40)


def test_plate_stands_inside_where_there_is_room() -> None:
    spacious, cramped = (Tag("a", BLACK, (40.0, 40.0, 80.0, 80.0), (60.0, 60.0, room)) for room in (20.0, 4.0))
    assert place((200, 100), [(spacious, SIZE)])[0][1] == (45, 55, 75, 65)
    assert place((200, 100), [(cramped, SIZE)])[0][1] == (40, 30, 70, 40)


def test_second_plate_takes_the_next_free_place() -> None:
    tag = Tag("a", BLACK, (50.0, 40.0, 70.0, 60.0))
    first, second = (rect for _, rect in place((200, 100), [(tag, SIZE)] * 2))
    assert overlap(first, second) == 0


def test_plates_without_a_place_are_left_out() -> None:
    tag = Tag("a", BLACK, (50.0, 40.0, 70.0, 60.0))
    rects = [rect for _, rect in place((200, 100), [(tag, SIZE)] * 60)]
    assert 4 <= len(rects) < 60
    for i, rect in enumerate(rects):
        assert sum(overlap(rect, other) for other in rects[:i]) < MOST_COVERED * SIZE[0] * SIZE[1]
    assert place((20, 5), [(tag, SIZE)]) == []


@pytest.mark.parametrize("scale", [(1.0, 1.0), (3.0, 3.0)])
def test_roomiest_spot_is_the_middle_of_the_largest_part(scale: tuple[float, float]) -> None:
    region = np.zeros((60, 100), dtype=bool)
    region[10:31, 60:81] = True  # a square of 21 pixels around (70.5, 20.5)
    region[40:45, 5:95] = True
    x, y, room = roomiest_spot(region, scale)
    assert (x, y, room) == (70.5 * scale[0], 20.5 * scale[1], 11 * scale[0])
