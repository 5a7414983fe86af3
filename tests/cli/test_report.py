"""`scenekit report`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenekit.recipe import Recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that was stopped: a recipe and a log of two lines."""
    Recipe.parse({"data": {"train": [{"name": "synthetic"}]}}).save(tmp_path / "recipe.yaml")
    line = {"loss": 1.0, "losses": {"detection.box": 1.0}, "grad_norm": {"total": 1.0}}
    (tmp_path / "log.jsonl").write_text("".join(json.dumps({"step": step, **line}) + "\n" for step in (10, 20)))
    return tmp_path


def test_a_run_without_interference(run: Callable[..., Any], folder: Path) -> None:
    result = run("report", str(folder))
    assert result.status == 0 and result.out == f"wrote {folder / 'report.html'}\n"
    page = (folder / "report.html").read_text()
    assert "20 of 1,000" in page and "synthetic/train" in page and "static" in page


def test_data_sets_have_the_names_of_the_recipe(run: Callable[..., Any], folder: Path) -> None:
    entries = [{"name": "coco", "labels": name} for name in ("house", "road")]
    Recipe.parse({"data": {"train": entries}}).save(folder / "recipe.yaml")
    assert run("report", str(folder)).status == 0
    page = (folder / "report.html").read_text()
    assert "house/train" in page and "road/train" in page


def test_conflicts_are_printed(run: Callable[..., Any], folder: Path) -> None:
    record = {"step": 10, "tasks": ["a", "b"], "norms": [1.0, 2.0], "cosines": [[1.0, -0.5], [-0.5, 1.0]]}
    (folder / "interference.jsonl").write_text(json.dumps(record) + "\n")
    page = folder / "pages" / "run.html"
    result = run("report", str(folder), "-o", str(page))
    assert result.out.startswith("a pays for b: their gradients point apart in 100% of 1 records") and page.is_file()
    found = run("report", str(folder), "--json").json
    assert found["report"] == str(folder / "report.html")
    assert found["conflicts"] == [
        {"payer": "a", "winner": "b", "records": 1, "cosine": -0.5, "conflicting": 1.0, "lost": 1.0}
    ]


def test_a_folder_without_a_run_is_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    result = run("report", str(tmp_path / "nothing"))
    assert result.status == 2 and "no run with a step in it; name a folder that scenekit train wrote" in result.err
