"""`scenekit labels`: a file proposed, kept and shown; every mistake is one line before a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scenekit.recipe import LabelSpace
from tests.data.labels import coco_files


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of two data sets whose names differ."""
    eyes = {"keypoints": ["left_eye"], "skeleton": []}
    first = coco_files.write(tmp_path / "a", ["person", "cup"], eyes)
    second = coco_files.write(tmp_path / "b", ["man", "person", "Cups", "bat"], predicates=["ON"])
    third = coco_files.write(tmp_path / "c", ["bat"])
    path = tmp_path / "recipe.yaml"
    lines = [
        f"    - {{name: coco, labels: {name}, options: {{annotations: {file}}}}}\n"
        for name, file in (("a", first), ("b", second), ("c", third))
    ]
    path.write_text(f"model: {{tasks: {{}}}}\ndata:\n  train:\n{''.join(lines)}")
    return path


def test_merge_show_and_merge_again(run, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "labels.yaml"
    result = run("labels", "merge", recipe, "-o", out)
    assert result.status == 0 and f"wrote {out}: 3 things, 1 predicates, 1 points, 3 data sets" in result.out
    assert "to be answered in the file: data.c.rename.bat" in result.out
    space = LabelSpace.load(out)
    assert space.data["b"].rename == {"man": "person", "Cups": "cup"} and space.data["c"].rename == {"bat": "ask"}
    text = out.read_text().replace("bat: ask", "bat: null")
    out.write_text(text)
    again = run("labels", "merge", recipe, "-o", out, "--json").json
    assert again == {
        **{"file": str(out), "changed": False, "things": 3, "stuff": 0, "predicates": 1, "attributes": 0, "points": 1},
        **{"data sets": 3, "questions": []},
    }
    assert out.read_text() == text
    shown = run("labels", "show", out)
    assert shown.status == 0 and "man, person" in shown.out and "no class in c: bat" in shown.out
    told = run("labels", "show", out, "--json").json
    assert told["lists"]["things"]["person"] == {"a": {"names": ["person"]}, "b": {"names": ["man", "person"]}}
    assert told["nothing"] == {"c": ["bat"]} and told["data"] == ["a", "b", "c"]


def test_show_of_a_recipe(run, recipe: Path, tmp_path: Path) -> None:
    joined = run("labels", "show", recipe, "--json").json  # by name alone
    assert joined["lists"]["things"]["Cups"] == {"b": {"names": ["Cups"]}} and len(joined["lists"]["things"]) == 5
    recipe.write_text(
        recipe.read_text().replace("labels: b,", "labels: b, rename: {man: person, Cups: cup, bat: null},")
    )
    renamed = run("labels", "show", recipe, "--json").json
    assert renamed["lists"]["things"]["cup"] == {"a": {"names": ["cup"]}, "b": {"names": ["Cups"]}}
    assert renamed["nothing"] == {"b": ["bat"]}
    run("labels", "merge", recipe, "-o", tmp_path / "labels.yaml")
    (tmp_path / "labels.yaml").write_text((tmp_path / "labels.yaml").read_text().replace("bat: ask", "bat: bat"))
    without = recipe.read_text().replace(", rename: {man: person, Cups: cup, bat: null}", "")
    recipe.write_text(f"{without}  labels: {tmp_path}/labels.yaml\n")
    told = run("labels", "show", recipe, "--json").json
    assert told["lists"]["things"]["bat"] == {"b": {"names": ["bat"]}, "c": {"names": ["bat"]}}


def test_data_sets_by_name(run, tmp_path: Path) -> None:
    first = coco_files.write(tmp_path / "a", ["sofa"])
    second = coco_files.write(tmp_path / "b", ["couch"])
    sets = ["coco", f"annotations={first}", "labels=mine", "coco", "split=val", f"annotations={second}"]
    result = run("labels", "merge", *sets)
    space = LabelSpace.parse(yaml.safe_load(result.out))
    assert space.things == ("couch",) and space.data["mine"].rename == {"sofa": "couch"}
    assert list(space.data) == ["mine", "coco"]


def test_mistakes(refused, recipe: Path, tmp_path: Path) -> None:
    assert "unknown dataset 'cocoo'; did you mean 'coco'?" in refused("labels", "merge", "cocoo")
    assert "an option of no data set" in refused("labels", "merge", "root=/x", "coco")
    assert "no such recipe" in refused("labels", "merge", tmp_path / "none.yaml")
    assert "did you mean 'annotations'" in refused("labels", "merge", "coco", "anotations=/x")
    assert "no such file" in refused("labels", "show", tmp_path / "none.yaml")
    broken = tmp_path / "labels.yaml"
    for text, message in {
        "things: [a": "expected YAML",
        "- a": "expected sections such as things, stuff and data",
        "things: [a]\nthings: [b]": "the key 'things' occurs twice in line 1",
        "things: [a, a]": "'a' is named twice among the classes",
        "things: [a]\ndata: {x: {things: [b], rename: {b: c}}}": "'b' becomes 'c', which is none of the classes",
        "things: [a, b]\ndata: {x: {things: [a, b], rename: {a: b, b: a}}}": "in a circle, a -> b -> a",
    }.items():
        broken.write_text(text)
        assert message in refused("labels", "show", broken)
        assert message in refused("labels", "merge", recipe, "-o", broken)
        recipe_with = tmp_path / "with.yaml"
        recipe_with.write_text(f"{recipe.read_text()}  labels: {broken}\n")
        assert message in refused("train", recipe_with, "--out", tmp_path / "run")
    broken.write_text("things: [a]\ndata: {a: {things: [x], rename: {x: ask}}, b: {things: [a]}, c: {}}")
    assert "not answered yet: data.a.rename.x" in refused("train", recipe_with, "--out", tmp_path / "run")
    broken.write_text("things: [a]\ndata: {a: {}, b: {}}")
    assert "data has no data set 'c'" in refused("train", recipe_with, "--out", tmp_path / "run")
    broken.write_text("things: [a]\ndata: {a: {}, b: {}, c: {}}")
    assert "does not know classes of 'a': 'person', 'cup'" in refused("train", recipe_with, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_may_name_the_file_that_is_to_be_made(run, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.yaml"
    recipe.write_text(f"{recipe.read_text()}  labels: {out}\n")
    assert run("labels", "merge", recipe, "-o", out).status == 0
    out.write_text("things: [person]\ndata: {a: {things: [person]}}\n")  # lacks names and data sets
    assert run("labels", "merge", recipe, "-o", out).status == 0
    assert LabelSpace.load(out).things == ("person", "cup", "bat")
