"""Runs with gradient checkpointing have the weights of those without, to the bit."""

import pytest

from scenekit.errors import InputError
from scenekit.recipe import Recipe
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
    run(toy.recipe(steps=1, save_every=1), tmp_path / "run")
    run(toy.recipe(steps=2, save_every=1, gradient_checkpointing=True), tmp_path / "run", resume=True)
    assert len(losses(tmp_path / "run")) == 2


def test_it_needs_a_trunk_that_learns(tmp_path):
    run(toy.recipe(steps=1), tmp_path / "first")
    content = toy.recipe(steps=1, gradient_checkpointing=True).model_dump(mode="json")
    content["init"] = str(tmp_path / "first" / "model")
    content["train"]["freeze"] = ["trunk"]
    with pytest.raises(InputError, match=r"train\.gradient_checkpointing needs a backbone .* that is trained"):
        run(Recipe.parse(content), tmp_path / "second")
