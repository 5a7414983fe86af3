"""Runs with balancers and with a record of the interference: resumed exactly, and otherwise as they were."""

import json

import pytest
import torch

from scenekit.errors import InputError, SkippedSampleError
from scenekit.recipe import Recipe
from scenekit.training.log import read_log
from scenekit.training.loop import train
from scenekit.training.state import checkpoints

from ..tiny import same_weights
from . import toy


@pytest.fixture(autouse=True)
def toys():
    toy.register()


def run(recipe, out, **options):
    return train(recipe, out=out, device="cpu", progress=False, **options)


def losses(out):
    return [{k: v for k, v in record.items() if k != "images_per_second"} for record in read_log(out / "log.jsonl")]


@pytest.mark.parametrize(
    ("name", "options"),
    [("uncertainty", {}), ("dwa", {"window": 1}), ("famo", {}), ("gradnorm", {"lr": 0.3}), ("pcgrad", {})],
)
def test_a_balanced_run_is_resumed_exactly(tmp_path, name, options):
    if name == "pcgrad":
        pytest.importorskip("torchjd")
    recipe = toy.recipe(steps=4, save_every=2, balancer=name, balancer_options=options, accumulate=2)
    whole = run(recipe, tmp_path / "whole")
    (tmp_path / "cut" / "checkpoints").mkdir(parents=True)
    for file in ("recipe.yaml", "log.jsonl"):
        (tmp_path / "cut" / file).write_bytes((tmp_path / "whole" / file).read_bytes())
    middle = checkpoints(tmp_path / "whole")[0]
    middle.rename(tmp_path / "cut" / "checkpoints" / middle.name)
    again = run(recipe, tmp_path / "cut", resume=True)
    assert same_weights(whole, again) and losses(tmp_path / "cut") == losses(tmp_path / "whole")
    plain = run(toy.recipe(steps=4, save_every=2, accumulate=2), tmp_path / "plain")
    assert not same_weights(whole, plain)


def test_heads_learn_from_the_sum_whatever_the_trunk_does(tmp_path):
    """The first step of plain gradient descent: heads are those of the static run, the backbone is not."""
    options = {"steps": 1, "optimizer": "sgd", "clip": None, "warmup": 0, "schedule": "constant", "lr": 0.01}
    plain = run(toy.recipe(**options), tmp_path / "plain").state_dict()
    balanced = run(toy.recipe(**options, balancer="gradnorm", balancer_options={"lr": 0.5}), tmp_path / "own")
    for name, value in balanced.state_dict().items():
        if name.startswith("heads."):
            assert torch.equal(value, plain[name]), name
    assert not all(torch.equal(value, plain[name]) for name, value in balanced.state_dict().items())


def test_recording_the_interference_changes_nothing(tmp_path):
    options = {"steps": 4, "accumulate": 2, "grad_norm_every": 0}
    plain = run(toy.recipe(**options), tmp_path / "plain")
    watched = run(toy.recipe(**options, interference_every=2), tmp_path / "watched")
    assert same_weights(plain, watched) and losses(tmp_path / "plain") == losses(tmp_path / "watched")
    assert not (tmp_path / "plain" / "interference.jsonl").exists()
    records = read_log(tmp_path / "watched" / "interference.jsonl")
    assert [record["step"] for record in records] == [2, 4]
    for record in records:
        tasks, cosines = record["tasks"], torch.tensor(record["cosines"])
        assert {"detection", "semantic", "masks"} <= set(tasks) and len(record["norms"]) == len(tasks)
        assert torch.allclose(cosines, cosines.T) and torch.allclose(cosines.diagonal(), torch.ones(len(tasks)))


def test_records_after_the_checkpoint_are_removed_when_a_run_is_resumed(tmp_path):
    recipe = toy.recipe(steps=4, save_every=2, keep=1, interference_every=1)
    run(toy.recipe(steps=2, save_every=2, interference_every=1), tmp_path)
    file = tmp_path / "interference.jsonl"
    file.write_text(file.read_text() + '{"step": 3, "tasks": []}\n')
    run(recipe, tmp_path, resume=True)
    records = read_log(file)
    assert [record["step"] for record in records] == [1, 2, 3, 4] and records[2]["tasks"]


def test_interference_needs_a_trained_pyramid(tmp_path):
    run(toy.recipe(steps=1), tmp_path / "first")
    frozen = toy.recipe(steps=1, interference_every=1).model_dump(mode="json")
    frozen["init"] = str(tmp_path / "first" / "model")
    frozen["train"]["only"] = ["masks"]
    with pytest.raises(InputError, match=r"train\.interference_every needs a feature pyramid that is trained"):
        run(Recipe.parse(frozen), tmp_path / "second")


def test_skipped_samples_are_listed_in_the_folder(tmp_path, monkeypatch):
    get = toy.Toys.__getitem__

    def broken(self, index):
        if index == 3:
            raise SkippedSampleError("no such image")
        return get(self, index)

    monkeypatch.setattr(toy.Toys, "__getitem__", broken)
    content = toy.recipe(steps=2, batch_size=4).model_dump(mode="json")
    content["data"]["train"] = [{"name": "toys", "options": {"count": 4}}]
    run(Recipe.parse(content), tmp_path)
    found = json.loads((tmp_path / "skipped.json").read_text())
    assert found == {"total": 4, "skipped": [{"origin": "toys/train", "index": 3, "reason": "no such image"}]}
    content["train"]["steps"] = 4
    run(Recipe.parse(content), tmp_path, resume=True)
    assert json.loads((tmp_path / "skipped.json").read_text()) == found
