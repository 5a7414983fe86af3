"""The map from above: what lies where on the sheet, and texts that do not cover each other."""

import math

import numpy as np

import scenekit as sk
from scenekit.visualization.palette import object_color
from scenekit.visualization.plan import PAPER, Sheet
from scenekit.visualization.text_labels import overlap, place, plate_size
from scenekit.world.drawing import SIDE, plan_of, reach, tags
from tests.world.posed import Thing, looking, scene_of

TABLE = Thing("table", (4.0, 1.0, 0.4), (2.0, 0.8, 1.0), yaw=math.pi / 2)
FRONT = looking((0, 0, 1.2), (3.5, 0.5, 0.5))


def world_of(things: list[Thing], pose: np.ndarray = FRONT) -> sk.World:
    return sk.World.of([scene_of(things, pose, float(n)) for n in range(3)])


def test_boxes_lie_where_they_stand() -> None:
    """The table is 1 m long along y and 2 m wide along x."""
    world = world_of([TABLE])
    plan = plan_of(world, world.objects[0])
    np.testing.assert_allclose(plan.min(axis=0), [3.0, 0.5], atol=1e-5)
    np.testing.assert_allclose(plan.max(axis=0), [5.0, 1.5], atol=1e-5)
    sheet = Sheet.around(reach(np.concatenate((plan, [[0.0, 0.0]]))), SIDE)
    drawn = np.asarray(world.draw(labels=False)).astype(int)
    color = np.array(object_color(1, 0))

    def at(point: tuple[float, float]) -> np.ndarray:
        x, y = sheet.pixels(np.array(point)).round().astype(int)
        return drawn[y, x]

    for inside in ((3.2, 1.3), (4.8, 0.7)):
        np.testing.assert_allclose(at(inside), (color + 2 * np.array(PAPER)) // 3, atol=2)
    assert np.abs(at((4.0, 1.9)) - PAPER).max() < 60


def test_names_do_not_cover_each_other() -> None:
    things = [Thing("person", (3 + 0.2 * n, 0.1 * n, 0.9), (0.3, 1.8, 0.3)) for n in range(6)]
    world = world_of(things)
    image = world.draw()
    shown = list(world.objects)
    plans = [plan_of(world, item) for item in shown]
    sheet = Sheet.around(reach(np.concatenate((*plans, [[0.0, 0.0]]))), SIDE)
    names = list(tags(shown, plans, [(0, 0, 0)] * len(shown), sheet, image))
    placed = [rect for _, rect in place(sheet.size, [(tag, plate_size(tag.text, 28)) for tag in names], 0.0)]
    assert len(placed) > 1
    assert all(overlap(a, b) == 0 for n, a in enumerate(placed) for b in placed[:n])


def test_candidates_are_drawn_when_asked_for() -> None:
    world = world_of([TABLE])
    world.add(scene_of([TABLE, Thing("person", (2.0, 1.0, 0.9), (0.5, 1.8, 0.5))], FRONT, 9.0))
    assert world.draw(candidates=True).tobytes() != world.draw().tobytes()


def test_an_empty_map_is_a_sheet() -> None:
    assert sk.World().draw().size[0] == SIDE
    lonely = sk.World.of([scene_of([], FRONT)])
    assert max(lonely.draw().size) >= SIDE
