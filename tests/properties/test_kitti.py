"""KITTI's files of labels and calibrations, as data set and as what is scored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenekit as sk
from scenekit.metrics.kitti.files import score_kitti_files
from tests.datasets.spatial_files import CAR, ELSEWHERE, VAN, WALKER, calibration, write_kitti
from tests.properties.hostile import lines, refused_or
from tests.properties.invariants import assert_finite, assert_sound

LABELS = [CAR, WALKER, VAN, ELSEWHERE]
TEXT = "\n".join(LABELS)
POLICIES = st.sampled_from(["skip", "refuse"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image."""
    root = tmp_path_factory.mktemp("kitti")
    write_kitti(root, {"000000": LABELS})
    return root


def assert_read(root: Path, faulty: str) -> None:
    """Open the data set and read its sample."""
    data = refused_or(lambda: sk.dataset("kitti", root=str(root), faulty=faulty))
    sample = refused_or(lambda: data[0]) if data is not None and len(data) else None
    if sample is not None:
        assert_sound(sample)


@given(lines(TEXT), POLICIES)
def test_labels(root: Path, content: bytes, faulty: str) -> None:
    (root / "training" / "calib" / "000000.txt").write_text(calibration())
    (root / "training" / "label_2" / "000000.txt").write_bytes(content)
    assert_read(root, faulty)


@given(lines(calibration()), POLICIES)
def test_calibrations(root: Path, content: bytes, faulty: str) -> None:
    (root / "training" / "label_2" / "000000.txt").write_text(TEXT)
    (root / "training" / "calib" / "000000.txt").write_bytes(content)
    assert_read(root, faulty)


@given(lines(TEXT), lines("\n".join(f"{line} 0.5" for line in LABELS)))
def test_scores(tmp_path: Path, truth: bytes, predicted: bytes) -> None:
    folders = [tmp_path / "truth", tmp_path / "predicted"]
    for folder, content in zip(folders, (truth, predicted), strict=True):
        folder.mkdir(exist_ok=True)
        (folder / "000000.txt").write_bytes(content)
    assert_finite(refused_or(lambda: score_kitti_files(*folders)))
