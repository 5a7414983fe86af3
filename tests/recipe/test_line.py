"""The recipes of the line, from the sliding window to the joint model: each trains, is evaluated and loads again."""

from pathlib import Path

import pytest

from scenekit.data.datasets import dataset
from scenekit.evaluation.loop import evaluate
from scenekit.recipe import Recipe
from scenekit.training.log import read_log
from scenekit.training.loop import train
from scenekit.weights import load

from ..tiny import same_weights

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes" / "line").glob("*.yaml"))
STEPS = 4
IMAGES = 16
"""Scenes that are trained on; in the first ones every class occurs."""
SMALL = (
    "model.input.min_size=64",
    "model.input.max_size=96",
    f"train.steps={STEPS}",
    "train.batch_size=1",
    "train.workers=0",
    "train.warmup=1",
)
SYNTHETIC = {"length": IMAGES, "size": [72, 96]}
OF_DETECTOR = {
    "sliding_window": ("crops.size=32", "detection.samples=8", "limit=60"),
    "rcnn": (
        "crops.size=32",
        "detection.samples=8",
        "proposals.limit_train=60",
        "proposals.limit_test=60",
        "svm.start_negatives=4",
    ),
    "faster_rcnn": ("box_head.detections=10",),
    "retinanet": ("detections=10",),
}
"""Options of `model.detector_options` that make the most of the time."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A folder in which each scene is generated once, for all recipes."""
    return tmp_path_factory.mktemp("scenes")


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains_is_evaluated_and_loads_again(path, tmp_path, scenes):
    assert path.read_text().startswith("# "), "a comment on top says which system it is"
    whole = Recipe.load(path)
    small = [f"model.detector_options.{option}" for option in OF_DETECTOR.get(str(whole.model.detector), ())]
    if whole.data.train[0].name == "synthetic":
        small += [f"data.train.0.options.{name}={value}" for name, value in {**SYNTHETIC, "cache": scenes}.items()]
    model = train(Recipe.load(path, [*SMALL, *small]), out=tmp_path, device="cpu", progress=False)
    assert read_log(tmp_path / "log.jsonl")[-1]["step"] == STEPS
    loaded = load(tmp_path / "model")
    assert same_weights(model, loaded)
    results = evaluate(loaded, dataset("synthetic", "val", length=1, size=[72, 96], cache=str(scenes)))
    assert results
