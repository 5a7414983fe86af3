"""Labels find their names again in another vocabulary."""

from dataclasses import replace

import torch

from scenekit.data.relabel import relabeled
from scenekit.keys import ATTRIBUTES, KEYPOINTS, MASKS, PANOPTIC, RELATIONS, SEMANTIC
from scenekit.structures.fields import IGNORE
from scenekit.structures.panoptic import Panoptic, Segment
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
