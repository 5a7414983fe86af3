"""`scenekit train`, from the recipe on disk to a model that the other commands read."""

from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import SMALL


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    scenes = {"name": "synthetic", "options": {"size": [64, 96], "cache": False, "length": 4}}
    training = {"steps": 2, "batch_size": 2, "workers": 0, "save_every": 1, "warmup": 0, "log_every": 1}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"model": SMALL, "data": {"train": [scenes]}, "train": training}))
    return path


def test_train_resume_evaluate(run, refused, recipe, tmp_path) -> None:
    out = tmp_path / "run"
    first = run("train", recipe, "--out", out, "--set", "train.steps=1", "--device", "cpu", "--json")
    assert first.status == 0 and first.json["steps"] == 1
    assert "--resume" in refused("train", recipe, "--out", out, "--device", "cpu")
    second = run("train", recipe, "--out", out, "--resume", "--device", "cpu")
    assert second.status == 0 and "scenekit evaluate --model" in second.out
    assert len((out / "log.jsonl").read_text().splitlines()) == 2
    measured = run("evaluate", "--model", out / "model", "--limit", "1", "--option", "cache=false", "--json")
    assert "AP" in measured.json["detection"]


def test_refusals(refused, recipe, tmp_path) -> None:
    out = ("--out", tmp_path / "run")
    assert "no such recipe" in refused("train", tmp_path / "none.yaml")
    assert "did you mean 'steps'?" in refused("train", recipe, *out, "--set", "train.step=3")
    assert "train.steps" in refused("train", recipe, *out, "--set", "train.steps=few")
    assert "unknown device" in refused("train", recipe, *out, "--device", "gpu")
    assert "did you mean 'masks'?" in refused("train", recipe, *out, "--set", "model.tasks.maks={}", "--device", "cpu")
    assert not (tmp_path / "run").exists()
