"""Recipes: what is read is what was written, and every mistake is one clear line."""

from typing import Any

import pytest
from pydantic import ValidationError

from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.recipe import LabelSpace, ModelConfig, Recipe
from scenekit.recipe.model import _say_renamed

GOOD = """
model: {tasks: {semantic: {}}}
data:
  train:
    - {name: synthetic, options: {seed: 3}}
    - {name: coco, weight: 2}
train: {steps: 20, lr: 1e-3, precision: no}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


def test_yaml_quirks(recipe):
    train = Recipe.load(recipe).train
    assert train.lr == 1e-3  # YAML 1.1 reads 1e-3 as text
    assert train.precision == "no"  # and a bare no as False


def test_round_trip(recipe, tmp_path):
    first = Recipe.load(recipe, ["augment.scale=[0.8, 1.2]", "train.ema=0.99"])
    first.save(tmp_path / "again.yaml")
    assert Recipe.load(tmp_path / "again.yaml") == first


def test_overrides(recipe):
    changed = Recipe.load(
        recipe,
        [
            "train.steps=50",
            "train.loss_weights={masks: 2}",
            "data.train.1.options.root=/x",
            "model.tasks.masks.convs=2",
            "train.clip=null",
            "out=here",
        ],
    )
    assert changed.train.steps == 50 and changed.train.loss_weights == {"masks": 2.0} and changed.train.clip is None
    assert changed.data.train[1].options == {"root": "/x"} and changed.data.train[0].options == {"seed": 3}
    assert changed.model.tasks == {"semantic": {}, "masks": {"convs": 2}} and changed.out == "here"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", r"unknown key 'train.stepz'; did you mean 'steps'\?"),
        ("trian.steps=3", r"unknown key 'trian'; did you mean 'train'\?"),
        ("model.input.min_sizes=3", r"unknown key 'model.input.min_sizes'; did you mean 'min_size'\?"),
        ("data.train.0.splitt=val", r"unknown key 'data.train.0.splitt'; did you mean 'split'\?"),
        ("data.val.nam=coco", r"unknown key 'data.val.nam'; did you mean 'name'\?"),
        ("data.val=[{name: a}, {nam: b}]", r"unknown key 'data.val.1.nam'; did you mean 'name'\?"),
        ("data.val=3", "'data.val': input should be .*, got 3"),
        ("train.steps=many", "'train.steps': .*integer.* got 'many'"),
        ("train.steps=0", "'train.steps': .*greater than or equal to 1, got 0"),
        ("model.input.min_size=-5", "'model.input.min_size': .*greater than or equal to 1, got -5"),
        ("model.input.max_size=0", "'model.input.max_size': .*greater than or equal to 1, got 0"),
        ("model.input.std=[1, 0, 1]", "'model.input.std.1': .*greater than 0, got 0"),
        ("model.input.mean=[.nan, 0, 0]", "'model.input.mean.0': .*finite number, got nan"),
        ("model.input.divisor=0", "'model.input.divisor': .*greater than or equal to 1, got 0"),
        ("model.pyramid.channels=0", "'model.pyramid.channels': .*greater than or equal to 1, got 0"),
        ("model.pyramid.norm=layer", "'model.pyramid.norm': .*'batch' or 'group', got 'layer'"),
        ("train.schedule=linear", "'train.schedule': .*'one_cycle'.* got 'linear'"),
        ("augment.scale=[2, 1]", "'augment.scale': expected a range of two factors"),
        ("data.train=[]", "'data.train': expected at least one data set"),
        ("train.evaluate_every=10", "train.evaluate_every needs a data set to evaluate on; set data.val"),
        ("data=null", "'data': .* got None"),
        ("train.steps", "an override such as train.steps=50"),
        ("=3", "an override such as train.steps=50"),
        ("train.steps=[", "override train.steps: expected YAML; "),
        ("train.steps.more=3", "'more' is below a single value"),
        ("data.train.2.name=x", "a list entry from 0 to 1, got '2'"),
        ("data.train.first=x", "a list entry from 0 to 1, got 'first'"),
    ],
)
def test_mistakes_are_one_line(recipe, override, message):
    with pytest.raises(InputError, match=message) as caught:
        Recipe.load(recipe, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "expected YAML; "),
        (b"just text", "expected sections such as model, data and train, got 'just text'"),
        (b"", "got None"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"train: {}", "'data' is missing"),
    ],
)
def test_unusable_files(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Recipe.load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_the_old_name_of_faster_rcnn_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    _say_renamed.cache_clear()
    for _ in range(2):
        assert ModelConfig.model_validate({"detector": "rcnn"}).detector == "faster_rcnn"
    assert caplog.text.count("is read as 'faster_rcnn', which is its name now") == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"detector": None}, "neither a detector nor a task"),
        ({"detector": None, "detector_options": {"rpn": {}}, "tasks": {"semantic": {}}}, "without a detector"),
    ],
)
def test_a_model_without_a_detector_has_tasks_and_no_options_of_one(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(model)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such recipe"):
        Recipe.load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        Recipe.load(tmp_path)


def test_yaml_builds_no_objects(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("data: !!python/object/apply:os.getcwd []")
    with pytest.raises(InputError, match="expected YAML; "):
        Recipe.load(path)


def test_shipped_recipes_are_valid(repository):
    labels = sorted((repository / "recipes").rglob("*_labels.yaml"))
    assert all(LabelSpace.load(path).things for path in labels)
    for path in sorted({*(repository / "recipes").rglob("*.yaml")} - {*labels}):
        model = Recipe.load(path).model
        assert model.tasks.keys() <= set(registry().names("task"))
        assert model.detector in (None, *registry().names("detector"))


def test_one_data_set_to_evaluate_on_or_several():
    """A single one is written as it was; of several each has a name of its own."""
    train = [{"name": "synthetic"}]
    one = Recipe.parse({"data": {"train": train, "val": {"name": "coco", "split": "val"}}})
    assert isinstance(one.model_dump(mode="json")["data"]["val"], dict) and one.data.val_names == ("coco/val",)
    val = [{"name": "coco"}, {"name": "coco", "labels": "ours"}, {"name": "coco"}, {"name": "kitti"}]
    several = Recipe.parse({"data": {"train": train, "val": val}})
    assert several.data.val_names == ("coco/train", "ours/train", "coco/train (2)", "kitti/train")
    assert Recipe.parse(several.model_dump(mode="json")) == several and len(several.data.entries) == 5
    for nothing in (None, []):
        assert Recipe.parse({"data": {"train": train, "val": nothing}}).data.val_entries == ()
        with pytest.raises(InputError, match=r"set data\.val"):
            Recipe.parse({"data": {"train": train, "val": nothing}, "train": {"evaluate_every": 1}})
