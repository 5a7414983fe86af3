"""Two visits: what moved, appeared and vanished, by hand."""

from dataclasses import replace

import numpy as np
import pytest

import scenekit as sk
from tests.world.posed import Thing, looking, scene_of

CHAIR = Thing("chair", (3.0, 0.0, 0.45), attributes=("red",))
TABLE = Thing("table", (4.0, 1.0, 0.4), (1.5, 0.8, 0.8))
CRATE = Thing("crate", (3.0, -1.0, 0.3), (0.6, 0.6, 0.6))
FRONT = looking((0, 0, 1.2), (3.5, 0.0, 0.5))
AWAY = looking((0, 0, 1.2), (-3.5, 0.0, 0.5))


def visit(things: list[Thing], pose: np.ndarray = FRONT, count: int = 4, **options) -> sk.World:
    return sk.World.of([scene_of(things, pose, float(n)) for n in range(count)], **options)


def test_the_same_visit_has_no_changes() -> None:
    changes = visit([CHAIR, TABLE, CRATE]).diff(visit([CRATE, CHAIR, TABLE]))
    assert len(changes.same) == 3
    assert not changes.moved + changes.appeared + changes.vanished + changes.first_viewed + changes.not_viewed


def test_a_moved_object() -> None:
    moved = replace(CHAIR, place=(3.0, 0.9, 0.45))
    changes = visit([moved, TABLE, CRATE]).diff(visit([CHAIR, TABLE, CRATE]))
    (change,) = changes.moved
    assert change.before.label == change.after.label == "chair" and change.distance == pytest.approx(0.9, abs=1e-5)
    assert len(changes.same) == 2 and not changes.appeared + changes.vanished
    near = replace(CHAIR, place=(3.0, 0.2, 0.45))
    earlier = visit([CHAIR])
    assert not visit([near]).diff(earlier).moved, "less than 0.3 m"
    assert visit([near]).diff(earlier, moved=0.1).moved


def test_the_one_that_is_alike_has_moved() -> None:
    """Of two chairs at new places the red one is the red one of before, though it is farther away."""
    near, far = replace(CHAIR, place=(3.0, 1.0, 0.45), attributes=("blue",)), replace(CHAIR, place=(3.0, -1.5, 0.45))
    changes = visit([near, far]).diff(visit([CHAIR]))
    assert [change.distance for change in changes.moved] == pytest.approx([1.5], abs=1e-5)
    assert [item.position[1] for item in changes.appeared] == pytest.approx([1.0], abs=1e-5)


def test_appeared_and_vanished() -> None:
    earlier, later = visit([CHAIR, TABLE]), visit([TABLE, CRATE])
    changes = later.diff(earlier)
    assert [item.label for item in changes.appeared] == ["crate"]
    assert [item.label for item in changes.vanished] == ["chair"]
    record = changes.to_json()
    assert record["same"] == 1 and record["vanished"][0]["label"] == "chair" and record["moved"] == []


def test_another_class_or_size_is_no_move() -> None:
    large = replace(CHAIR, place=(3.0, 1.0, 0.45), size=(1.0, 1.8, 1.0))
    changes = visit([large]).diff(visit([CHAIR]))
    assert not changes.moved and len(changes.appeared) == len(changes.vanished) == 1


def test_a_confused_class_is_no_change() -> None:
    """A box of the same size at the same place, which a detector takes for another class, is the same object."""
    changes = visit([replace(CHAIR, label="crate", place=(3.0, 0.1, 0.45))]).diff(visit([CHAIR]))
    assert len(changes.same) == 1 and not changes.appeared + changes.vanished
    small = replace(CHAIR, label="mug", place=(3.0, 0.1, 0.45), size=(0.1, 0.1, 0.1))
    changes = visit([small]).diff(visit([CHAIR]))
    assert len(changes.appeared) == len(changes.vanished) == 1


def test_errors_along_the_ray_are_no_moves() -> None:
    """Seen from the front, 0.5 m farther away is within the error of depth (0.1 of 3 m besides 0.3 m); to the side it
    is not, nor where depth is known well."""
    farther, beside = replace(CHAIR, place=(3.5, 0.0, 0.45)), replace(CHAIR, place=(3.0, 0.5, 0.45))
    assert not visit([farther]).diff(visit([CHAIR])).moved and visit([beside]).diff(visit([CHAIR])).moved
    assert visit([farther], ray_error=0.02).diff(visit([CHAIR])).moved


def test_what_was_not_in_view_is_unknown() -> None:
    """The later visit looks the other way: nothing has vanished; what it finds may have been there."""
    behind = Thing("crate", (-3.0, 0.0, 0.3), (0.6, 0.6, 0.6))
    changes = visit([behind], AWAY).diff(visit([CHAIR, TABLE]))
    assert not changes.vanished + changes.appeared
    assert [item.label for item in changes.not_viewed] == ["chair", "table"]
    assert [item.label for item in changes.first_viewed] == ["crate"]


def test_what_is_hidden_is_unknown() -> None:
    """A wardrobe stands where the mug behind it cannot be seen any more."""
    mug = Thing("mug", (4.0, 0.0, 0.6), (0.2, 0.2, 0.2))
    wardrobe = Thing("table", (2.5, 0.0, 0.9), (2.0, 1.8, 0.5))
    changes = visit([wardrobe]).diff(visit([mug]))
    assert [item.label for item in changes.not_viewed] == ["mug"] and not changes.vanished
    assert [item.label for item in changes.appeared] == ["table"]


def test_few_views_do_not_prove_an_absence() -> None:
    earlier, later = visit([CHAIR]), visit([], count=2)
    assert later.diff(earlier).not_viewed and visit([], count=3).diff(earlier).vanished


def test_maps_that_cannot_be_compared() -> None:
    world = visit([CHAIR])
    with pytest.raises(sk.InputError, match="the earlier map has no scenes"):
        world.diff(sk.World())
    with pytest.raises(sk.InputError, match="other directions of up"):
        world.diff(visit([CHAIR], up=(0, -1, 0)))
    with pytest.raises(sk.InputError, match="moved is the distance"):
        world.diff(world, moved=0.0)
