"""What a recipe comes to, and where each value of it comes from."""

import pytest
import yaml

from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.recipe import Recipe
from scenekit.recipe.provenance import resolve

RECIPE = """
model:
  backbone: {name: mobilenet_v2, options: {norm: frozen}}
  detector_options: {preset: torchvision, rpn: {samples: 64}}
  tasks: {masks: {channels: 64}, semantic: {}}
data:
  train: [{name: synthetic, options: {length: 3}}, {name: synthetic, split: val}]
train: {precision: no, loss_weights: {masks.mask: 2.0}}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def resolved(recipe):
    return resolve(recipe, ["train.steps=7", "data.train.1.weight=2.0", "model.tasks.masks.convs=2"])


@pytest.mark.parametrize(
    ("place", "value", "origin"),
    [
        ("model.backbone.options.norm", "frozen", "file"),
        ("model.backbone.options.trainable_stages", None, "default"),
        ("model.detector_options.rpn.samples", 64, "file"),
        ("model.detector_options.anchors.rounded", True, "preset torchvision"),
        ("model.detector_options.rpn.post_nms_test", 1000, "default"),
        ("model.tasks.masks.channels", 64, "file"),
        ("model.tasks.masks.convs", 2, "override"),
        ("model.tasks.semantic.levels", 4, "default"),
        ("data.train.0.options.length", 3, "file"),
        ("data.train.0.options.size", [240, 320], "default"),
        ("data.train.1.split", "val", "file"),
        ("data.train.1.weight", 2.0, "override"),
        ("data.val", None, "default"),
        ("train.steps", 7, "override"),
        ("train.precision", "no", "file"),
        ("train.balancer_options", {}, "default"),
        ("out", "runs/run", "default"),
    ],
)
def test_values_and_origins(resolved, place, value, origin):
    found = resolved.values
    for name in place.split("."):
        found = found[int(name) if isinstance(found, list) else name]
    assert (found, resolved.to_json()["origins"][place]) == (value, origin)


def test_names_with_dots(resolved):
    assert resolved.origins[("train", "loss_weights", "masks.mask")] == "file"


def test_the_yaml_is_a_recipe_that_means_the_same(resolved, recipe, tmp_path):
    text = resolved.to_yaml()
    assert yaml.safe_load(text) == resolved.values
    (tmp_path / "whole.yaml").write_text(text)
    again = resolve(tmp_path / "whole.yaml")
    assert again.values == resolved.values and set(again.origins.values()) == {"file"}
    told, whole = Recipe.load(recipe).model, Recipe.load(tmp_path / "whole.yaml").model
    kind = registry().get("detector", "faster_rcnn").config
    assert kind.model_validate(told.detector_options) == kind.model_validate(whole.detector_options)


def test_every_value_has_its_origin_beside_it(resolved):
    lines = resolved.to_yaml().splitlines()
    assert len([line for line in lines if "  # " in line]) == len(resolved.origins)
    assert f"{'  - name: synthetic':<50}# file" in lines
    assert len({line.index("  # ") for line in lines if "  # " in line and len(line) < 60}) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.step=3", "did you mean 'steps'"),
        ("model.backbone.options.nrm=batch", "has no option 'nrm'; did you mean 'norm'"),
        ("model.tasks.masks.chanels=3", "task 'masks': unknown key 'chanels'"),
        ("model.detector_options.preset=torchvison", "did you mean 'torchvision'"),
        ("data.train.0.options.lenght=3", "did you mean 'length'"),
        ("train.balancer=statik", "unknown balancer 'statik'"),
    ],
)
def test_refusals(recipe, override, message):
    with pytest.raises(InputError, match=message) as caught:
        resolve(recipe, [override])
    assert "\n" not in str(caught.value)
