"""Starting from another model: what fits is taken, the rest stays fresh, and a run can begin that way."""

import logging

import torch

from scenekit.assembly import build
from scenekit.structures.vocabulary import Vocabulary
from scenekit.training.log import read_log
from scenekit.training.loop import _start_from, train
from scenekit.weights import save_model
from scenekit.weights.transfer import transfer

from .. import tiny
from ..training import toy


def test_what_fits_is_taken_and_the_rest_named():
    source = build(tiny.config(("masks", "semantic")), tiny.VOCABULARY)
    target = build(tiny.config(("masks", "keypoints")), tiny.VOCABULARY)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    moved = transfer(source, target)
    assert all(name.startswith("heads.keypoints.") for name in moved.fresh) and moved.fresh
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name] if name in moved.fresh else source.state_dict()[name]), name


def test_other_shapes_stay_fresh():
    wider = tiny.config(("masks",)).model_copy(update={"tasks": {"masks": {**tiny.TASKS["masks"], "channels": 16}}})
    moved = transfer(build(tiny.config(("masks",)), tiny.VOCABULARY), build(wider, tiny.VOCABULARY))
    assert moved.fresh and all(name.startswith("heads.masks.") for name in moved.fresh)


def test_other_labels_are_warned_of(tmp_path, caplog):
    source = build(tiny.config(("masks",)), tiny.VOCABULARY)
    save_model(source, tmp_path / "model")
    renamed = Vocabulary(("mug", "person"), ("floor", "wall"))
    for vocabulary, warned in ((tiny.VOCABULARY, False), (renamed, True)):
        with caplog.at_level(logging.WARNING, logger="scenekit"):
            _start_from(str(tmp_path / "model"), build(tiny.config(("masks",)), vocabulary))
        assert ("has other labels than the data of this run" in caplog.text) == warned


def test_a_run_starts_from_another_models_weights(tmp_path):
    toy.register()
    first = train(toy.recipe(steps=20, log_every=1), out=tmp_path / "first", progress=False)
    save_model(first, tmp_path / "model")
    again = toy.recipe(steps=1).model_copy(update={"init": str(tmp_path / "model")})
    train(again, out=tmp_path / "again", progress=False)
    train(toy.recipe(steps=1), out=tmp_path / "fresh", progress=False)
    loss = {name: next(iter(read_log(tmp_path / name / "log.jsonl")))["loss"] for name in ("again", "fresh")}
    assert loss["again"] < 0.9 * loss["fresh"]
