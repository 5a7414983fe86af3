"""How alike surfaces are, held against Mesh R-CNN's numbers and cases by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scenekit.metrics.meshes.average_precision import ShapeAP, Surface, all_point_ap, surface_metrics

STORED = np.load(Path(__file__).parents[1] / "reference" / "mesh3d" / "meshrcnn_metrics.npz")
UP = np.array([[0.0, 0, 1]])


def stored(name: str) -> np.ndarray:
    return np.asarray(STORED[name], dtype=np.float64)


def test_metrics_of_points_are_those_of_mesh_rcnn() -> None:
    arrays = [stored(f"points/{name}") for name in ("pred_points", "pred_normals", "gt_points", "gt_normals")]
    names = [name.removeprefix("points/metric.") for name in STORED.files if name.startswith("points/metric.")]
    for row, (points, normals, true_points, true_normals) in enumerate(zip(*arrays, strict=True)):
        found = surface_metrics(Surface(points, normals), Surface(true_points, true_normals))
        assert len(found) == len(names)
        for name in names:
            measure, _, cutoff = name.partition("@")
            value = found[f"{measure}@{float(cutoff):g}" if cutoff else name]
            assert value == pytest.approx(stored(f"points/metric.{name}")[row], rel=1e-5), name


@pytest.mark.parametrize("case", range(5))
def test_average_precision_is_that_of_mesh_rcnn(case: int) -> None:
    scores, labels, objects, expected = (stored(f"vocap{case}/{name}") for name in ("scores", "labels", "npos", "ap"))
    assert all_point_ap(scores, labels.astype(bool), int(objects)) == pytest.approx(float(expected), rel=1e-5)


def test_two_points_against_one() -> None:
    """Found at 0 and 1, true at 0.2 along a line; normals alike for the first, opposite for the second."""
    found = Surface(np.array([[0.0, 0, 0], [1, 0, 0]]), np.vstack((UP, -UP)))
    true = Surface(np.array([[0.2, 0, 0]]), UP)
    metrics = surface_metrics(found, true, (0.3,))
    assert metrics["Chamfer-L2"] == pytest.approx((0.2**2 + 0.8**2) / 2 + 0.2**2)
    assert metrics["NormalConsistency"] == pytest.approx((0 + 1) / 2)
    assert metrics["AbsNormalConsistency"] == pytest.approx(1)
    assert [metrics[f"{name}@0.3"] for name in ("Precision", "Recall")] == [50, 100]
    assert metrics["F1@0.3"] == pytest.approx(2 * 50 * 100 / 150)


def test_distances_must_be_below_the_threshold() -> None:
    metrics = surface_metrics(Surface(0 * UP, UP), Surface(0.25 * UP, UP), (0.25, 0.26))
    assert metrics["F1@0.25"] == 0 and metrics["F1@0.26"] == 100


def test_scaling_is_that_of_the_points() -> None:
    generator = np.random.default_rng(0)
    a, b, normals = (generator.normal(size=(40, 3)) for _ in range(3))
    plain = surface_metrics(Surface(3 * a, normals), Surface(0.5 * b, normals))
    scaled = surface_metrics(Surface(a, normals), Surface(b, normals), scales=(3.0, 0.5))
    assert scaled == pytest.approx(plain)
    limited = surface_metrics(Surface(a, normals), Surface(b, normals), scales=(3.0, 0.5), limit=0.5)
    assert limited == pytest.approx({name: value for name, value in plain.items() if "@" in name})


def test_a_part_of_the_points_is_looked_up_on_all_of_the_other_surface() -> None:
    points = np.arange(4.0)[:, None] * np.array([[1.0, 0, 0]])
    part = Surface(points, np.repeat(UP, 4, axis=0), queries=1)
    true = Surface(points + 0.1, np.repeat(UP, 4, axis=0))
    assert part.nearest(true)[0] == pytest.approx([np.sqrt(0.03)])
    assert true.nearest(part)[0] == pytest.approx([np.sqrt(0.03)] * 4)


def test_average_precision_by_class() -> None:
    """Of two cups one is found, first; the only box is found after a wrong one; nobody has a tree."""
    ap = ShapeAP(("cup", "box", "tree"))
    ap.update(np.array([0, 1]), np.array([0, 1]), np.array([0.9, 0.8]), np.array([True, False]))
    other = ShapeAP(ap.classes)
    other.update(np.array([0]), np.array([1]), np.array([0.5]), np.array([True]))
    ap.merge(other)
    assert ap.result() == pytest.approx({"cup": 0.5, "box": 0.5, "tree": np.nan}, nan_ok=True)
