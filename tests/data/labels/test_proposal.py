"""Proposals of label spaces: what is joined, what stays apart, and that edits of people stay."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

import scenekit_datasets.visual_genome
from scenekit.data.labels.meaning import NAMES, Lists, Meanings, key_of, meanings, singular
from scenekit.data.labels.proposal import propose
from scenekit.data.labels.text import written
from scenekit.io.yaml_text import load_yaml
from scenekit.recipe import LabelSpace
from scenekit.structures.vocabulary import Skeleton, Vocabulary


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("TV Monitor", "tv-monitor", "tv_monitor", "tvmonitor", "TVMonitor", "Television"), "labels"),
        (("person", "Persons", "people", "Pedestrian"), "labels"),
        (("diningtable", "dining table", "Dining_Tables"), "labels"),
        (("tree", "tree-merged", "Trees"), "labels"),
        (("wall", "wall-other-merged"), "labels"),
        (("car", "car_(automobile)", "Cars"), "labels"),
        (("building", "building, edifice"), "labels"),
        (("shelf", "shelves"), "labels"),
        (("knife", "knives", "Knife"), "labels"),
        (("bus", "buses", "bus_(vehicle)"), "labels"),
        (("on", "ON"), "predicates"),
        (("to the left of", "left of"), "predicates"),
        (("grey", "Gray"), "attributes"),
        (("left_eye", "left eye", "Left-Eye"), "points"),
    ],
)
def test_names_of_one_meaning(names: tuple[str, ...], kind: str) -> None:
    assert len({meanings().of(name, kind) for name in names}) == 1


def test_names_of_different_meanings() -> None:
    names = ("glass", "glasses", "wine glass", "bus", "grass", "gas", "table", "dining table", "cup", "mug", "pants")
    assert len({meanings().of(name) for name in names}) == len(names)
    assert meanings().of("ties", "predicates") != meanings().of("tie", "predicates")  # verbs have no plural
    assert [singular(word) for word in ("batteries", "boxes", "dishes", "glass", "bus")] == [
        *("battery", "box", "dish", "glass", "bus")
    ]


def test_the_reviewed_list_does_not_contradict_itself() -> None:
    content = load_yaml(NAMES.read_text(), str(NAMES), names=True)
    lists = Lists.model_validate(content)
    for kind, groups in lists.groups.items():
        keys = [key_of(name, kind) for group in groups for name in group]
        assert len(set(keys)) == len(keys), [key for key in keys if keys.count(key) > 1]
    words = meanings()
    for broader, narrower in [*words.merge.items(), *words.finer.items()]:
        assert broader not in narrower
    pairs = {(b, n) for b, below in words.finer.items() for n in below}
    assert not {(a, b) for a, b in pairs if (b, a) in pairs}
    assert not {narrower for below in words.merge.values() for narrower in below} & words.merge.keys()


COCO = Vocabulary(
    ("person", "bicycle", "airplane", "cup", "dining table", "skis", "mouse"),
    ("curtain", "tree-merged", "sky-other-merged", "floor-wood"),
    skeletons={"person": Skeleton(("left_eye", "right_eye"))},
)
FREE_TEXT = Vocabulary(
    ("man", "people", "person", "woman", "bike", "plane", "curtain", "tree", "table", "desk", "ski"),
    predicates=("ON", "wears", "wearing"),
    attributes=("grey",),
)
ROAD = Vocabulary(("Car", "Pedestrian", "Mouse"))
SCENES = Vocabulary(
    ("person", "mug"),
    ("sky", "floor"),
    ("on", "inside"),
    ("gray",),
    skeletons={"person": Skeleton(("left eye", "right eye"))},
    lists={"acme.grips": ("fist",)},
)
SETS = {"coco": COCO, "free": FREE_TEXT, "road": ROAD, "scenes": SCENES}


def test_what_is_joined_and_what_is_not() -> None:
    space = propose(SETS).space
    assert space.data["free"].rename == {
        "man": "person",
        "people": "person",
        "woman": "person",
        "bike": "bicycle",
        "plane": "airplane",
        "table": ("table", "dining table"),  # a desk is another class there
        "ski": "skis",
        "predicates": {"ON": "on", "wears": "wearing"},
        "attributes": {"grey": "gray"},
    }
    assert space.data["coco"].rename == {
        "cup": ("cup", "mug"),  # mugs are cups there
        "curtain": "curtain-stuff",  # things elsewhere
        "sky-other-merged": "sky",
    }
    assert space.data["road"].rename == {"Pedestrian": "person", "Mouse": "ask"}
    assert space.data["scenes"].rename == {"points": {"left eye": "left_eye", "right eye": "right_eye"}}
    assert space.questions == ("data.road.rename.Mouse",)
    assert space.stuff == ("curtain-stuff", "tree-merged", "sky", "floor-wood", "floor")
    assert space.things == (
        *("person", "bicycle", "airplane", "cup", "dining table", "skis", "mouse", "curtain", "tree", "table", "desk"),
        *("Car", "mug"),
    )
    assert space.lists == {"acme.grips": ("fist",)} and space.predicates == ("on", "wearing", "inside")


def test_a_narrower_name_alone_stays_a_class() -> None:
    """Those of the data set that are no man have no label there: `person` would be wrong background."""
    space = propose({"a": Vocabulary(("man",)), "b": Vocabulary(("person", "man"))}).space
    assert space.things == ("man", "person") and space.data["a"].rename == {} == space.data["b"].rename
    both = propose({"b": Vocabulary(("person", "man"))}).space
    assert both.data["b"].rename == {"man": "person"}
    later = propose({"a": Vocabulary(("man",))}, both).space
    assert later.things == ("person", "man") and later.data["a"].rename == {}


def test_the_answer_may_be_one_kind() -> None:
    thing, stuff, asked = (propose(SETS, kinds=kind).space for kind in ("thing", "stuff", "ask"))
    assert {"curtain", "tree"} <= set(thing.things) and not {"curtain", "tree-merged"} & set(thing.stuff)
    assert thing.data["coco"].targets["labels"]["tree-merged"] == "tree"
    assert {"curtain", "tree"} <= set(stuff.stuff) and not {"curtain", "tree"} & set(stuff.things)
    assert asked.kinds == {"curtain": "ask", "tree": "ask"} and "kinds.tree" in asked.questions
    answered = LabelSpace.model_validate({**asked.model_dump(), "kinds": {"curtain": "thing", "tree": "stuff"}})
    assert propose(SETS, answered).space == answered


@pytest.mark.parametrize("kinds", ["split", "thing", "stuff", "ask"])
def test_merging_again_changes_nothing(kinds: str) -> None:
    first = propose(SETS, kinds=kinds)  # type: ignore[arg-type]
    again = propose(SETS, first.space, kinds=kinds)  # type: ignore[arg-type]
    assert again.space == first.space and not again.reasons


def test_edits_stay_and_new_names_join_them() -> None:
    space = propose({"free": FREE_TEXT}).space
    content = space.model_dump()
    content["things"] = ["human", *(name for name in space.things if name not in ("person", "bike"))]
    content["data"]["free"]["rename"] |= dict.fromkeys(("man", "woman", "people", "person"), "human")
    content["data"]["free"]["rename"]["bike"] = None
    edited = LabelSpace.model_validate(content)
    space = propose({"coco": COCO, "road": ROAD}, edited).space
    assert all(space.data["free"].rename[name] == to for name, to in edited.data["free"].rename.items())
    assert space.things[: len(edited.things)] == edited.things
    assert space.data["coco"].rename["person"] == "human" == space.data["road"].rename["Pedestrian"]
    assert "bicycle" in space.things and space.data["free"].rename["bike"] is None
    assert space.data["free"].rename["table"] == ("table", "dining table")  # a class that is new


@pytest.mark.parametrize("pair", list(combinations(SETS, 2)))
def test_any_two_join(pair: tuple[str, str]) -> None:
    first, second = pair
    assert propose({name: SETS[name] for name in pair}).space == LabelSpace.model_validate(
        propose({first: SETS[first], second: SETS[second]}).space.model_dump()
    )
    step = propose({second: SETS[second]}, propose({first: SETS[first]}).space).space
    for name in pair:
        known = step.data[name].targets["labels"]
        assert set(known) == set(SETS[name].labels)


def test_other_lists_of_names() -> None:
    words = Meanings(Lists(same=(("cat", "kitty"),), ask=("bat",)))
    space = propose({"a": Vocabulary(("kitty", "bat")), "b": Vocabulary(("Cat", "bat"))}, words=words).space
    assert space.things == ("Cat", "bat") and space.data["a"].rename == {"kitty": "Cat"}
    assert space.data["b"].rename == {"bat": "ask"}


def parsed(text: str) -> LabelSpace:
    return LabelSpace.parse(load_yaml(text, "labels.yaml", names=True), "labels.yaml")


def test_the_text_says_what_the_label_space_says() -> None:
    proposal = propose(SETS)
    text = written(proposal.space, proposal.reasons)
    assert parsed(text) == proposal.space and max(map(len, text.splitlines())) <= 120
    lines = [line.strip() for line in text.splitlines()]
    assert "man: person  # a kind of person" in lines and "cup: [cup, mug]  # may be any of these" in lines
    assert "curtain: curtain-stuff  # stuff here, a thing elsewhere" in lines and "plane: airplane  # synonym" in lines
    assert any(line.startswith("Mouse: ask  # is it that of coco?") for line in lines)
    assert written(proposal.space, {}, text) == text


def test_comments_of_people_stay() -> None:
    proposal = propose({"free": FREE_TEXT})
    text = written(proposal.space, proposal.reasons)
    edited = text.replace(
        "\n      man: person  # a kind of person", "\n      # all of them\n      man: person  # checked by A."
    )
    edited = edited.replace("desk, ", "desk,  # also tables\n  ", 1).replace("data:\n", "# the data\ndata:  # sets\n")
    assert edited.count("#") == text.count("#") + 4
    more = propose(SETS, parsed(edited))
    again = written(more.space, more.reasons, edited)
    assert parsed(again) == more.space
    for comment in (
        "# all of them\n      man: person  # checked by A.\n",
        "# also tables\n",
        "# the data\ndata:  # sets\n",
    ):
        assert comment in again
    assert again.startswith(text.partition("\n\n")[0]) and written(more.space, {}, again) == again


def test_names_that_yaml_reads_as_something_else() -> None:
    strange = Vocabulary(("on", "no", "1", "a, b", "x: y", "# z", "null", "~", "é", "it's", "[a]"))
    proposal = propose({"odd": strange, "empty": Vocabulary(())})
    assert parsed(written(proposal.space, proposal.reasons)).data["odd"].things == strange.things


def test_vg150_with_coco_panoptic(samples: Path) -> None:
    """Today's clash: eleven names are things in one and stuff in the other."""
    folder = Path(scenekit_datasets.visual_genome.__file__).parent
    names = json.loads((folder / "vg150.json").read_text())
    categories = json.loads((samples / "coco_panoptic_NC" / "panoptic_coco_categories.json").read_text())
    things, stuff = ([c["name"] for c in categories if c["isthing"] is kind] for kind in (1, 0))
    both = {
        "coco": Vocabulary(tuple(things), tuple(stuff)),
        "vg": Vocabulary(tuple(names["objects"]), (), tuple(names["predicates"]), tuple(names["attributes"])),
    }
    space = propose(both).space
    assert space.questions == () and space.things[:80] == tuple(things)
    split = [name for name in space.stuff if name.endswith("-stuff") and name not in stuff]
    assert len(split) == 11 and "counter-stuff" in split
    merged = [name for name, target in space.data["vg"].rename.items() if target == "person"]
    assert {"man", "woman", "boy", "girl", "men", "people", "lady", "guy", "kid", "child"} <= set(merged)
