"""Leaving out regions keeps everything that names rows pointing at the same objects."""

from dataclasses import replace

import torch

from scenekit.data.selection import keep_regions, without_empty
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, RELATIONS, SEMANTIC
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.relations import Relations

from . import scenes


def with_panoptic(sample):
    segments = (Segment(5, 0, True, object=0), Segment(6, 1, True, object=1), Segment(7, 2, False))
    value = Panoptic(torch.full((8, 12), 7), segments)
    return replace(sample, scene=replace(sample.scene, values={**sample.scene.values, PANOPTIC: value}))


def test_first_object_gone():
    sample = with_panoptic(scenes.sample())
    kept = keep_regions(sample, OBJECTS, torch.tensor([False, True])).scene
    assert kept.names() == ["dog"]
    assert len(kept[MASKS]) == len(kept[KEYPOINTS]) == 1 and kept.valid[KEYPOINTS].tolist() == [False]
    assert len(kept[RELATIONS]) == 0
    assert [segment.object for segment in kept[PANOPTIC].segments] == [None, 0, None]
    assert SEMANTIC in kept


def test_relations_point_to_new_rows():
    sample = scenes.sample()
    scene = sample.scene.select(OBJECTS, torch.tensor([0, 1, 0]))
    relations = Relations(torch.tensor([0, 2, 1]), torch.tensor([2, 1, 0]), torch.tensor([0, 1, 2]), torch.rand(3))
    sample = replace(sample, scene=replace(scene, values={RELATIONS: relations}, valid={}))
    kept = keep_regions(sample, OBJECTS, torch.tensor([False, True, True])).scene[RELATIONS]
    assert (kept.subject.tolist(), kept.object.tolist(), kept.predicate.tolist()) == ([1], [0], [1])
    assert kept.score.tolist() == [relations.score[1].item()]


def test_empty_boxes_go_and_nothing_else():
    sample = scenes.sample()
    assert without_empty(sample, OBJECTS) is sample
    objects = replace(sample.scene.objects, boxes=torch.tensor([[1.0, 2, 1, 6], [8, 3, 11, 8]]))
    sample = replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects}))
    assert without_empty(sample, OBJECTS).scene.names() == ["dog"]
