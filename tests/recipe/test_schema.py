"""The schema that editors check recipes by says what the recipe's own check says."""

import copy

import pytest
import yaml

from scenekit.hooks import registry
from scenekit.recipe.schema import recipe_schema

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def validator():
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def small(repository):
    return yaml.safe_load((repository / "recipes" / "small.yaml").read_text())


def changed(recipe, place, value):
    recipe = copy.deepcopy(recipe)
    section = recipe
    *path, last = place.split(".")
    for name in path:
        section = section[int(name)] if isinstance(section, list) else section.setdefault(name, {})
    section[last] = value
    return recipe


def test_a_recipe_that_works_is_valid(validator, small):
    assert not list(validator.iter_errors(small))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model.backbone.name", "timm/resnet18"),
        ("model.detector_options.preset", "detectron2"),
        ("model.backbone.options.trainable_stages", 2),
        ("train.balancer", "static"),
    ],
)
def test_right_values(validator, small, place, value):
    assert not list(validator.iter_errors(changed(small, place, value)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train.step", 3),
        ("train.steps", "few"),
        ("train.balancer", "statik"),
        ("model.backbone.name", "resnet51"),
        ("model.backbone.options.nrm", "batch"),
        ("model.detector", "rcn"),
        ("model.detector_options.rpn.sample", 3),
        ("model.detector_options.preset", "torchvison"),
        ("model.tasks.maks", {}),
        ("model.tasks.masks.chanels", 3),
        ("model.tasks.masks.channels", 0),
        ("data.train.0.name", "synthetik"),
        ("data.train.0.options.lenght", 3),
    ],
)
def test_mistakes_are_marked(validator, small, place, value):
    assert list(validator.iter_errors(changed(small, place, value)))


def test_every_installed_task_has_its_section(validator):
    model = validator.schema["$defs"]["ModelConfig"]
    assert set(model["properties"]["tasks"]["properties"]) == set(registry().tasks)
