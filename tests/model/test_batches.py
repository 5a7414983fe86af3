"""Images of a batch do not depend on each other, whatever their sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import scenekit as sk
from scenekit.data.sample import Sample, Supervision
from scenekit.keys import FEATURES, IMAGES, KEYPOINTS, MASKS, OBJECTS, PANOPTIC, PROPOSALS, SEMANTIC
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from scenekit.structures import FeaturePyramid, ImageBatch, Regions, by_size
from tests.tiny import VOCABULARY, batch, config, sample

SIZES = (48, 64), (64, 96), (96, 64)


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


def same(first: Scene, second: Scene) -> None:
    torch.testing.assert_close(first.objects.boxes, second.objects.boxes, rtol=0, atol=1e-3)
    torch.testing.assert_close(first.objects.scores, second.objects.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(first[KEYPOINTS].xy, second[KEYPOINTS].xy, rtol=0, atol=1e-2, equal_nan=True)
    assert torch.equal(first[SEMANTIC], second[SEMANTIC])
    assert torch.equal(first[MASKS].dense, second[MASKS].dense)
    assert torch.equal(first[PANOPTIC].ids, second[PANOPTIC].ids)


def beside(size: tuple[int, int]) -> Sample:
    """An image of that size without labels."""
    return replace(sample(1, size), supervision=Supervision(frozenset()))


@torch.no_grad()
def test_an_image_beside_larger_ones_is_the_same_as_alone(model: SceneModel) -> None:
    samples = [sample(number, SIZES[number % 3]) for number in range(4)]
    outputs = model(batch(model, samples)[0])
    assert [part.images for part in outputs.parts] == [(0, 3), (1,), (2,)]
    assert set(outputs.seconds) == {"backbone", "rpn", "proposals", "detection", *model.tasks}
    for number, scene in enumerate(model.scenes(outputs)):
        (alone,) = model.scenes(model(batch(model, [samples[number]])[0]))
        same(scene, alone)


@torch.no_grad()
def test_the_board_of_unequal_images_is_merged_in_their_order(model: SceneModel) -> None:
    samples = [sample(number, SIZES[1 - number % 2]) for number in range(3)]  # large, small, large
    board = model(batch(model, samples)[0]).board
    objects: Regions = board[OBJECTS]
    assert board[IMAGES].padded_size == (64, 96)
    assert (objects.image_index.diff() >= 0).all() and set(objects.image_index.tolist()) == {0, 1, 2}
    for number, one in enumerate(samples):
        alone = model(batch(model, [one])[0]).board
        rows = objects.image_index == number
        torch.testing.assert_close(objects.boxes[rows], alone[OBJECTS].boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(board[MASKS][rows], alone[MASKS], rtol=0, atol=1e-4)
        persons = board.rows_of(KEYPOINTS).image_index == number
        torch.testing.assert_close(board[KEYPOINTS].xy[persons], alone[KEYPOINTS].xy, rtol=0, atol=1e-2)
        h, w = alone[SEMANTIC].shape[2:]
        torch.testing.assert_close(board[SEMANTIC][number, :, :h, :w], alone[SEMANTIC][0], rtol=0, atol=1e-4)
        assert not board[SEMANTIC][number, :, h:].any() and not board[SEMANTIC][number, :, :, w:].any()
        assert board[PANOPTIC] == [None] * 3


@pytest.mark.parametrize("size", [2, 3, 7])
def test_batches_of_predict_change_nothing(model: SceneModel, size: int) -> None:
    images = [sample(number, SIZES[number % 3]).image for number in range(5)]
    for scene, image in zip(model.predict(images, threshold=0.0, batch_size=size), images, strict=True):
        same(scene, model.predict(image, threshold=0.0))


@torch.no_grad()
@pytest.mark.parametrize("key", [OBJECTS, PROPOSALS])
def test_external_regions_keep_their_rows_in_unequal_images(model: SceneModel, key: sk.Key) -> None:
    """Rows of the images in turn, which the parts have to take apart."""
    boxes = torch.tensor(
        [[6.0, 8.0, 26.0, 40.0], [5.0, 5.0, 60.0, 60.0], [9.0, 9.0, 30.0, 30.0], [8.0, 8.0, 24.0, 24.0]]
    )
    given = Regions(boxes, torch.tensor([0, 1, 0, 1]), labels=torch.tensor([1, 0, 0, 1]), scores=torch.ones(4))
    given = given if key == OBJECTS else Regions(given.boxes, given.image_index)
    samples = [sample(0, SIZES[0]), sample(1, SIZES[1])]
    outputs = model(batch(model, samples)[0], given={key: given})
    assert torch.equal(outputs.board[key].boxes, boxes) and torch.equal(
        outputs.board[key].image_index, given.image_index
    )
    for number, scene in enumerate(model.scenes(outputs)):
        own = given.image_index == number
        alone = replace(given.subset(own), image_index=torch.zeros(2, dtype=torch.int64), parent=None, rows=None)
        same(scene, model.scenes(model(batch(model, [samples[number]])[0], given={key: alone}))[0])


def test_a_larger_neighbour_changes_no_loss_of_the_pixels(model: SceneModel) -> None:
    alone = model(*batch(model, [sample(0)]), tasks=["semantic"]).losses
    both = model(*batch(model, [sample(0), beside((96, 96))]), tasks=["semantic"]).losses
    torch.testing.assert_close(both["semantic.pixel"], alone["semantic.pixel"], rtol=0.02, atol=0)


def test_proposals_of_training_are_none_of_the_padding(model: SceneModel) -> None:
    seen = model(*batch(model, [sample(0), beside((192, 192))])).board[PROPOSALS]
    alone = model(*batch(model, [sample(0)])).board[PROPOSALS]
    assert (seen.image_index == 0).sum() == len(alone)


def test_parts_hold_what_belongs_to_their_images() -> None:
    pixels = torch.arange(2 * 3 * 4 * 8, dtype=torch.float32).reshape(2, 3, 4, 8)
    inputs = {"depth": pixels[:, :1], "scale": torch.tensor([[1.0], [2.0]])}
    whole = ImageBatch(pixels, ((4, 8), (2, 3)), ((8, 16), (4, 6)), None, inputs, (5, 6), divisor=4)
    assert whole.groups == {(4, 8): (0,), (4, 4): (1,)}
    assert whole.part((0, 1), (4, 8)) is whole
    part = whole.part((1,), (4, 4))
    assert torch.equal(part.pixels, pixels[1:, :, :4, :4]) and part.groups == {(4, 4): (0,)}
    assert (part.sizes, part.original_sizes, part.seeds) == (((2, 3),), ((4, 6),), (6,))
    assert part.inputs["depth"].shape == (1, 1, 4, 4) and part.inputs["scale"].tolist() == [[2.0]]


def test_a_network_by_size_averages_over_the_image_alone() -> None:
    """Two maps of stride 4 of images of 8 x 8 and 4 x 4 pixels, padded to 8 x 8."""
    images = ImageBatch(torch.zeros(2, 3, 8, 8), ((4, 4), (8, 8)), ((4, 4), (8, 8)), divisor=4)
    maps = torch.tensor([[[[1.0, 9.0], [9.0, 9.0]]], [[[1.0, 2.0], [3.0, 6.0]]]])
    (centered,) = by_size(lambda levels: [levels[0] - levels[0].mean(dim=(2, 3), keepdim=True)], [maps], images)
    assert centered.tolist() == [[[[0.0, 0.0], [0.0, 0.0]]], [[[-2.0, -1.0], [0.0, 3.0]]]]


@torch.no_grad()
def test_external_maps_are_cropped_with_their_images(model: SceneModel) -> None:
    samples = [sample(0, SIZES[0]), sample(1, SIZES[1])]
    images = batch(model, samples)[0]
    maps: FeaturePyramid = model(images, tasks=["semantic"]).board[FEATURES]
    again = model(images, given={FEATURES: maps}, tasks=["semantic"])
    assert "backbone" not in again.seconds
    torch.testing.assert_close(again.board[SEMANTIC], model(images, tasks=["semantic"]).board[SEMANTIC])
