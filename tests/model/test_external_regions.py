"""Regions from outside: rows stay as they were given, and what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PROPOSALS, SEMANTIC
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Objects, Scene
from scenekit.structures import Vocabulary
from tests.tiny import CUP, PERSON, SIZE, SKELETON, VOCABULARY, config, sample


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(("masks", "keypoints", "semantic")), VOCABULARY).eval()


def large(number: int = 0, scale: int = 3) -> tuple[torch.Tensor, Objects]:
    """An image that the network sees smaller, and its objects in its own pixels."""
    truth = sample(number)
    picture = torch.nn.functional.interpolate(truth.image[None].float() / 255, scale_factor=float(scale))[0]
    return picture, Objects(truth.scene.objects.boxes * scale, truth.scene.objects.labels)


def test_labelled_objects_come_back_row_by_row_in_the_image_s_pixels(model: SceneModel) -> None:
    """Whatever the threshold: what is given is there."""
    picture, objects = large()
    scene = model.predict(picture, threshold=0.9, given={OBJECTS: objects})
    torch.testing.assert_close(scene.objects.boxes, objects.boxes, rtol=0, atol=1e-3)
    assert torch.equal(scene.objects.labels, objects.labels) and scene.objects.scores.tolist() == [1.0, 1.0]
    assert len(scene[MASKS]) == 2 and scene.rows_with(KEYPOINTS).tolist() == [True, False]


def test_scores_that_are_given_stay_and_drop_nobody(model: SceneModel) -> None:
    picture, objects = large()
    scored = replace(objects, scores=torch.tensor([0.1, 0.7]))
    scene = model.predict(picture, threshold=0.5, given={OBJECTS: scored})
    torch.testing.assert_close(scene.objects.scores, scored.scores)
    assert scene.rows_with(MASKS).all()


@pytest.mark.parametrize("form", [lambda boxes: boxes, lambda boxes: boxes.numpy(), lambda boxes: boxes.tolist()])
def test_boxes_alone_are_classified_where_they_are(model: SceneModel, form: Any) -> None:
    picture, objects = large()
    scene = model.predict(picture, threshold=0.9, given={OBJECTS: form(objects.boxes)})
    torch.testing.assert_close(scene.objects.boxes, objects.boxes, rtol=0, atol=1e-3)
    assert scene.objects.scores is not None and (scene.objects.scores < 0.9).all()
    assert len(scene[MASKS]) == 2


def test_no_box_at_all(model: SceneModel) -> None:
    for nothing in (Objects.empty(), [], np.zeros((0, 4))):
        scene = model.predict(sample().image, given={OBJECTS: nothing})
        assert len(scene.objects) == len(scene[MASKS]) == 0 and scene[SEMANTIC].shape == SIZE


def test_boxes_over_the_border_are_clipped(model: SceneModel) -> None:
    boxes = torch.tensor([[-5.0, -5.0, 20.0, 20.0], [50.0, 30.0, 80.0, 80.0]])
    scene = model.predict(sample().image, given={OBJECTS: Objects(boxes, torch.tensor([PERSON, CUP]))})
    expected = torch.tensor([[0.0, 0.0, 20.0, 20.0], [50.0, 30.0, 64.0, 48.0]])
    torch.testing.assert_close(scene.objects.boxes, expected, rtol=0, atol=1e-3)


def test_a_scene_stands_for_its_objects_in_words_of_its_own(model: SceneModel) -> None:
    other = Vocabulary(("person", "lamp", "cup"), skeletons={"person": SKELETON})
    truth = sample().scene
    labels = torch.tensor([other.label(name) for name in truth.names()])
    scene = Scene(SIZE, other, {OBJECTS: replace(truth.objects, labels=labels)})
    assert torch.equal(model.predict(sample().image, given=scene).objects.labels, truth.objects.labels)
    unknown = replace(scene, streams={OBJECTS: replace(truth.objects, labels=torch.tensor([0, 1]))})
    with pytest.raises(InputError, match="no label 'lamp'"):
        model.predict(sample().image, given=unknown)
    with pytest.raises(InputError, match=r"of an image of \[10, 64\] pixels .*, this image has \[48, 64\]"):
        model.predict(sample().image, given=replace(scene, size=(10, 64)))


def test_proposals_from_outside(model: SceneModel) -> None:
    boxes = [[6.0, 8.0, 26.0, 40.0]]
    scene = model.predict(sample().image, tasks=["masks"], threshold=0.0, given={PROPOSALS: boxes})
    assert 1 <= len(scene.objects) <= len(VOCABULARY.things)


def test_several_images_have_one_entry_each(model: SceneModel) -> None:
    images = [sample(0).image, sample(1).image, sample(2).image]
    given: list[Any] = [sample(0).scene, None, {OBJECTS: sample(2).scene.objects.boxes}]
    first, free, third = model.predict(images, tasks=["masks"], threshold=2.0, given=given)
    assert [len(scene.objects) for scene in (first, free, third)] == [2, 0, 2]
    lazy = model.predict(iter(images), tasks=["masks"], threshold=2.0, given=iter(given))
    assert [len(scene.objects) for scene in lazy] == [2, 0, 2]
    for wrong in (given[:2], [*given, None]):
        with pytest.raises(InputError, match="one entry an image is expected, but there are fewer"):
            model.predict(images, tasks=["semantic"], given=wrong)
    with pytest.raises(InputError, match="for several images, got a single one"):
        model.predict(images, tasks=["semantic"], given=given[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({OBJECTS: [[0, 0, 5]]}, r"boxes \[N, 4\] expected, rows x0 y0 x1 y1, got shape \[1, 3\]"),
        ({OBJECTS: [[0, 0, 5, 5], [1, 2]]}, r"expected a Scene, Objects or boxes \[N, 4\], got list"),
        ({OBJECTS: [[9, 9, 5, 5]]}, r"box 0 \[9, 9, 5, 5\] is reversed; expected x0 < x1 <= 64, y0 < y1 <= 48"),
        ({OBJECTS: [[0, 0, 5, float("nan")]]}, "is NaN or infinite"),
        ({OBJECTS: [[0, 0, 5, 5], [70, 0, 75, 5]]}, r"box 1 \[70, 0, 75, 5\] is outside the image"),
        ({OBJECTS: Objects(torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([2]))}, "with label 2 is of an unknown label"),
        ({SEMANTIC: [[0, 0, 5, 5]]}, "'semantic' does not hold regions"),
        ({"objects": [[0, 0, 5, 5]]}, "str 'objects' is not a key; .* such as sk.OBJECTS"),
        ([[0, 0, 5, 5]], "expected a Scene or .*, got list"),
    ],
)
def test_what_cannot_be_is_refused(model: SceneModel, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.predict(sample().image, given=given)


def test_a_scene_may_stand_by_a_key(model: SceneModel) -> None:
    truth = sample().scene
    alone = model.predict(sample().image, given=truth)
    by_key = model.predict(sample().image, given={OBJECTS: truth})
    assert torch.equal(alone.objects.boxes, by_key.objects.boxes)
    assert torch.equal(by_key.objects.labels, truth.objects.labels)
    with pytest.raises(InputError, match="give a scene of this image"):
        model.predict(torch.rand(3, 20, 20), given={OBJECTS: truth})
