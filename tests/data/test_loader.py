"""Batches come in one order whatever the number of workers, and faults cross from the workers in one line."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch

from scenekit.data.loader import Shard, Source, training_batches
from scenekit.data.transforms import RandomCrop, RandomFlip
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS
from scenekit.recipe import InputConfig

from . import scenes

MODEL = SimpleNamespace(
    vocabulary=scenes.VOCABULARY,
    learns_from=(KEYPOINTS,),
    inputs=(),
    config=SimpleNamespace(input=InputConfig(min_size=8, max_size=12, divisor=4)),
)


@dataclass(frozen=True)
class Farm:
    """Images whose first pixel is their number."""

    count: int = 10
    faulty: int | None = None
    vocabulary = scenes.VOCABULARY

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        sample = scenes.sample(index)
        if index == self.faulty:
            objects = replace(sample.scene.objects, boxes=torch.full((2, 4), torch.nan))
            return replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects}))
        sample.image[:, 0, 0] = index
        return sample


def load(data=None, transforms=(), start=0, stop=6, workers=0, strict=False):
    batches = training_batches(
        [Source(data or Farm(), "farm/train")],
        model=MODEL,
        transforms=transforms,
        batch_size=2,
        seed=5,
        shard=Shard(start, stop),
        workers=workers,
        strict=strict,
    )
    return list(batches)


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a.pixels, b.pixels) and a.seeds == b.seeds for (a, _), (b, _) in zip(first, second, strict=True)
    )


def test_workers_change_nothing():
    flips = [RandomFlip(0.5)]
    assert same(load(transforms=flips), load(transforms=flips, workers=2))


def test_starting_later_changes_nothing():
    flips = [RandomFlip(0.5)]
    assert same(load(transforms=flips)[4:], load(transforms=flips, start=4))


def test_global_randomness_is_left_alone():
    before = torch.random.get_rng_state()
    load(workers=1, stop=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_seeds_differ_between_images_and_epochs():
    seeds = [seed for batch, _ in load(stop=10) for seed in batch.seeds]
    assert len(set(seeds)) == 20


def test_values_that_nobody_reads_are_not_packed():
    _, targets = load(stop=1)[0]
    assert set(targets.values) == {KEYPOINTS}


def test_crops_see_masks_though_the_model_does_not():
    batches = load(transforms=[RandomCrop(1.0, 0.5)], stop=4)
    assert all(MASKS not in targets for _, targets in batches)


@pytest.mark.parametrize("workers", [0, 1])
def test_strict_names_the_image_in_one_line(workers):
    with pytest.raises(InputError, match="image 3 of farm/train") as caught:
        load(Farm(faulty=3), workers=workers, strict=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_faults_in_packing_cross_in_one_line(workers, monkeypatch):
    def refuse(*_, **__):
        raise InputError("these samples do not fit together")

    monkeypatch.setattr("scenekit.data.loader.collate", refuse)
    with pytest.raises(InputError) as caught:
        load(workers=workers)
    assert str(caught.value) == "these samples do not fit together"


def test_faulty_boxes_are_dropped_unless_strict():
    counts = [len(targets.streams[OBJECTS].regions) for _, targets in load(Farm(faulty=3), stop=5)]
    assert sorted(counts) == [2, 4, 4, 4, 4]
