"""What names become: worked by hand."""

from __future__ import annotations

import pytest
import torch

from scenekit.structures.label_map import LabelMap, joined, translated
from scenekit.structures.vocabulary import POINTS, Skeleton, Vocabulary

OLD = Vocabulary(
    things=("man", "woman", "dog", "bike"),
    stuff=("curtain", "sky"),
    predicates=("wears", "wearing", "left of", "right of"),
    attributes=("grey", "gray", "old"),
)
NEW = Vocabulary(
    things=("bicycle", "person", "cup"),
    stuff=("sky", "curtain-stuff"),
    predicates=("wearing", "on"),
    attributes=("gray", "young", "old"),
)
NAMES: dict[str, dict[str, str | None]] = {
    "labels": {"man": "person", "woman": "person", "bike": "bicycle", "curtain": "curtain-stuff", "dog": None},
    "predicates": {"wears": "wearing"},
    "attributes": {"grey": "gray"},
}
LABELS = LabelMap(OLD, NEW, NAMES)


def test_indices_both_ways() -> None:
    assert LABELS.index("things").tolist() == [1, 1, -1, 0]
    assert LABELS.index("labels").tolist() == [1, 1, -1, 0, 4, 3]
    assert LABELS.sources("things").tolist() == [3, 0, -1] and LABELS.sources("attributes").tolist() == [0, -1, 2]
    assert LABELS.merges("things") and LABELS.merges("predicates") and not LABELS.merges("stuff")
    assert LABELS.index("lists of a plugin").tolist() == []


def test_labels_that_are_none_stay_outside() -> None:
    """-1 stays, so that unknown pixels are; what no name has stays above all names, so that checks find it."""
    found = LABELS.apply("things", torch.tensor([[0, 2], [-1, 3], [4, 6]]))
    assert found.tolist() == [[1, -1], [-1, 0], [3, 5]]
    assert LabelMap(Vocabulary(()), NEW).apply("things", torch.tensor([2])).tolist() == [5]


def test_of_attributes_that_become_one_the_one_that_holds_counts() -> None:
    nan = float("nan")
    table = torch.tensor([[0.0, 1.0, 0.0], [nan, 1.0, 1.0], [0.0, nan, nan], [0.0, 0.25, 0.5], [nan, nan, 0.0]])
    found = LABELS.held("attributes", table)
    assert found[:, 1].isnan().all()  # nothing is known of `young`
    torch.testing.assert_close(found[:, 0], torch.tensor([1.0, 1.0, nan, 0.25, nan]), equal_nan=True)
    torch.testing.assert_close(found[:, 2], table[:, 2], equal_nan=True)
    assert LABELS.held("attributes", table[:, :2]).shape == (5, 2)  # of another width: left to the checks


def test_probabilities_of_which_one_holds_are_summed() -> None:
    table = torch.tensor([[0.25, 0.5, 0.125, 0.125]])
    assert LABELS.summed("predicates", table).tolist() == [[0.75, 0.0]]


def test_the_way_back_prefers_the_same_name() -> None:
    back = LABELS.inverted
    assert (back.old, back.new) == (NEW, OLD)
    assert back.index("things").tolist() == [3, 0, -1]
    assert back.index("predicates").tolist() == [1, -1] and back.index("attributes").tolist() == [1, -1, 2]
    assert back.index("labels").tolist() == [3, 0, -1, 5, 4]


def test_covered_classes_are_what_things_become() -> None:
    assert LABELS.classes(OLD.things) == {"person", "bicycle"} and LABELS.classes(["dog"]) == frozenset()


SIDES = Skeleton(("nose", "l eye", "r eye"), (("nose", "l eye"),), (("l eye", "r eye"),), (0.1, 0.2, 0.3))
WITH_POINTS = Vocabulary(
    things=("man", "woman", "ball", "globe"),
    predicates=("west", "east"),
    skeletons={"man": SIDES, "woman": Skeleton(("nose", "chin"), sigmas=(0.1, 0.4))},
    mirror_predicates=(("west", "east"),),
    symmetry={"ball": 0, "globe": 0},
)


def test_what_belongs_to_names_goes_with_them() -> None:
    names = {
        "labels": {"man": "person", "woman": "person", "globe": "ball"},
        POINTS: {"l eye": "left_eye", "r eye": "right_eye"},
        "predicates": {"west": "left of"},
    }
    new = translated(WITH_POINTS, names)
    assert new.things == ("person", "ball") and new.symmetry == {"ball": 0}
    skeleton = new.skeletons["person"]
    assert skeleton.points == ("nose", "left_eye", "right_eye", "chin") and skeleton.edges == (("nose", "left_eye"),)
    assert skeleton.mirror == (("left_eye", "right_eye"),)
    assert skeleton.sigmas == (0.1, 0.2, 0.3, 0.4)
    assert new.mirror_predicates == (("left of", "east"),)
    assert LabelMap(WITH_POINTS, new, names).sources(POINTS).tolist() == [0, 1, 2, 3]
    assert translated(WITH_POINTS, {"labels": {"globe": "man"}}).symmetry == {"ball": 0}


def test_lists_of_a_label_space_are_those_of_the_vocabulary() -> None:
    new = translated(OLD, NAMES, {"things": ("cup", "person"), "stuff": (), "attributes": ("gray",)})
    assert (new.things, new.stuff, new.attributes) == (("cup", "person"), (), ("gray",))
    assert new.predicates == ("wearing", "left of", "right of")


def test_vocabularies_that_disagree_join_in_a_label_space() -> None:
    first = Vocabulary(("person", "cup"), skeletons={"person": Skeleton(("nose",), sigmas=(0.1,))}, symmetry={"cup": 0})
    other = Skeleton(("nose", "chin"), sigmas=(0.2, 0.3))
    second = Vocabulary(("person", "cup", "box"), skeletons={"person": other}, symmetry={"cup": 2, "box": 2})
    both = joined(first, second)
    assert both.things == ("person", "cup", "box") and both.symmetry == {"cup": 0, "box": 2}
    assert both.skeletons["person"].points == ("nose", "chin") and both.skeletons["person"].sigmas == (0.1, 0.3)
    with pytest.raises(ValueError, match="another skeleton"):
        first.merged(second)
