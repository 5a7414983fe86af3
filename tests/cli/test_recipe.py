"""`scenekit recipe`: the whole recipe with where its values come from, and the schema for editors."""

import json

import pytest
import yaml

from scenekit.recipe import Recipe


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: {tasks: {masks: {convs: 2}}}\ndata: {train: [{name: synthetic}]}\n")
    return path


def test_show(run, recipe, tmp_path) -> None:
    result = run("recipe", "show", recipe, "--set", "train.steps=5")
    assert result.status == 0 and result.err == ""
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert {"steps: 5 # override", "convs: 2 # file", "channels: 256 # default"} <= set(lines)
    (tmp_path / "whole.yaml").write_text(result.out)
    assert Recipe.load(tmp_path / "whole.yaml").train == Recipe.load(recipe, ["train.steps=5"]).train


def test_show_as_json(run, recipe) -> None:
    told = run("recipe", "show", recipe, "--json").json
    assert told["recipe"]["model"]["tasks"]["masks"]["convs"] == 2
    assert told["origins"]["model.tasks.masks.convs"] == "file" and told["origins"]["out"] == "default"
    assert told["recipe"] == yaml.safe_load(run("recipe", "show", recipe).out)


def test_schema(run) -> None:
    told = json.loads(run("recipe", "schema").out)
    assert told["$schema"].startswith("https://json-schema.org/") and "masks" in json.dumps(told)


def test_refusals(refused, recipe, tmp_path) -> None:
    assert "no such recipe" in refused("recipe", "show", tmp_path / "none.yaml")
    assert "did you mean 'steps'?" in refused("recipe", "show", recipe, "--set", "train.step=5")
    assert "did you mean 'masks'?" in refused("recipe", "show", recipe, "--set", "model.tasks.maks={}")
