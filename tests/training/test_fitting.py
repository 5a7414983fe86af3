"""What a detector fits after the last step: R-CNN's SVMs, started and resumed like any run."""

import pytest
import torch

from scenekit.data.datasets import dataset
from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.evaluation.loop import evaluate
from scenekit.recipe import Recipe
from scenekit.training import fitting
from scenekit.training.log import read_log
from scenekit.training.loop import train
from scenekit.weights import load

from ..tiny import same_weights
from . import toy

WINDOWS = {"scales": [16, 24], "ratios": [1.0], "stride": 0.5}
OPTIONS = {
    "trunk": {"name": "toynet"},
    "proposals": {"name": "sliding_window", "sliding_window": WINDOWS},
    "crops": {"size": 32, "context": 4, "cells": 2, "fcs": [16]},
    "detection": {"samples": 16},
    "svm": {"c": 0.1, "start_negatives": 8},
    "regression": {"strength": 1.0, "overlap": 0.5},
}


@pytest.fixture(autouse=True)
def toys():
    toy.register()


def recipe(steps=2, images=8, **sections):
    content = toy.recipe(steps).model_dump(mode="json")
    content["model"] |= {"pyramid": None, "detector": "rcnn", "detector_options": OPTIONS, "tasks": {}}
    content["data"]["train"][0]["options"] = {"count": images}
    for section, values in sections.items():
        content[section] |= values
    return Recipe.parse(content)


def run(recipe, out, **options):
    return train(recipe, out=out, device="cpu", progress=False, **options)


def test_a_run_fits_after_its_last_step_and_stores_it(tmp_path, capfd):
    model = train(recipe(), out=tmp_path, device="cpu")
    stage = model.stages["detection"]
    assert stage.fitted and stage.svm_weight.any(dim=1).all() and stage.box_weight.flatten(1).any(dim=1).all()
    assert "fitting rcnn, pass 2 over the training data" in capfd.readouterr().err
    assert "backbone" not in model.stages  # no shared network: nothing reads it
    loaded = load(tmp_path / "model")
    assert same_weights(model, loaded)
    scene = loaded.predict(torch.zeros(3, 64, 64, dtype=torch.uint8), threshold=0.0)
    windows = 7 * 7 + 4 * 4  # (64 - 16) / 8 + 1 and (64 - 24) / 12 + 1 places along each side
    assert loaded.stages["detection"].passes == windows and len(scene.objects) <= 100


def test_the_detector_finds_the_objects_that_it_was_fitted_on(tmp_path):
    model = run(recipe(steps=30, images=16, train={"batch_size": 4, "lr": 3e-3, "save_every": 100}), tmp_path)
    assert evaluate(model, dataset("toys", "train", count=8))["detection"]["AP50"] > 0.1


def test_a_run_that_is_interrupted_while_it_fits_resumes_there(tmp_path, monkeypatch):
    whole = run(recipe(train={"ema": 0.9}), tmp_path / "whole")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("scenekit.training.loop.fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(recipe(train={"ema": 0.9}), tmp_path / "cut")
    steps = read_log(tmp_path / "cut" / "log.jsonl")
    again = run(recipe(train={"ema": 0.9}), tmp_path / "cut", resume=True)
    assert same_weights(whole, again) and read_log(tmp_path / "cut" / "log.jsonl") == steps


def test_it_is_evaluated_once_it_is_fitted(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr("scenekit.training.loop.fit", lambda *_: order.append("fit"))
    monkeypatch.setattr("scenekit.training.evaluating.evaluate", lambda *_, **__: order.append("evaluate") or {})
    whole = recipe(2, data={"val": {"name": "toys", "split": "val"}}, train={"evaluate_every": 1})
    run(whole, tmp_path)
    assert order == ["evaluate", "fit", "evaluate"]


def of_squares(drawn, toys, index) -> Sample:
    """The first sample from `index` on without a disc."""
    return next(s for s in (drawn(toys, index + n) for n in range(999)) if not s.scene.objects.labels.any())


def test_a_class_without_positives_is_named(tmp_path, monkeypatch):
    drawn = toy.Toys.__getitem__
    monkeypatch.setattr(toy.Toys, "__getitem__", lambda self, index: of_squares(drawn, self, index))
    with pytest.raises(InputError, match=r"no image of data\.train shows an object of disc"):
        run(recipe(), tmp_path)
    assert not list(tmp_path.iterdir())  # known before the first step


def test_a_class_without_positives_among_the_fitted_images_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("scenekit.training.loop.check_classes", lambda *_: None)
    drawn = toy.Toys.__getitem__
    monkeypatch.setattr(toy.Toys, "__getitem__", lambda self, index: of_squares(drawn, self, index))
    with pytest.raises(InputError, match="no SVM can be fitted for disc: no training image shows"):
        run(recipe(), tmp_path)


def test_parts_that_stay_as_they_are_are_not_fitted(tmp_path):
    first = run(recipe(), tmp_path / "first")
    assert fitting.fitting_detector(recipe(), first, None).name == "rcnn"
    more = recipe().model_dump(mode="json")
    more["model"] |= {"pyramid": {"channels": 16}, "tasks": {"masks": {"channels": 16, "convs": 1}}}
    more |= {"init": str(tmp_path / "first" / "model"), "train": {**more["train"], "only": ["masks"]}}
    second = run(Recipe.parse(more), tmp_path / "second")
    assert same_weights(first.stages["detection"], second.stages["detection"])
