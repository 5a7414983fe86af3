"""Image and labels change together: every case worked by hand on a small scene."""

import random

import pytest
import torch

from scenekit.data.selection import without_empty
from scenekit.data.transforms import (
    ColorJitter,
    RandomCrop,
    RandomFlip,
    Resize,
    apply_all,
    augmentations,
    moved,
    rng_for,
)
from scenekit.fields.semantic import IGNORE
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, RELATIONS, SEMANTIC
from scenekit.recipe import AugmentConfig, InputConfig
from scenekit.structures.geometry import Geometry

from . import scenes


def test_flip_mirrors_everything():
    flipped = RandomFlip(1.0)(scenes.sample(), random.Random(0))
    scene = flipped.scene
    assert flipped.image[0, 0].tolist() == list(range(11, -1, -1))
    assert scene.objects.boxes.tolist() == [[7, 2, 11, 6], [1, 3, 4, 8]]
    assert torch.equal(scene[MASKS].dense[0], scenes.rectangle(7, 2, 11, 6))
    assert (scene[SEMANTIC][:, 0] == IGNORE).all()
    # The cat's own left eye was at x = 4.5; in the mirror that spot shows a right eye at 12 - 4.5.
    assert scene[KEYPOINTS].xy[0].tolist() == [[10.5, 2.5], [7.5, 2.5]]
    assert scene[RELATIONS].predicate.tolist() == [1]
    assert scene.camera.matrix[0].tolist() == [10, 0, 6]


def test_flip_twice_is_nothing():
    sample = scenes.sample()
    twice = RandomFlip(1.0)(RandomFlip(1.0)(sample, random.Random(0)), random.Random(0))
    assert torch.equal(twice.image, sample.image)
    assert torch.equal(twice.scene.objects.boxes, sample.scene.objects.boxes)
    assert torch.equal(twice.scene[KEYPOINTS].xy[0], sample.scene[KEYPOINTS].xy[0])
    assert torch.equal(twice.scene[RELATIONS].predicate, sample.scene[RELATIONS].predicate)


def test_what_cannot_be_mirrored_is_not():
    sample = scenes.sample(mirrorable=False)
    assert RandomFlip(1.0)(sample, random.Random(0)) is sample


def test_flip_probability():
    rng = random.Random(0)
    sample = scenes.sample()
    assert sum(RandomFlip(0.3)(sample, rng) is not sample for _ in range(300)) == pytest.approx(90, abs=25)


def test_resize_scales_labels():
    resized = Resize(InputConfig(min_size=16, max_size=24))(scenes.sample(), random.Random(0))
    scene = resized.scene
    assert tuple(resized.image.shape) == (3, 16, 24) and scene.size == (16, 24)
    assert scene.objects.boxes.tolist() == [[2, 4, 10, 12], [16, 6, 22, 16]]
    assert torch.equal(scene[MASKS].dense[0], scenes.rectangle(2, 4, 10, 12, (16, 24)))
    assert scene[SEMANTIC].shape == (16, 24)
    assert scene.objects.area.tolist() == [64, 60]
    assert scene.camera.matrix.tolist() == [[20, 0, 12], [0, 20, 8], [0, 0, 1]]


def test_scale_jitter_stays_in_its_range():
    jitter = Resize(InputConfig(min_size=40, max_size=60), scale=(0.5, 1.5))
    heights = {jitter(scenes.sample(), random.Random(seed)).image.shape[1] for seed in range(40)}
    assert min(heights) >= 20 and max(heights) <= 60 and len(heights) > 10


class Window(random.Random):
    """Cuts columns 4 to 9 and rows 2 to 5 out of the 8 x 12 image."""

    def uniform(self, low, high):
        return 0.5

    def randint(self, low, high):
        return {4: 2, 6: 4}[high]


def test_crop_by_hand():
    cropped = RandomCrop(1.0, 0.5)(scenes.sample(), Window())
    scene = cropped.scene
    assert cropped.image[0, 0].tolist() == [4, 5, 6, 7, 8, 9] and cropped.image[1, :, 0].tolist() == [2, 3, 4, 5]
    assert scene.objects.boxes.tolist() == [[0, 0, 1, 4], [4, 1, 6, 4]]
    assert scene.objects.area.tolist() == [4, 6]
    assert scene[MASKS].size == (4, 6) and scene[MASKS].area.tolist() == [4, 6]
    # left eye (4.5, 2.5) stays at (0.5, 0.5); the right one left the image
    assert scene[KEYPOINTS].xy[0, 0].tolist() == [0.5, 0.5]
    assert scene[KEYPOINTS].visibility[0].tolist() == [2, 0]


def test_crop_empties_what_left_and_dropping_it_keeps_pointers():
    class Right(Window):
        def randint(self, low, high):
            return high  # columns 6 to 11, rows 4 to 7: only the dog is there

    cropped = RandomCrop(1.0, 0.5)(scenes.sample(), Right())
    assert cropped.scene.objects.boxes[0].tolist() == [0, 0, 0, 0]
    scene = without_empty(cropped, OBJECTS).scene
    assert scene.names() == ["dog"]
    assert scene.objects.boxes.tolist() == [[2, 0, 5, 4]]
    assert len(scene[RELATIONS]) == 0 and len(scene[MASKS]) == 1 and len(scene[KEYPOINTS]) == 1


def test_crop_tightens_boxes_to_masks():
    sample = scenes.sample()
    cross = torch.zeros((8, 12), dtype=torch.bool)
    cross[4, 1:5] = True  # the cat is a horizontal line with one spot above
    cross[2, 1] = True
    geometry = Geometry.crop((8, 12), (2, 0, 12, 8))
    from dataclasses import replace

    from scenekit.data.transforms import _tightened
    from scenekit.structures.masks import Masks

    masks = Masks.from_dense(torch.stack((cross, sample.scene[MASKS].dense[1])))
    sample = replace(sample, scene=replace(sample.scene, values={**sample.scene.values, MASKS: masks}))
    boxes = _tightened(moved(sample, geometry).scene).objects.boxes
    assert boxes[0].tolist() == [0, 4, 3, 5]


def test_color_jitter_changes_pixels_alone():
    sample = scenes.sample()
    jittered = ColorJitter(0.5)(sample, random.Random(1))
    assert not torch.equal(jittered.image, sample.image) and jittered.image.dtype == torch.uint8
    assert jittered.scene is sample.scene
    assert torch.equal(ColorJitter(0.0)(sample, random.Random(1)).image, sample.image)


def test_randomness_depends_on_seed_epoch_and_index():
    first = rng_for(1, 2, 3).random()
    assert first == rng_for(1, 2, 3).random()
    others = {rng_for(*numbers).random() for numbers in [(0, 2, 3), (1, 1, 3), (1, 2, 4)]} | {
        rng_for(1, 2, 3, "x").random()
    }
    assert first not in others and len(others) == 4


def test_recipe_decides_what_happens():
    quiet = augmentations(AugmentConfig(flip=0, color=0, crop=0), InputConfig())
    assert [type(step) for step in quiet] == [Resize]
    loud = augmentations(AugmentConfig(flip=0.5, color=0.2, crop=0.5), InputConfig())
    assert [type(step) for step in loud] == [RandomCrop, Resize, RandomFlip, ColorJitter]


@pytest.mark.parametrize("seed", range(6))
def test_one_move_equals_the_steps_one_by_one(seed):
    """To the bit for image, masks and label maps; the random numbers drawn are the same ones."""
    steps = [
        RandomCrop(0.7, 0.4),
        Resize(InputConfig(min_size=13, max_size=40), (0.6, 1.4)),
        RandomFlip(),
        ColorJitter(0.3),
    ]
    together, apart = rng_for(seed, 0, 0), rng_for(seed, 0, 0)
    once = apply_all(steps, scenes.sample(), together)
    sample = scenes.sample()
    for step in steps:
        sample = step(sample, apart)
    assert together.random() == apart.random()
    assert torch.equal(once.image, sample.image) and once.scene.size == sample.scene.size
    assert torch.equal(once.scene[MASKS].dense, sample.scene[MASKS].dense)
    assert torch.equal(once.scene[SEMANTIC], sample.scene[SEMANTIC])
    torch.testing.assert_close(once.scene[KEYPOINTS].xy, sample.scene[KEYPOINTS].xy)
    torch.testing.assert_close(once.scene.camera.matrix, sample.scene.camera.matrix)


def test_masks_are_encoded_once_a_sample(monkeypatch):
    from scenekit.structures import masks

    calls = []
    encode = masks.coco_mask.encode
    monkeypatch.setattr(masks.coco_mask, "encode", lambda bitmaps: calls.append(bitmaps) or encode(bitmaps))
    sample = scenes.sample()
    calls.clear()
    steps = [RandomCrop(1.0, 0.9), Resize(InputConfig(min_size=16, max_size=24)), RandomFlip(1.0)]
    assert apply_all(steps, sample, random.Random(0)).scene[MASKS].size != sample.scene.size
    assert len(calls) == 1


def test_a_sample_that_cannot_be_flipped_is_moved_all_the_same():
    steps = [RandomCrop(1.0, 0.5), Resize(InputConfig(min_size=16, max_size=24)), RandomFlip(1.0)]
    fixed = apply_all(steps, scenes.sample(mirrorable=False), random.Random(3))
    usual = apply_all(steps, scenes.sample(), random.Random(3))
    assert torch.equal(fixed.image, usual.image.flip(-1))


def test_crop_of_the_input_keeps_the_middle() -> None:
    """Of 12 columns those from 2 to 10 are kept."""
    config = InputConfig(min_size=8, max_size=100, crop=8)
    steps = augmentations(AugmentConfig(flip=0, color=0, scale=(1, 1)), config)
    found = apply_all(steps, scenes.sample(), random.Random(0))
    assert found.scene.size == (8, 8) and found.image[0, 0].tolist() == list(range(2, 10))
    assert found.scene.objects.boxes.tolist() == [[0, 2, 3, 6], [6, 3, 8, 8]]
