"""Label files: what they say, and that each contradiction is one clear line before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scenekit.errors import InputError
from scenekit.recipe import LabelSpace, Recipe
from scenekit.recipe.label_space import plain_space
from scenekit.recipe.renaming import circle_in, first_of, followed, others_of, targets_of

GOOD = """
things: [person, cup, mug, bicycle]
stuff: [sky]
predicates: [on, no]
data:
  coco:
    things: [person, cup]
    stuff: [sky]
    rename: {cup: [cup, mug]}
  visual_genome:
    things: [man, woman, bike, mug, 1]
    predicates: [ON, no]
    rename:
      man: person
      woman: person
      bike: bicycle
      1: null
      predicates: {ON: on}
"""


def recipe(tmp_path: Path, text: str = GOOD, **data: Any) -> Recipe:
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    entries = [{"name": "coco"}, {"name": "visual_genome"}]
    return Recipe.parse({"data": {"train": entries, "labels": str(path), **data}}, "r.yaml")


def test_what_a_file_says(tmp_path: Path) -> None:
    space = recipe(tmp_path).data.label_space
    assert space is not None and space.questions == ()
    assert space.vocabulary.by_list["labels"] == ("person", "cup", "mug", "bicycle", "sky")
    assert space.data["coco"].targets["labels"] == {"person": "person", "cup": ("cup", "mug"), "sky": "sky"}
    named = space.data["visual_genome"].targets
    assert named["labels"] == {"man": "person", "woman": "person", "bike": "bicycle", "mug": "mug", "1": None}
    assert named["predicates"] == {"ON": "on", "no": "no"}  # names, not what YAML makes of them
    assert LabelSpace.parse(plain_space(space)) == space


def test_the_content_in_a_recipe_says_the_same(tmp_path: Path) -> None:
    space = LabelSpace.load(tmp_path / "labels.yaml") if recipe(tmp_path) else None
    again = Recipe.parse(Recipe.parse({"data": {"train": [{"name": "coco"}], "labels": space}}).model_dump(mode="json"))
    assert again.data.labels == space and again.data.label_space is again.data.labels


def test_answers_put_a_class_in_its_place() -> None:
    space = LabelSpace.parse({"things": ["cup"], "stuff": ["sky"], "kinds": {"tree": "thing", "snow": "stuff"}})
    assert space.vocabulary.things == ("cup", "tree") and space.vocabulary.stuff == ("sky", "snow")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("person, cup,", "person, cup, person,", "'person' is named twice among the classes; leave one of them out"),
        ("stuff: [sky]\npred", "stuff: [cup]\npred", "'cup' is among the things and the stuff; a class is one"),
        ("[ON, no]", "[ON, no, ON]", "data.visual_genome: 'ON' is named twice among the predicates"),
        ("man: person", "man: person\n      man: mug", "the key 'man' occurs twice in line 1"),
        ("cup: [cup, mug]", "cup: [cup, cup]", "'cup': expected different classes"),
        (
            "man: person",
            "man: persn",
            "'man' becomes 'persn', which is none of the classes of the label space; did you ",
        ),
        (
            "ON: on",
            "ON: onn",
            "'ON' becomes 'onn', which is none of the predicates of the label space; did you mean 'on'?",
        ),
        ("[cup, mug]}", "[cup, mugs]}", "'cup' becomes 'mugs', which is none of the classes"),
        (
            "bike: bicycle",
            "",
            "'bike' is not renamed and keeps its name, which is none of the classes of the label space",
        ),
        ("bike: bicycle", "bik: bicycle", "rename: 'bik' is none of its classes; did you mean 'bike'?"),
        (
            "person\n      woman: person",
            "woman\n      woman: man",
            "in a circle, man -> woman -> man; let one of them stay",
        ),
        (
            "bike: bicycle",
            "bike: ask",
            "not answered yet: data.visual_genome.rename.bike; write the answer in the place",
        ),
        ("ON: on", "ON: ask", "not answered yet: data.visual_genome.rename.predicates.ON"),
        ("things: [person", "kinds: {tree: ask}\nthings: [person", "not answered yet: kinds.tree"),
        ("rename: {cup", "renam: {cup", "unknown key 'data.coco.renam'; did you mean 'rename'?"),
        ("predicates: [on, no]\n", "predicates: {on: no}\n", "'predicates': input should be a list"),
        (
            "things: [person",
            "things: [null, person",
            "'things.0': expected a name as text, in quotes if need be, got None",
        ),
        (
            "    rename: {cup: [cup, mug]}",
            "    rename: {cup: {a: b}}",
            "rename: 'cup' names no list; expected a class, or",
        ),
        ("  coco:", "  kitti: [a]\n  coco:", "'data.kitti': input should be a section of names with values"),
        ("data:", "data", "expected YAML"),
        ("  visual_genome:", "  visual_genom:", "data has no data set 'visual_genome'"),
        ("  visual_genome:", "  visual_genom:", "; did you mean 'visual_genom'?"),
    ],
)
def test_contradictions_are_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        recipe(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(caught.value) and "labels.yaml: " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"val": {"name": "kitti"}}, "data has no data set 'kitti'"),
        ({"train": [{"name": "coco", "rename": {"a": "b"}}]}, "'coco' has `rename` beside the label file"),
        ({"labels": "none.yaml"}, "no such file: none.yaml"),
        ({"labels": 3}, "expected the path of a label file, got 3"),
        ({"labels": {"data": {"coco": {"things": ["b"]}}}}, "'data.labels': the label space: data.coco: 'b' is not"),
        ({"labels": {"data": {"coco": {"things": [True]}}}}, "write this name in quotes"),
    ],
)
def test_a_recipe_that_does_not_fit(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe(tmp_path, **data)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_another_section_may_serve(tmp_path: Path) -> None:
    changed = recipe(tmp_path, train=[{"name": "kitti", "labels": "coco"}], val={"name": "coco"})
    assert [entry.section for entry in changed.data.entries] == ["coco", "coco"]


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"a": "b", "b": "a"}, "'data.train.0.rename': the names become each other in a circle, a -> b -> a"),
        ({"predicates": {"a": "b", "b": "c", "c": "a"}}, "a -> b -> c -> a"),
        ({True: "b"}, "write this name in quotes"),
        ({"on": False}, "'on': YAML reads on, off, yes and no as true or false"),
        ({"a": 3}, "'a': expected a name as text"),
        ({"a": []}, "'a': expected different classes"),
        ({"a": {"b": {"c": "d"}}}, "'a': expected names and what they become"),
        (["a"], "input should be a section of names with values"),
    ],
)
def test_renaming_that_cannot_be(rename: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe.parse({"data": {"train": [{"name": "coco", "rename": rename}]}})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_how_renaming_is_read() -> None:
    targets = targets_of({"man": "guy", "guy": "person", "cup": ("cup", "mug"), "predicates": {"ON": "on"}})
    assert targets["predicates"] == {"ON": "on"} and circle_in(targets["labels"]) is None
    assert followed(targets["labels"])["man"] == "person"  # what a name becomes is renamed, too
    assert circle_in({"a": "b", "b": "c", "c": "c"}) is None and circle_in({"x": "a", "a": "b", "b": "a"}) is not None
    assert (first_of(("cup", "mug")), others_of(("cup", "mug"))) == ("cup", ("mug",))
    assert (first_of((None, "mug")), others_of((None, "mug")), others_of("cup")) == (None, ("mug",), ())
