"""How a run can end: weights that are not finite, plugins that leave, full disks, kills, recipes that cannot work."""

import asyncio
import errno
import logging
import os
import shutil
from dataclasses import replace

import pytest
import torch
from torch.utils.data import get_worker_info

from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.errors import InputError, PluginError, warn_once
from scenekit.hooks import Origin, hookimpl, registry
from scenekit.recipe import Recipe
from scenekit.training import readiness
from scenekit.training.loop import train
from scenekit.training.readiness import usable_workers
from scenekit.training.state import checkpoints, clear_leftovers, remove
from scenekit.weights import load

from . import toy


@pytest.fixture(autouse=True)
def toys():
    toy.register()


def run(recipe, out, **options):
    return train(recipe, out=out, device="cpu", progress=False, **options)


def with_data(recipe, **sections):
    content = recipe.model_dump(mode="json")
    content["data"] |= sections
    return Recipe.parse(content)


class Left(BaseException):
    """No error for which anything is prepared."""


class MuteError(Exception):
    def __str__(self):
        raise ZeroDivisionError("cannot say")


ENDS = [SystemExit(0), asyncio.CancelledError(), Left("gone")]


def spoil(model):
    with torch.no_grad():
        model.heads["masks"].get_parameter(next(iter(dict(model.heads["masks"].named_parameters()))))[:] = torch.nan


@pytest.mark.parametrize(("option", "value"), [("lr", float("inf")), ("weight_decay", float("nan"))])
def test_numbers_that_are_not_finite_are_refused(option, value):
    with pytest.raises(InputError, match=f"'train.{option}': input should be a finite number"):
        toy.recipe(**{option: value})


def test_weights_that_are_not_finite_are_never_written(tmp_path, monkeypatch):
    """The second step spoils the weights after its gradient was found to be finite."""
    from scenekit.training import loop

    def step(self):
        optimize(self)
        if self.step == 2:
            spoil(self.model)

    optimize = loop.Run._optimizer_step
    monkeypatch.setattr(loop.Run, "_optimizer_step", step)
    with pytest.raises(InputError, match=r"after step 3 the weights are no longer finite \(heads\.masks\.") as caught:
        run(toy.recipe(steps=3, save_every=2), tmp_path)
    assert "\n" not in str(caught.value)
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_00000002"]
    assert not (tmp_path / "model").exists()
    assert all(value.isfinite().all() for value in load(checkpoints(tmp_path)[0]).state_dict().values())


@pytest.mark.parametrize(("place", "error"), [("__getitem__", ENDS[0]), ("__len__", ENDS[1])], ids=repr)
def test_a_data_set_cannot_end_a_run(tmp_path, monkeypatch, error, place):
    def leave(*_):
        raise error

    monkeypatch.setattr(toy.Toys, place, leave)
    with pytest.raises(PluginError, match=f"must not end the program: {type(error).__name__}"):
        run(toy.recipe(steps=1), tmp_path)
    assert not (tmp_path / "model").exists() and not (tmp_path / "recipe.yaml").exists()


def test_a_worker_names_the_data_set_that_would_have_ended_it(tmp_path, monkeypatch):
    def leave(self, index):
        if get_worker_info() is None:  # the run looks for labels before it starts workers
            return load_one(self, index)
        raise SystemExit("no more")

    load_one = toy.Toys.__getitem__
    monkeypatch.setattr(toy.Toys, "__getitem__", leave)
    with pytest.raises(PluginError, match=r"SystemExit: no more \(in data set toys/train\)$"):
        run(toy.recipe(steps=1, workers=1), tmp_path)


@pytest.mark.parametrize(("place", "error"), [*zip(("forward", "loss", "__init__"), ENDS, strict=True)], ids=repr)
def test_a_head_cannot_end_a_run(tmp_path, monkeypatch, error, place):
    def leave(*_, **__):
        raise error

    monkeypatch.setattr(toy.TallyHead, place, leave)
    recipe = toy.recipe(steps=1)
    model = recipe.model.model_copy(update={"tasks": {"tally": {}}})
    with pytest.raises(PluginError, match=r"must not end the program.*'tally' comes from plugin toys of tests 0"):
        run(recipe.model_copy(update={"model": model}), tmp_path)


def test_the_user_interrupts(tmp_path, monkeypatch):
    def interrupt(self, index):
        raise KeyboardInterrupt

    monkeypatch.setattr(toy.Toys, "__getitem__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(toy.recipe(steps=1), tmp_path)


def test_observers_cannot_end_a_run(tmp_path, caplog):
    class Leaver:
        @staticmethod
        @hookimpl
        def scenekit_step_done(step):
            raise Left("gone") if step == 1 else MuteError

    plugin = Leaver()
    registry().add(plugin, Origin("leaver", "tests", "0"))
    try:
        run(toy.recipe(steps=2), tmp_path)
    finally:
        registry().manager.unregister(plugin)
    assert caplog.text.count("plugin leaver of tests 0 failed in scenekit_step_done; the run continues") == 2
    assert (tmp_path / "model" / "manifest.json").is_file()


@pytest.mark.parametrize("error", [InputError("no boxes here"), SystemExit(0)], ids=repr)
def test_evaluators_are_made_before_the_first_step(tmp_path, monkeypatch, caplog, error):
    def refuse(self, vocabulary):
        raise error

    monkeypatch.setattr(DetectionEvaluator, "__init__", refuse)
    recipe = toy.recipe(steps=2)
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"evaluate_every": 2})})
    recipe = with_data(recipe, val={"name": "toys", "split": "val"})
    with pytest.raises((InputError, PluginError)):
        run(recipe, tmp_path / "evaluated")
    assert not (tmp_path / "evaluated").exists()
    with caplog.at_level(logging.WARNING):
        run(toy.recipe(steps=1), tmp_path / "not")
    assert "the model that this run trains cannot be evaluated: " in caplog.text


def test_a_recipe_that_cannot_be_written_is_refused_before_the_run(tmp_path, monkeypatch):
    def build(split, count=4, extra=None):
        return toy.Toys(4)

    spec = registry().get("dataset", "toys")
    monkeypatch.setitem(registry().records["dataset"], "toys", [(replace(spec, build=build), Origin("t", "t", "0"))])
    recipe = with_data(toy.recipe(steps=1), train=[{"name": "toys", "options": {"extra": object()}}])
    with pytest.raises(InputError, match="cannot be written as YAML"):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_several_tasks_miss_are_named_at_once(tmp_path):
    recipe = toy.recipe(steps=1)
    tasks = {"captions": {}, "relations": {}, "attributes": {}}
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"tasks": tasks})})
    with pytest.raises(InputError, match=r"no captions.*vocabulary with predicates.*vocabulary with attributes"):
        run(recipe, tmp_path)


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run(toy.recipe(steps=1, save_every=1), tmp_path)
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda content, file: save(content, Full(file)))
    with pytest.raises(InputError, match=r"cannot write .*state\.pt: No space left on device; free some") as caught:
        run(toy.recipe(steps=2, save_every=1), tmp_path, resume=True)
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000001"]


def test_no_space_for_a_checkpoint_is_known_before(tmp_path, monkeypatch):
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(InputError, match="no space left for a checkpoint of 1 MB"):
        run(toy.recipe(steps=1), tmp_path)


def test_a_checkpoint_is_removed_under_another_name(tmp_path, monkeypatch):
    """A run that is killed while it removes files leaves no folder that looks like a checkpoint."""
    run(toy.recipe(steps=2, save_every=1, keep=2), tmp_path)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    remove(checkpoints(tmp_path)[0])
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_00000002"]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    monkeypatch.undo()
    clear_leftovers(tmp_path)
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["step_00000002"]


def test_no_more_workers_than_cores(monkeypatch, caplog):
    warn_once.cache_clear()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5}, raising=False)
    assert [usable_workers(wanted) for wanted in (0, 3, 1000)] == [0, 3, 3]
    assert "train.workers is 1000, but 3 processor cores can be used: 3 workers start" in caplog.text


@pytest.mark.parametrize(
    ("option", "value"),
    [("batch_size", 10**9), ("steps", 10**18), ("workers", 10**6), ("save_every", 0), ("keep", -1), ("seed", "x")],
)
def test_sizes_that_cannot_be(option, value):
    with pytest.raises(InputError, match=f"'train.{option}'") as caught:
        toy.recipe(**{option: value})
    assert "\n" not in str(caught.value)
