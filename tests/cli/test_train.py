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
    assert "has no data.val" in refused("evaluate", "--model", out / "model")
    data = ("--data", "synthetic", "--option", "cache=false", "--option", "size=[64, 96]")
    measured = run("evaluate", "--model", out / "model", "--limit", "1", *data, "--json")
    assert "AP" in measured.json["detection"] and "evaluating on" not in measured.err


def test_a_run_is_measured_on_the_val_data_of_its_recipe(run, recipe, tmp_path) -> None:
    """Two images, a number that no default would give; a split and options may be changed."""
    scenes = {"name": "synthetic", "split": "test", "options": {"size": [64, 96], "cache": False, "length": 2}}
    content = yaml.safe_load(recipe.read_text())
    content["data"]["val"] = scenes
    recipe.write_text(yaml.safe_dump(content))
    out = tmp_path / "run"
    trained = run("train", recipe, "--out", out, "--set", "train.steps=1", "--device", "cpu")
    assert trained.out.endswith(f"scenekit evaluate --model {out / 'model'}\n")
    for model in (out / "model", out / "checkpoints" / "step_00000001"):
        measured = run("evaluate", "--model", model, "--tasks", "semantic", "--json")
        assert "evaluating on synthetic/test" in measured.err and str(out / "recipe.yaml") in measured.err
    data = ("--data", "synthetic", "--split", "test", "--option", "size=[64, 96]", "--option", "length=2")
    expected = run("evaluate", "--model", out / "model", "--tasks", "semantic", *data, "--option", "cache=no", "--json")
    assert measured.json == expected.json
    assert "synthetic/val" in run("evaluate", "--model", model, "--tasks", "semantic", "--split", "val").err


def test_a_task_is_added_to_a_model(run, refused, recipe, tmp_path) -> None:
    alone = ("--set", "model.tasks={semantic: {channels: 8, norm_groups: 2}}", "--set", "train.steps=1")
    run("train", recipe, "--out", tmp_path / "run", *alone, "--device", "cpu")
    adding = ("--add-task", "masks", "--to", tmp_path / "run" / "model", "--device", "cpu")
    out = ("--out", tmp_path / "more")
    assert run("train", recipe, *out, *adding, "--set", "train.steps=1").status == 0
    assert run("train", recipe, *out, *adding, "--resume", "--json").json["steps"] == 2
    written = yaml.safe_load((tmp_path / "more" / "recipe.yaml").read_text())
    assert list(written["model"]["tasks"]) == ["semantic", "masks"] and written["vocabulary"] == "init"
    assert written["train"]["freeze"] == ["backbone", "rpn", "proposals", "detection", "semantic"]
    other = ("--out", tmp_path / "other", *adding)
    assert "no task or stage 'semantik'" in refused("train", recipe, *other, "--freeze", "trunk, semantik")
    assert "belong together" in refused("train", recipe, "--add-task", "masks")
    assert "belong together" in refused("train", recipe, "--freeze", "trunk")
    assert "has the task 'semantic' already" in refused("train", recipe, "--add-task", "semantic", *adding[2:])


def test_refusals(refused, recipe, tmp_path) -> None:
    out = ("--out", tmp_path / "run")
    assert "no such recipe" in refused("train", tmp_path / "none.yaml")
    assert "did you mean 'steps'?" in refused("train", recipe, *out, "--set", "train.step=3")
    assert "train.steps" in refused("train", recipe, *out, "--set", "train.steps=few")
    assert "unknown device" in refused("train", recipe, *out, "--device", "gpu")
    assert "did you mean 'masks'?" in refused("train", recipe, *out, "--set", "model.tasks.maks={}", "--device", "cpu")
    assert not (tmp_path / "run").exists()
