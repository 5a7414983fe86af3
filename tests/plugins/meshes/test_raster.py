"""The depth buffer against every pixel tried one by one, and against triangles cut by hand."""

import numpy as np
import pytest

from scenekit_plugins.meshes import raster
from scenekit_plugins.meshes.raster import clip_near, visible_faces


def by_trial(triangles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Barycentric coordinates of every pixel in every face."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    owner, nearest = np.full(size, -1), np.zeros(size)
    for number, corners in enumerate(triangles):
        system = np.stack((corners[:, 0], corners[:, 1], np.ones(3)))
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        weights = np.tensordot(np.linalg.inv(system), np.stack((x, y, np.ones(size))), 1)
        depth = np.tensordot(corners[:, 2], weights, 1)
        seen = (weights > 0).all(axis=0) & (depth > nearest)
        owner[seen], nearest[seen] = number, depth[seen]
    return owner


@pytest.mark.parametrize("most", [2_000_000, 50])
def test_equals_trying_every_pixel(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "MOST_PIXELS", most)
    generator = np.random.default_rng(0)
    triangles = generator.uniform(-20, 80, (60, 3, 3))
    triangles[:, :, 2] = generator.uniform(0.1, 1, (60, 3))
    triangles[7, 2] = triangles[7, 1]  # of no area
    np.testing.assert_array_equal(visible_faces(triangles, (50, 60)), by_trial(triangles, (50, 60)))


def test_faces_that_share_an_edge_leave_no_gap_and_do_not_overlap() -> None:
    square = np.array([[[10, 10, 1], [30, 10, 1], [30, 30, 1]], [[10, 10, 1], [30, 30, 1], [10, 30, 1]]], dtype=float)
    seen = visible_faces(square, (40, 40))
    assert (seen[10:30, 10:30] >= 0).all() and (seen >= 0).sum() == 400


def test_nothing_is_seen_of_nothing_and_of_what_is_outside() -> None:
    assert (visible_faces(np.zeros((0, 3, 3)), (4, 5)) == -1).all()
    outside = np.array([[[-9, -9, 1], [-5, -9, 1], [-5, -1, 1]]], dtype=float)
    assert (visible_faces(outside, (4, 5)) == -1).all()


def test_near_plane_by_hand() -> None:
    whole, behind = [[0, 0, 1], [1, 0, 1], [0, 1, 1]], [[0, 0, -1], [1, 0, -1], [0, 1, -1]]
    tip = [[0, 0, 2], [2, 0, 0], [0, 2, 0]]  # half way down at z = 1
    stump = [[0, 0, 0], [2, 0, 2], [0, 2, 2]]
    parts, source = clip_near(np.array([whole, behind, tip, stump], dtype=float), 1.0)
    assert sorted(source.tolist()) == [0, 2, 3, 3]
    np.testing.assert_allclose(parts[source == 0][0], whole)
    np.testing.assert_allclose(parts[source == 2][0], [[0, 0, 2], [1, 0, 1], [0, 1, 1]])
    assert parts[source == 3][:, :, 2].min() == 1
    areas = np.linalg.norm(np.cross(parts[:, 1] - parts[:, 0], parts[:, 2] - parts[:, 0]), axis=1) / 2
    full = np.linalg.norm(np.cross([2, 0, 2], [0, 2, 2])) / 2
    np.testing.assert_allclose(areas[source == 3].sum(), full * 3 / 4)
    turns = np.cross(parts[:, 1] - parts[:, 0], parts[:, 2] - parts[:, 0])
    assert (turns[source == 3] @ np.cross([2, 0, 2], [0, 2, 2]) > 0).all(), "parts wind as the whole"
