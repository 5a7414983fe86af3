"""Boxes of objects that look the same after a turn."""

import math

import numpy as np

from scenekit.ops.rotations.symmetry import aligned, equivalents, turn_about_height


def test_equivalent_descriptions() -> None:
    assert [len(equivalents(n)[0]) for n in (1, 2, 3, 4, 0)] == [1, 4, 3, 4, 4]
    assert equivalents(4)[1].tolist() == [False, True, False, True]


def test_each_box_is_described_as_its_own_reference() -> None:
    """By hand: a quarter turn exchanges the sides, half a turn keeps them, and a front has no other description."""
    turns = np.stack([turn_about_height(math.radians(angle)) for angle in (0.0, 90.0, 180.0)])
    sizes = np.array([[1.0, 5.0, 2.0]] * 3)
    rotations, swapped = aligned(np.stack([turns[1], turns[1], turns[2]]), sizes, turns, 2)
    np.testing.assert_allclose(rotations, turns, atol=1e-12)
    assert swapped.tolist() == [[2, 5, 1], [1, 5, 2], [1, 5, 2]]
    rotations, swapped = aligned(turns, sizes, turns[:1], 1)
    assert np.array_equal(rotations, turns) and np.array_equal(swapped, sizes)
