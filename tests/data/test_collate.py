"""Packing samples of different data sets: rows, coverage, what is labelled and what is not."""

from dataclasses import replace

import pytest
import torch

from scenekit.data.collate import collate
from scenekit.data.sample import Sample, Supervision
from scenekit.fields.semantic import IGNORE
from scenekit.keys import CAPTIONS, DEPTH, KEYPOINTS, MASKS, OBJECTS, PHRASE_CAPTIONS, PHRASES, RELATIONS, SEMANTIC
from scenekit.recipe import InputConfig
from scenekit.scene import Objects, Scene
from scenekit.structures.captions import Captions
from scenekit.structures.vocabulary import Vocabulary

from . import scenes

CONFIG = InputConfig(min_size=8, max_size=16, divisor=16)
MERGED = Vocabulary(
    things=("horse", "cat", "dog"),
    stuff=("sky", "grass"),
    predicates=("left of",),
    skeletons={"cat": scenes.EYES},
)


def horses(count: int = 1, **supervision) -> Sample:
    """A 6 x 10 image of another data set that labels nothing but boxes, and horses alone."""
    boxes = torch.tensor([[1.0, 1, 5, 5]]).repeat(count, 1)
    scene = Scene(
        (6, 10), Vocabulary(things=("horse",)), {OBJECTS: Objects(boxes, torch.zeros(count, dtype=torch.int64))}
    )
    return Sample(torch.full((3, 6, 10), 128, dtype=torch.uint8), scene, Supervision(**supervision), 0)


def packed(*samples, keys=(MASKS, KEYPOINTS, SEMANTIC)):
    return collate(samples, vocabulary=MERGED, keys=keys, config=CONFIG, seeds=list(range(len(samples))))


def test_rows_and_images():
    batch, targets = packed(scenes.sample(), horses())
    assert batch.sizes == ((8, 12), (6, 10)) and batch.padded_size == (16, 16) and batch.seeds == (0, 1)
    assert batch.cameras[0] is not None and batch.cameras[1] is None
    truth = targets.streams[OBJECTS]
    assert truth.regions.image_index.tolist() == [0, 0, 1]
    assert truth.regions.labels.tolist() == [1, 2, 0]
    assert truth.regions.boxes.tolist() == [[1, 2, 5, 6], [8, 3, 11, 8], [1, 1, 5, 5]]
    assert truth.supervised.all() and truth.exhaustive.all() and not truth.crowd.any()


def test_coverage_by_name():
    truth = packed(scenes.sample(), horses(), scenes.sample(classes=frozenset({"dog", "wolf"})))[1].streams[OBJECTS]
    assert truth.covered.tolist() == [[False, True, True], [True, False, False], [False, False, True]]
    # the third image labels a cat although it does not claim to cover cats: neither positive nor negative
    assert truth.crowd.tolist() == [False, False, False, True, False]


def test_labelled_instances_of_a_class_that_is_covered_in_part_are_positives():
    """The cat is a positive, other regions may be cats; the dog of the second image is neither."""
    both = scenes.sample(partial=frozenset({"cat"})), scenes.sample(classes=frozenset(), partial=frozenset({"cat"}))
    truth = packed(*both)[1].streams[OBJECTS]
    assert truth.covered.tolist() == [[False, False, True], [False, False, False]]
    assert truth.crowd.tolist() == [False, False, False, True]


def test_coverage_of_maps():
    """Of things and stuff: those that the data set has, or that the sample claims; a model without maps needs none."""
    _, targets = packed(scenes.sample(), horses(), scenes.sample(map_classes=frozenset({"dog", "sky"})))
    assert MERGED.labels == ("horse", "cat", "dog", "sky", "grass")
    assert targets.covered[SEMANTIC].tolist() == [
        [False, True, True, True, True],
        [True, False, False, False, False],
        [False, False, True, True, False],
    ]
    assert packed(scenes.sample(), keys=(MASKS,))[1].covered == {}
    alone = collate([scenes.sample()], vocabulary=scenes.VOCABULARY, keys=(SEMANTIC,), config=CONFIG)[1]
    assert alone.covered[SEMANTIC].all()


def test_row_values_of_unlabelled_images_are_blank():
    _, targets = packed(horses(2), scenes.sample())
    assert targets[MASKS].shape == (4, 16, 16) and targets[MASKS].dtype == torch.uint8
    assert targets.valid[MASKS].tolist() == [False, False, True, True]
    assert targets[MASKS][:2].sum() == 0
    assert torch.equal(targets[MASKS][2, :8, :12].bool(), scenes.rectangle(1, 2, 5, 6))
    assert targets.valid[KEYPOINTS].tolist() == [False, False, True, False]
    assert targets[KEYPOINTS].visibility.tolist() == [[0, 0], [0, 0], [2, 2], [0, 0]]


def test_image_values_of_unlabelled_images_are_absent():
    _, targets = packed(horses(), scenes.sample())
    assert targets.valid[SEMANTIC].tolist() == [False, True]
    assert (targets[SEMANTIC][0] == IGNORE).all()
    own = targets[SEMANTIC][1]
    assert (own[:4, :11] == MERGED.label("sky")).all() and (own[4:8, :11] == MERGED.label("grass")).all()
    assert (own[8:] == IGNORE).all() and (own[:, 11:] == IGNORE).all()


def test_labels_that_are_there_but_not_supervised_do_not_count():
    _, targets = packed(scenes.sample(keys=frozenset({MASKS})))
    assert MASKS in targets and KEYPOINTS not in targets and SEMANTIC not in targets
    assert set(targets.values) == {MASKS}


def test_only_what_is_asked_for_is_packed():
    _, targets = packed(scenes.sample(), keys=(SEMANTIC,))
    assert set(targets.values) == {SEMANTIC} and set(targets.streams) == {OBJECTS}


def test_relations_stay_with_their_image():
    _, targets = packed(horses(3), scenes.sample(), keys=(RELATIONS,))
    assert targets[RELATIONS][0] is None and targets.valid[RELATIONS].tolist() == [False, True]
    only = targets[RELATIONS][1]
    assert (only.subject.tolist(), only.object.tolist(), only.predicate.tolist()) == ([0], [1], [0])


def test_crowd_and_ignore_are_neither_positive_nor_negative():
    sample = scenes.sample()
    objects = replace(sample.scene.objects, crowd=torch.tensor([True, False]), ignore=torch.tensor([False, True]))
    sample = replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects}))
    assert packed(sample)[1].streams[OBJECTS].crowd.tolist() == [True, True]


def test_empty_boxes_are_left_out():
    sample = scenes.sample()
    objects = replace(sample.scene.objects, boxes=torch.tensor([[1.0, 2, 1, 6], [8, 3, 11, 8]]))
    _, targets = packed(replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects})))
    assert targets.streams[OBJECTS].regions.labels.tolist() == [2] and len(targets[MASKS]) == 1


def test_images_without_objects():
    batch, targets = packed(horses(0), horses(0))
    truth = targets.streams[OBJECTS]
    assert len(truth.regions) == 0 and len(truth.crowd) == 0 and truth.covered.shape == (2, 3)
    assert truth.supervised.all() and len(batch) == 2 and not targets.values


def test_images_that_say_nothing_about_objects():
    silent = horses(0, streams=frozenset(), exhaustive=frozenset({OBJECTS}))
    truth = packed(scenes.sample(), silent)[1].streams[OBJECTS]
    assert truth.supervised.tolist() == [True, False] and truth.exhaustive.tolist() == [True, False]
    assert not truth.covered[1].any()


@pytest.mark.parametrize("count", [0, 2])
def test_phrases(count):
    described = horses(
        streams=frozenset({OBJECTS, PHRASES}), exhaustive=frozenset({OBJECTS}), keys=frozenset({PHRASE_CAPTIONS})
    )
    boxes = torch.tensor([[0.0, 0, 3, 3], [2, 2, 6, 6]])[:count]
    streams = {**described.scene.streams, PHRASES: Objects(boxes, torch.zeros(count, dtype=torch.int64))}
    texts = Captions((("a horse", "an animal"), ("grass",))[:count])
    described = replace(described, scene=replace(described.scene, streams=streams, values={PHRASE_CAPTIONS: texts}))
    _, targets = packed(scenes.sample(), described, keys=(PHRASE_CAPTIONS,))
    truth = targets.streams[PHRASES]
    assert truth.regions.image_index.tolist() == [1] * count
    assert truth.supervised.tolist() == [False, True] and not truth.exhaustive.any()
    assert truth.covered.tolist() == [[False], [True]]
    assert targets[PHRASE_CAPTIONS].texts == texts.texts


def test_keys_that_nobody_supervises_are_not_there():
    _, targets = packed(scenes.sample(), keys=(CAPTIONS, DEPTH))
    assert not targets.values and CAPTIONS not in targets
