"""Omni3D's files, as data set and as what is scored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenekit as sk
from scenekit.metrics.omni3d.files import score_omni3d_files
from tests.datasets.spatial_files import omni3d, write_omni3d
from tests.properties.hostile import dumped, files, refused_or, replace
from tests.properties.invariants import assert_finite, assert_sound

CORNERS = [[x, y, z] for z in (6.0, 10.0) for x, y in ((-0.5, -0.4), (1.5, -0.4), (1.5, 0.6), (-0.5, 0.6))]
RESULTS = [
    {"image_id": 1, "category_id": 1, "bbox": [25.0, 25.0, 55.0, 10.0], "score": 0.9, "depth": 8.0, "bbox3D": CORNERS},
    {"image_id": 1, "category_id": 2, "bbox": [20.0, 25.0, 55.0, 10.0], "score": 0.2, "depth": 8.0, "bbox3D": CORNERS},
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images."""
    root = tmp_path_factory.mktemp("omni3d")
    write_omni3d(root, omni3d())
    return root


@given(files(omni3d()), st.sampled_from(["skip", "refuse"]))
def test_data_set(root: Path, content: bytes, faulty: str) -> None:
    path = replace(root / "Omni3D" / "Drive_train.json", content)
    data = refused_or(lambda: sk.dataset("omni3d", annotations=str(path), root=str(root), faulty=faulty))
    for index in range(len(data) if data is not None else 0):
        sample = refused_or(lambda index=index: data[index])  # type: ignore[misc]
        if sample is not None:
            assert_sound(sample)


@given(files(omni3d()), st.booleans())
def test_ground_truth_of_scores(root: Path, content: bytes, proximity: bool) -> None:
    truth, results = replace(root / "truth.json", content), replace(root / "r.json", dumped(RESULTS))
    assert_finite(refused_or(lambda: score_omni3d_files(truth, results, proximity=proximity)))


@given(files(RESULTS))
def test_results(root: Path, content: bytes) -> None:
    truth, results = replace(root / "truth.json", dumped(omni3d())), replace(root / "r.json", content)
    assert_finite(refused_or(lambda: score_omni3d_files(truth, results)))
