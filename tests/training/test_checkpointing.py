"""Runs with gradient checkpointing have the weights of those without, to the bit."""

import pytest
import torch
from torch import nn

from scenekit.backbones import Backbone
from scenekit.errors import InputError
from scenekit.recipe import Recipe
from scenekit.training.checkpointing import checkpointing_trunks
from scenekit.training.log import read_log
from scenekit.training.loop import train

from ..tiny import same_weights
from . import toy


@pytest.fixture(autouse=True)
def toys():
    toy.register()


def run(recipe, out, **options):
    return train(recipe, out=out, device="cpu", progress=False, **options)


def recipe(**options):
    """A backbone with batch norm, whose statistics each pass in training mode changes."""
    content = toy.recipe(**options).model_dump(mode="json")
    content["model"]["backbone"] = {"name": "resnet18"}
    return Recipe.parse(content)


def losses(out):
    return [{k: v for k, v in record.items() if k != "images_per_second"} for record in read_log(out / "log.jsonl")]


@pytest.mark.parametrize("options", [{}, {"balancer": "gradnorm", "accumulate": 2}], ids=["static", "gradnorm"])
def test_a_run_has_the_same_weights(tmp_path, options):
    plain = run(recipe(steps=2, **options), tmp_path / "plain")
    recomputed = run(recipe(steps=2, gradient_checkpointing=True, **options), tmp_path / "recomputed")
    assert same_weights(plain, recomputed) and losses(tmp_path / "plain") == losses(tmp_path / "recomputed")
    assert not [module for module in recomputed.modules() if "forward" in vars(module)]


def test_a_run_may_be_resumed_with_it(tmp_path):
    options = {"warmup": 1, "save_every": 1}
    whole = run(recipe(steps=2, **options), tmp_path / "whole")
    run(recipe(steps=1, **options), tmp_path / "cut")
    again = run(recipe(steps=2, gradient_checkpointing=True, **options), tmp_path / "cut", resume=True)
    assert same_weights(whole, again) and losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_backbone_that_changes_its_input_is_told_which_option_to_leave_out():
    class Changing(Backbone):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))

        def forward(self, pixels):
            return (self.block(pixels),)

    backbone = Changing()
    told = r"^train\.gradient_checkpointing: Sequential changes its input .* leave the option out$"
    with pytest.raises(InputError, match=told), checkpointing_trunks([backbone]):
        backbone(torch.rand(1, 3, 4, 4))


def test_it_needs_a_trunk_that_learns(tmp_path):
    run(toy.recipe(steps=1), tmp_path / "first")
    content = toy.recipe(steps=1, gradient_checkpointing=True).model_dump(mode="json")
    content["init"] = str(tmp_path / "first" / "model")
    content["train"]["freeze"] = ["trunk"]
    with pytest.raises(InputError, match=r"train\.gradient_checkpointing needs a backbone .* that is trained"):
        run(Recipe.parse(content), tmp_path / "second")
