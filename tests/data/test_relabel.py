"""Labels find their names again in another vocabulary."""

import logging
from dataclasses import replace

import pytest
import torch

from scenekit.data.collate import collate
from scenekit.data.relabel import check_names, mapped, relabeled
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError, warn_once
from scenekit.fields.semantic import IGNORE
from scenekit.keys import ATTRIBUTES, KEYPOINTS, MASKS, OBJECTS, PANOPTIC, RELATIONS, SEMANTIC
from scenekit.ops.losses import covered_cross_entropy
from scenekit.recipe import InputConfig
from scenekit.structures.label_map import LabelMap
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Skeleton, Vocabulary

from . import scenes

THREE = Skeleton(("nose", "right_eye", "left_eye"), sigmas=(0.05,) * 3)
OTHER = Vocabulary(
    things=("horse", "dog", "cat"),
    stuff=("sky",),
    predicates=("on", "left of"),
    attributes=("wet", "red"),
    skeletons={"cat": THREE},
)


def test_same_vocabulary_changes_nothing():
    sample = scenes.sample()
    assert relabeled(sample, scenes.VOCABULARY) is sample


def test_everything_moves_by_name():
    scene = relabeled(scenes.sample(), OTHER).scene
    assert scene.vocabulary == OTHER and scene.names() == ["cat", "dog"]
    semantic = scene[SEMANTIC]
    assert (semantic[:4, :-1] == OTHER.label("sky")).all()
    assert (semantic[4:] == IGNORE).all() and (semantic[:, -1] == IGNORE).all()  # no word for grass
    assert scene[RELATIONS].predicate.tolist() == [1]
    assert scene[KEYPOINTS].xy[0, 1:].tolist() == [[1.5, 2.5], [4.5, 2.5]]
    assert scene[KEYPOINTS].visibility[0].tolist() == [0, 2, 2]


def test_unknown_things_leave_with_their_rows():
    only_dogs = Vocabulary(things=("dog",), predicates=("on",))
    scene = relabeled(scenes.sample(), only_dogs).scene
    assert scene.names() == ["dog"] and len(scene[MASKS]) == 1 and len(scene[RELATIONS]) == 0


def in_old_words(values, **vocabulary):
    """The sample with these values alone, in its own words but for those given."""
    sample = scenes.sample()
    words = replace(scenes.VOCABULARY, mirror_predicates=(), **vocabulary)
    return replace(sample, scene=replace(sample.scene, vocabulary=words, values=values, valid={}))


def test_relations_keep_their_probabilities_by_name():
    told = Relations(
        *torch.tensor([[0, 1], [1, 0], [0, 1]]),
        score=torch.tensor([0.9, 0.8]),
        probabilities=torch.tensor([[0.7, 0.1], [0.2, 0.6]]),
        labels=torch.tensor([0, 1]),
        label_scores=torch.tensor([0.5, 0.4]),
    )
    things, predicates = scenes.VOCABULARY.things, ("under", "left of")
    found = relabeled(in_old_words({RELATIONS: told}, predicates=predicates), OTHER).scene[RELATIONS]
    assert found.predicate.tolist() == [1] and found.score.tolist() == pytest.approx([0.8])
    assert found.probabilities.tolist() == [pytest.approx([0.0, 0.6])]  # nobody said whether one is "on" the other
    assert [OTHER.things[label] for label in found.labels] == list(things[:2])
    fewer = Vocabulary(things=things[1:], predicates=predicates)
    lost = relabeled(in_old_words({RELATIONS: replace(told, labels=torch.tensor([0, 0]))}), fewer).scene[RELATIONS]
    assert lost.labels is None and lost.label_scores is None


def test_data_without_attributes_or_predicates_say_nothing_of_them():
    values = {ATTRIBUTES: torch.zeros(2, 0), RELATIONS: Relations(*torch.zeros((3, 0), dtype=torch.int64))}
    scene = relabeled(in_old_words(values, attributes=(), predicates=()), OTHER).scene
    assert scene[ATTRIBUTES].shape == (2, len(OTHER.attributes)) and scene[ATTRIBUTES].isnan().all()
    assert len(scene[RELATIONS]) == 0


def test_attributes_the_annotator_does_not_know_are_nan():
    sample = scenes.sample()
    scene = replace(
        sample.scene,
        vocabulary=replace(scenes.VOCABULARY, attributes=("red", "old")),
        values={ATTRIBUTES: torch.tensor([[1.0, 0.0], [0.0, 1.0]])},
        valid={},
    )
    value = relabeled(replace(sample, scene=scene), OTHER).scene[ATTRIBUTES]
    assert value[:, 0].isnan().all() and value[:, 1].tolist() == [1, 0]


def test_panoptic_segments_without_a_word_become_void():
    sample = scenes.sample()
    ids = torch.tensor([[1, 2], [3, 3]]).repeat_interleave(4, 0).repeat_interleave(6, 1)
    segments = (Segment(1, 0, True, object=0), Segment(2, 3, False), Segment(3, 2, False))  # cat, sky, grass
    scene = replace(sample.scene, values={PANOPTIC: Panoptic(ids, segments)}, valid={})
    panoptic = relabeled(replace(sample, scene=scene), OTHER).scene[PANOPTIC]
    assert [(s.id, s.label) for s in panoptic.segments] == [(1, 2), (2, 3)]
    assert panoptic.ids.unique().tolist() == [0, 1, 2] and (panoptic.ids[4:] == 0).all()


def test_predicates_and_attributes_of_another_order_keep_their_meaning():
    """There and back again nothing has changed, apart from what has no word on the other side."""
    sample = scenes.sample()
    words = replace(scenes.VOCABULARY, attributes=("red", "old"))
    values = {RELATIONS: sample.scene[RELATIONS], ATTRIBUTES: torch.tensor([[1.0, 0.0], [0.0, 1.0]])}
    sample = replace(sample, scene=replace(sample.scene, vocabulary=words, values=values, valid={}))
    turned = replace(words, predicates=(*words.predicates[::-1], "new"), attributes=("old", "new", "red"))
    there = relabeled(sample, turned).scene
    assert [turned.predicates[p] for p in there[RELATIONS].predicate] == [
        words.predicates[p] for p in sample.scene[RELATIONS].predicate
    ]
    assert there[ATTRIBUTES][:, [2, 0]].tolist() == [[1.0, 0.0], [0.0, 1.0]] and there[ATTRIBUTES][:, 1].isnan().all()
    back = relabeled(replace(sample, scene=there), words).scene
    assert torch.equal(back[RELATIONS].predicate, values[RELATIONS].predicate)
    assert torch.equal(back[ATTRIBUTES], values[ATTRIBUTES])


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    warn_once.cache_clear()
    caplog.set_level(logging.WARNING)
    return caplog


def speaking(sample: Sample, vocabulary: Vocabulary) -> Sample:
    """The sample with labels for everything, in these words."""
    claims = Supervision(frozenset({RELATIONS, ATTRIBUTES, SEMANTIC}))
    return replace(sample, scene=replace(sample.scene, vocabulary=vocabulary), supervision=claims)


EVERYTHING = {OBJECTS, SEMANTIC, RELATIONS, ATTRIBUTES}


def test_words_that_one_side_lacks_are_told_once(told):
    words = Vocabulary(("cat",), ("sky",), ("on", "by"), ("red", "old"))
    others = Vocabulary(("cat",), ("sky",), ("by", "under"), ("old",))
    for _ in range(2):
        check_names(speaking(scenes.sample(), words), others, EVERYTHING)
    assert told.messages == [
        "the data set has predicates that the model lacks: 'on'; they are dropped",
        "the model has predicates that the data set lacks: 'under'; they count as missed in mean recall",
        "the data set has attributes that the model lacks: 'red'; they are dropped",
    ]


def test_strict_refuses_labels_that_get_lost_and_no_others(told):
    words = Vocabulary(tuple("abcdefg"), predicates=("on", "by"))
    sample = speaking(scenes.sample(), words)
    with pytest.raises(InputError, match="things that the model lacks: 'b', 'c', 'd', 'e', 'f' and 1 more"):
        check_names(sample, Vocabulary(("a",), predicates=("on", "by")), EVERYTHING, strict=True)
    check_names(sample, replace(words, predicates=("by", "on", "under")), EVERYTHING, strict=True)
    assert len(told.messages) == 1


def test_words_that_nobody_asks_for_are_not_told(told):
    sample = speaking(scenes.sample(), Vocabulary(("cat",), predicates=("on",), attributes=("red",)))
    check_names(sample, Vocabulary(("cat",)), {OBJECTS, SEMANTIC}, strict=True)
    silent = replace(sample, supervision=Supervision())
    check_names(silent, Vocabulary(("cat",)), EVERYTHING, strict=True)
    assert told.messages == []


PETS = Vocabulary(
    things=("animal", "ball"),
    stuff=("sky", "ground"),
    predicates=("beside",),
    skeletons={"animal": scenes.EYES},
)
TO_PETS = LabelMap(
    scenes.VOCABULARY,
    PETS,
    {
        "labels": {"cat": "animal", "dog": "animal", "grass": "ground"},
        "predicates": {"left of": "beside", "right of": "beside"},
    },
)


def test_several_names_become_one() -> None:
    sample = scenes.sample()
    both = Relations(*torch.tensor([[0, 0, 1], [1, 1, 0], [0, 1, 2]]))
    values = {**sample.scene.values, RELATIONS: both}
    scene = mapped(replace(sample, scene=replace(sample.scene, values=values)), TO_PETS).scene
    assert scene.vocabulary == PETS and scene.names() == ["animal", "animal"] and len(scene[MASKS]) == 2
    relations = scene[RELATIONS]  # left of and right of are one relation now; "on" is none
    assert torch.stack((relations.subject, relations.object, relations.predicate)).tolist() == [[0], [1], [0]]
    assert (scene[SEMANTIC][4:, :-1] == PETS.label("ground")).all() and (scene[SEMANTIC][:, -1] == IGNORE).all()
    assert torch.equal(scene[KEYPOINTS].xy, sample.scene[KEYPOINTS].xy)


def test_covered_is_what_the_covered_classes_become() -> None:
    assert mapped(scenes.sample(), TO_PETS).supervision.classes == {"animal"}  # not the ball
    assert mapped(scenes.sample(classes=frozenset()), TO_PETS).supervision.classes == frozenset()
    assert relabeled(scenes.sample(), OTHER).supervision.classes == {"cat", "dog"}  # no horse in the data


def test_alternatives_of_an_object_are_not_covered_in_its_image() -> None:
    """An animal may be a cat: where there is one, an unlabelled or other region may be one, too."""
    finer = Vocabulary(things=("cat", "dog", "animal"))
    labels = LabelMap(scenes.VOCABULARY, finer, {}, {"cat": frozenset({"dog"}), "dog": frozenset()})
    assert mapped(scenes.sample(), labels).supervision.classes == {"cat"}
    sample = scenes.sample()
    without_cat = replace(sample, scene=sample.scene.select(OBJECTS, torch.tensor([1])))
    assert mapped(without_cat, labels).supervision.classes == {"cat", "dog"}


def test_maps_cover_what_their_names_become() -> None:
    """Of things and stuff; any image may show stuff, and things where there are objects of them, or none at all."""
    finer = Vocabulary(things=("cat", "dog", "kitten"), stuff=("grass", "sky", "cloud"))
    alternatives = {"cat": frozenset({"kitten"}), "sky": frozenset({"cloud"})}
    names = {"labels": {"cat": "cat", "dog": "kitten"}}
    labels = LabelMap(scenes.VOCABULARY, finer, names, alternatives)
    sample = scenes.sample()
    assert mapped(sample, labels).supervision.map_classes == {"cat", "grass", "sky"}
    without_cat = replace(sample, scene=sample.scene.select(OBJECTS, torch.tensor([1])))
    assert mapped(without_cat, labels).supervision.map_classes == {"cat", "kitten", "grass", "sky"}
    maps_alone = replace(without_cat, supervision=replace(sample.supervision, streams=frozenset()))
    assert mapped(maps_alone, labels).supervision.map_classes == {"cat", "grass", "sky"}
    assert relabeled(sample, OTHER).supervision.map_classes == {"cat", "dog", "sky"}


def test_an_alternative_is_never_pushed_down() -> None:
    """In a batch the alternative is ignored, as an object and as background."""
    names = {"labels": {"cat": "animal", "dog": "cat"}}
    finer = Vocabulary(things=("animal", "cat", "mouse"))
    labels = LabelMap(scenes.VOCABULARY, finer, names, {"cat": frozenset({"cat"})})
    sample = mapped(scenes.sample(), labels)
    _, targets = collate([sample], vocabulary=finer, keys=[MASKS], config=InputConfig())
    truth = targets.streams[OBJECTS]
    assert truth.covered.tolist() == [[True, False, False]]
    assert truth.regions.labels.tolist() == [0, 1] and truth.crowd.tolist() == [False, True]
    logits = torch.zeros(2, 4, requires_grad=True)  # animal, cat, mouse, background
    rows = torch.tensor([0, -1])  # an animal, and background
    covered_cross_entropy(logits, rows, truth.covered.expand(2, -1)).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0], torch.tensor([-0.5, 0.0, 0.0, 0.5]))
    torch.testing.assert_close(logits.grad[1], torch.tensor([0.5, 0.0, 0.0, -0.5]))


def test_panoptic_segments_follow_the_kind_of_their_class() -> None:
    ids = torch.tensor([[1, 2], [3, 4]])
    segments = (Segment(1, 0, True, object=0), Segment(2, 1, True), Segment(3, 2, False), Segment(4, 3, False))
    names = {"labels": {"cat": "stuff", "dog": "stuff", "grass": "thing", "sky": "stuff"}}
    labels = LabelMap(scenes.VOCABULARY, Vocabulary(("thing",), ("stuff",)), names)
    panoptic = PANOPTIC.field.relabel(Panoptic(ids, segments), labels)
    assert panoptic.segments == (Segment(1, 1, False), Segment(3, 0, True, crowd=True))
    assert panoptic.ids.tolist() == [[1, 1], [3, 1]]  # stuff of one name is one segment


def test_labels_that_cannot_be_are_left_to_the_checks() -> None:
    sample = scenes.sample()
    values = {RELATIONS: Relations(*torch.tensor([[0, 1], [1, 0], [0, 9]]))}
    wrong = replace(
        sample.scene, values=values, streams={OBJECTS: replace(sample.scene.objects, labels=torch.tensor([0, 7]))}
    )
    scene = mapped(replace(sample, scene=wrong), TO_PETS).scene
    assert scene.objects.labels.tolist() == [0, 7] and scene[RELATIONS].predicate.tolist() == [0, 7]
    assert len(RELATIONS.field.validate(scene[RELATIONS], scene.frame(RELATIONS)).issues) == 1


def test_a_class_of_several_of_which_some_are_covered_is_covered_in_part():
    """Where all dogs but only some cats are annotated, an unlabelled region may be an animal."""
    animals = LabelMap(
        scenes.VOCABULARY, Vocabulary(things=("animal",)), {"labels": {"cat": "animal", "dog": "animal"}}
    )
    every, dogs, some = frozenset({"cat", "dog"}), frozenset({"dog"}), frozenset({"cat"})
    claims = {
        (every, frozenset()): ({"animal"}, set()),
        (dogs, frozenset()): (set(), {"animal"}),
        (None, some): (set(), {"animal"}),
        (frozenset(), frozenset()): (set(), set()),
    }
    for (classes, partial), expected in claims.items():
        found = mapped(scenes.sample(classes=classes, partial=partial), animals).supervision
        assert (found.classes, found.partial) == expected
