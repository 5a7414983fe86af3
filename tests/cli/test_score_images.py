"""`scenekit score classification` and `localization`: text files of images."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_classes_by_name_whatever_separates_them(run, tmp_path: Path) -> None:
    """Spaces, commas and tabs; the third image has no prediction."""
    (tmp_path / "gt.txt").write_text("a.jpg cat\nb.jpg dog\nc.jpg dog\n")
    (tmp_path / "pred.txt").write_text("a.jpg,dog,cat\nb.jpg\tdog\n")
    scores = run("score", "classification", tmp_path / "gt.txt", tmp_path / "pred.txt", "--json").json
    assert (scores["top1"], scores["top5"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert "top1" in run("score", "classification", tmp_path / "gt.txt", tmp_path / "pred.txt").out


def test_boxes_of_images(run, tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("a cat 10 10 20 20\nb dog 0 0 5 5\n")
    (tmp_path / "pred.txt").write_text("a cat 10 10 20 15\nb cat 0 0 5 5\n")  # IoU 15 / 20; another class
    scores = run("score", "localization", tmp_path / "gt.txt", tmp_path / "pred.txt", "--json").json
    assert scores == {"accuracy": 0.5, "localization_error": 0.5, "mean_IoU": 0.875, "images": 2}
    assert "localization_error" in run("score", "localization", tmp_path / "gt.txt", tmp_path / "pred.txt").out
