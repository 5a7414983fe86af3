"""Every kind of faulty box is found and named; what merely touches the border is none."""

import logging
from dataclasses import replace

import pytest
import torch

from scenekit.data.checks import checked, invalid_boxes
from scenekit.errors import InputError
from scenekit.keys import MASKS, OBJECTS
from scenekit.scene import Objects
from scenekit.structures.masks import Masks

from . import scenes

FAULTS = {
    "NaN or infinite": [1.0, 2, float("nan"), 6],
    "reversed": [5.0, 2, 1, 6],
    "empty": [1.0, 2, 1, 6],
    "outside the image": [12.0, 2, 15, 6],
}


def annotated(*boxes, id=1, label=0):
    """A sample whose second and later objects have the given boxes; the first one is good."""
    sample = scenes.sample(id)
    rows = torch.tensor([[1.0, 2, 5, 6], *boxes])
    objects = Objects(rows, torch.tensor([0] + [label] * len(boxes)))
    values = {MASKS: Masks.empty(len(rows), (8, 12))}
    return replace(sample, scene=replace(sample.scene, streams={OBJECTS: objects}, values=values, valid={}))


@pytest.mark.parametrize(("fault", "box"), FAULTS.items())
def test_faulty_boxes_are_dropped_and_named(fault, box, caplog):
    sample = annotated(box, id=60 + list(FAULTS).index(fault))
    with caplog.at_level(logging.WARNING):
        kept = checked(sample, origin="farm/train")
    assert kept.scene.objects.boxes.tolist() == [[1, 2, 5, 6]] and len(kept.scene[MASKS]) == 1
    (message,) = caplog.messages
    assert f"image {sample.id} of farm/train" in message and fault in message and "box 1" in message


@pytest.mark.parametrize(("fault", "box"), FAULTS.items())
def test_strict_refuses(fault, box):
    with pytest.raises(InputError, match=rf"image 41 of farm/train: box 1 .* is {fault}") as caught:
        checked(annotated(box, id=41), origin="farm/train", strict=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("box", [[float("inf"), 0, 1, 1], [3, 9, 5, 20], [-5, 2, 0, 6], [-8, -8, -1, -1]])
def test_more_faults(box):
    assert invalid_boxes(Objects(torch.tensor([box], dtype=torch.float32), torch.tensor([0])), (8, 12), 2) != {}


@pytest.mark.parametrize("box", [[-3, -3, 2, 2], [10, 6, 30, 30], [0, 0, 12, 8]])
def test_reaching_over_the_border_is_no_fault(box):
    assert invalid_boxes(Objects(torch.tensor([box], dtype=torch.float32), torch.tensor([0])), (8, 12), 2) == {}


def test_labels_beyond_the_vocabulary(caplog):
    assert len(checked(annotated([1.0, 1, 3, 3], id=52, label=9)).scene.objects) == 1
    assert "unknown label" in caplog.text


def test_a_warning_comes_once(caplog):
    sample = annotated(FAULTS["empty"], id=53)
    checked(sample, origin="once")
    checked(sample, origin="once")
    assert len(caplog.messages) == 1


def test_many_faults_fit_one_line(caplog):
    checked(annotated(*[FAULTS["empty"]] * 9, id=54))
    assert "and 6 more; dropped 9 of 10 objects" in caplog.messages[0]


def test_annotations_of_another_image():
    sample = scenes.sample()
    with pytest.raises(InputError, match=r"image 7 of .*\[8, 12\].*\[4, 4\]"):
        checked(replace(sample, image=sample.image[:, :4, :4]))


def test_good_samples_pass_untouched():
    sample = scenes.sample()
    assert checked(sample) is sample
