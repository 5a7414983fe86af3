"""Names behind the labels."""

import json

import pytest

from scenekit.errors import InputError
from scenekit.structures import Skeleton, Vocabulary
from tests.structures import worlds

PAIR = Skeleton(("a", "b"), mirror=(("a", "b"),))


def test_labels_are_things_then_stuff() -> None:
    vocabulary = worlds.VOCABULARY
    assert vocabulary.labels == ("person", "chair", "floor") and vocabulary.label("floor") == 2
    assert vocabulary.things_with_skeleton == (0,)
    assert vocabulary.flipped("predicates").order == (1, 0, 2)
    assert vocabulary.skeleton is not None and vocabulary.skeleton.mirror_order == (0, 2, 1)
    with pytest.raises(InputError, match="unknown label 'flor'; did you mean 'floor'"):
        vocabulary.label("flor")


def test_json_and_back() -> None:
    data = worlds.VOCABULARY.to_json()
    assert data == json.loads(json.dumps(data))
    assert Vocabulary.from_json(data) == worlds.VOCABULARY


def test_merging_by_name() -> None:
    other = Vocabulary(("chair", "dog"), ("sky", "floor"), ("on", "under"), skeletons={"dog": PAIR})
    merged = worlds.VOCABULARY.merged(other)
    assert merged.things == ("person", "chair", "dog") and merged.stuff == ("floor", "sky")
    assert merged.predicates == ("left of", "right of", "on", "under")
    assert set(merged.skeletons) == {"person", "dog"}
    assert merged.skeleton is not None
    assert merged.skeleton.points == tuple(dict.fromkeys(merged.skeletons["person"].points + PAIR.points))


def test_points_of_things_with_skeletons_of_their_own() -> None:
    face = Skeleton(
        ("nose", "left_eye", "right_eye"), (("nose", "left_eye"),), (("left_eye", "right_eye"),), (0.1, 0.2, 0.2)
    )
    leg = Skeleton(("hoof", "nose"), (("hoof", "nose"),), (), (0.3, 0.1))
    vocabulary = Vocabulary(("man", "stone", "horse"), skeletons={"horse": leg, "man": face})
    union = vocabulary.skeleton
    assert union == Skeleton(
        ("nose", "left_eye", "right_eye", "hoof"), face.edges + leg.edges, face.mirror, (0.1, 0.2, 0.2, 0.3)
    )
    assert [vocabulary.points_of(name) for name in vocabulary.things] == [(0, 1, 2), (), (3, 0)]
    assert union.mirror_order == (0, 2, 1, 3)


def test_points_of_one_name_must_agree() -> None:
    one = Skeleton(("nose", "tail"), sigmas=(0.1, 0.2), mirror=(("nose", "tail"),))
    for other, message in (
        (Skeleton(("nose",), sigmas=(0.3,)), "'nose' has the sigma 0.1 in one skeleton and 0.3 in another"),
        (Skeleton(("nose", "ear"), mirror=(("nose", "ear"),)), "'nose' has the mirror point 'tail' in one skeleton"),
    ):
        with pytest.raises(InputError, match=message):
            _ = Vocabulary(("a", "b"), skeletons={"a": one, "b": other}).skeleton
    without = Vocabulary(("a", "b"), skeletons={"a": one, "b": Skeleton(("ear",))})
    assert without.skeleton is not None and without.skeleton.sigmas == ()


def test_contradicting_vocabularies_do_not_merge() -> None:
    with pytest.raises(InputError, match=r"\['floor'\] are things in one vocabulary and stuff in the other"):
        worlds.VOCABULARY.merged(Vocabulary(("floor",)))
    with pytest.raises(InputError, match="'person' has another skeleton in each vocabulary"):
        worlds.VOCABULARY.merged(Vocabulary(("person",), skeletons={"person": PAIR}))


def test_names_must_be_known_and_unique() -> None:
    with pytest.raises(InputError, match=r"labels of a vocabulary must be unique, got \['a'\]"):
        Vocabulary(("a",), ("a",))
    with pytest.raises(InputError, match="mirror predicates of a vocabulary name 'right of'"):
        Vocabulary(("a",), predicates=("left of",), mirror_predicates=(("left of", "right of"),))
    with pytest.raises(InputError, match=r"mirror_words of a vocabulary must be pairs of names .*, got \('left', ''\)"):
        Vocabulary(("a",), mirror_words=(("left", ""),))
    with pytest.raises(InputError, match="skeletons of a vocabulary name 'b'"):
        Vocabulary(("a",), skeletons={"b": PAIR})
    with pytest.raises(InputError, match="mirror pairs of a skeleton name 'c'"):
        Skeleton(("a", "b"), mirror=(("a", "c"),))
    with pytest.raises(InputError, match="2 points needs as many sigmas, got 1"):
        Skeleton(("a", "b"), sigmas=(0.1,))


def test_symmetry_about_the_height_axis() -> None:
    cans = Vocabulary(("can", "box", "car"), symmetry={"can": 0, "box": 2})
    assert Vocabulary.from_json(json.loads(json.dumps(cans.to_json()))) == cans
    assert Vocabulary.from_json({"things": ["can"]}).symmetry == {}
    merged = cans.merged(Vocabulary(("box", "tile"), symmetry={"tile": 4}))
    assert merged.symmetry == {"can": 0, "box": 2, "tile": 4}
    with pytest.raises(InputError, match="'box' has another symmetry in each vocabulary"):
        cans.merged(Vocabulary(("box",), symmetry={"box": 4}))
    with pytest.raises(InputError, match="the symmetry of a vocabulary name 'van'; did you mean 'can'"):
        Vocabulary(("can",), symmetry={"van": 0})
    with pytest.raises(InputError, match=r"rotations by 360 / n degrees\); got \{'can': -1\}"):
        Vocabulary(("can",), symmetry={"can": -1})
