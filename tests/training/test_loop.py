"""Training as a user sees it: it learns, keeps what it says, goes on where it stopped, refuses what it cannot do."""

import json
import logging
import sys

import pytest
import torch
from safetensors.torch import load_file

from scenekit.cli.evaluate import data_config
from scenekit.errors import InputError, warn_once
from scenekit.hooks import Origin, hookimpl, registry
from scenekit.model.targets import Targets
from scenekit.recipe import Recipe
from scenekit.training.devices import accelerator_for
from scenekit.training.freezing import freeze_except
from scenekit.training.log import read_log
from scenekit.training.loop import train
from scenekit.training.state import checkpoints, load_state
from scenekit.weights import load
from scenekit.weights.checkpoint import read_manifest

from ..tiny import same_weights
from . import toy


@pytest.fixture(autouse=True)
def toys():
    toy.register()


def changed(recipe, **sections):
    content = recipe.model_dump(mode="json")
    for section, values in sections.items():
        content[section] = {**content[section], **values}
    return Recipe.parse(content)


def run(recipe, out, **options):
    return train(recipe, out=out, device="cpu", progress=False, **options)


def losses(out):
    return [{k: v for k, v in record.items() if k != "images_per_second"} for record in read_log(out / "log.jsonl")]


def test_a_run_learns_and_leaves_everything_behind(tmp_path):
    recipe = toy.recipe(steps=30, batch_size=4, lr=2e-3, save_every=100, grad_norm_every=10, ema=0.9)
    model = run(recipe, tmp_path / "run")
    records = read_log(tmp_path / "run" / "log.jsonl")
    assert [record["step"] for record in records] == list(range(1, 31))
    first, last = (sum(record["loss"] for record in part) for part in (records[:5], records[-5:]))
    assert last < 0.7 * first
    assert {"semantic.pixel", "masks.mask"} <= set(records[0]["losses"])
    assert set(records[0]["grad_norm"]) == {"total"}
    assert {"total", "semantic", "masks", "keypoints", "detection"} <= set(records[9]["grad_norm"])
    loaded = load(tmp_path / "run" / "model")
    assert same_weights(model, loaded)
    assert not model.training
    assert Recipe.load(tmp_path / "run" / "recipe.yaml") == recipe


def test_averaged_weights_are_what_is_kept(tmp_path):
    run(toy.recipe(steps=2, ema=0.9), tmp_path)
    state = load_state(checkpoints(tmp_path)[-1])
    final = load_file(tmp_path / "model" / "model.safetensors")
    name = next(name for name in final if name.endswith("weight"))
    assert torch.equal(final[name], state["ema"][name]) and not torch.equal(final[name], state["weights"][name])
    assert torch.equal(load_file(checkpoints(tmp_path)[-1] / "model.safetensors")[name], state["ema"][name])


def test_resuming_in_the_middle_of_a_log_window(tmp_path):
    options = {"ema": 0.9, "log_every": 3, "accumulate": 2}
    whole = toy.recipe(steps=6, save_every=2, keep=9, **options)
    model = run(whole, tmp_path / "whole")
    (tmp_path / "cut" / "checkpoints").mkdir(parents=True)
    for name in ("recipe.yaml", "log.jsonl"):
        (tmp_path / "cut" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    second = checkpoints(tmp_path / "whole")[1]
    second.rename(tmp_path / "cut" / "checkpoints" / second.name)
    again = run(whole, tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert same_weights(model, again)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    run(toy.recipe(steps=2), tmp_path)
    before = losses(tmp_path), (tmp_path / "model" / "model.safetensors").read_bytes()
    run(toy.recipe(steps=2), tmp_path, resume=True)
    assert (losses(tmp_path), (tmp_path / "model" / "model.safetensors").read_bytes()) == before


def test_resuming_nothing_begins(tmp_path):
    run(toy.recipe(steps=1), tmp_path / "new", resume=True)
    assert len(losses(tmp_path / "new")) == 1


def test_measuring_on_the_way(tmp_path):
    plain = toy.recipe(steps=4, save_every=2, ema=0.9)
    measured = changed(
        plain,
        data={"val": {"name": "toys", "split": "val"}},
        train={"evaluate_every": 2, "evaluate_limit": 3},
    )
    run(measured, tmp_path / "measured")
    first, second = read_log(tmp_path / "measured" / "evaluations.jsonl")
    assert (first["step"], second["step"]) == (2, 4)
    assert "AP50" in first["results"]["detection"] and 0 <= first["results"]["semantic"]["mIoU"] <= 1
    extra = read_manifest(tmp_path / "measured" / "model")["extra"]
    assert (extra["step"], extra["trained_on"]) == (4, ["toys/train"])
    (evaluation,) = extra["evaluations"]
    assert (evaluation["data"], evaluation["images"]) == ("toys/val", 3)
    assert evaluation["results"]["semantic"]["mIoU"] == second["results"]["semantic"]["mIoU"]
    assert evaluation["command"] == "scenekit evaluate --model NAME --data toys --split val --limit 3"
    run(plain, tmp_path / "plain")
    assert losses(tmp_path / "measured") == losses(tmp_path / "plain")  # measuring disturbs nothing


def test_each_of_several_data_sets_has_its_results_under_its_name(tmp_path):
    """A line each in the log, an entry each in the manifest; `scenekit evaluate` measures on all of them again."""
    val = [{"name": "toys", "split": "val", "options": {"count": 3}}, {"name": "toys", "split": "val"}]
    sections = {"data": {"val": val}, "train": {"evaluate_every": 1, "evaluate_limit": 4}}
    run(changed(toy.recipe(steps=2), **sections), tmp_path)
    records = read_log(tmp_path / "evaluations.jsonl")
    assert [(record["step"], record["data"]) for record in records] == [
        (1, "toys/val"),
        (1, "toys/val (2)"),
        (2, "toys/val"),
        (2, "toys/val (2)"),
    ]
    found = read_manifest(tmp_path / "model")["extra"]["evaluations"]
    assert [(entry["data"], entry["images"]) for entry in found] == [("toys/val", 3), ("toys/val (2)", 4)]
    assert [entry["results"] for entry in found] == [record["results"] for record in records[2:]]
    chosen = data_config(str(tmp_path / "model"), None, None, {})
    assert [entry.options for entry in chosen.train] == [{"count": 3}, {}]
    with pytest.raises(InputError, match=r"several data sets in data\.val; --split and --set need one"):
        data_config(str(tmp_path / "model"), None, "train", {})


def test_only_the_last_checkpoints_stay(tmp_path):
    run(toy.recipe(steps=5, save_every=1, keep=2), tmp_path)
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_00000004", "step_00000005"]
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if path.name.startswith(".")]


def test_mixed_precision(tmp_path):
    run(toy.recipe(steps=2, precision="bf16"), tmp_path)
    assert all(torch.tensor(record["loss"]).isfinite() for record in losses(tmp_path))
    run(toy.recipe(steps=1), tmp_path / "full")  # the next run of the same process may want another precision


@pytest.mark.parametrize(("capabilities", "warned"), [({"avx2": True}, 1), ({"avx512_bf16": True}, 0), ({}, 0)])
def test_a_processor_without_bfloat16_is_slow_in_it(capabilities, warned, caplog, monkeypatch):
    warn_once.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    with accelerator_for("bf16", "cpu"):
        pass
    assert [record.levelname for record in caplog.records if "bfloat16" in record.getMessage()] == ["WARNING"] * warned


def test_accumulating_uses_the_same_images(tmp_path):
    run(toy.recipe(steps=1, batch_size=4), tmp_path / "large")
    run(toy.recipe(steps=1, batch_size=2, accumulate=2), tmp_path / "small")
    large, small = (losses(tmp_path / name)[0]["losses"] for name in ("large", "small"))
    assert small["semantic.pixel"] == pytest.approx(large["semantic.pixel"], rel=1e-4)


def test_a_model_that_learns_from_part_of_the_data(tmp_path, caplog):
    never = {"name": "toys", "options": {"labelled": ["masks"]}, "weight": 1e-9}
    data = [{"name": "toys", "options": {"labelled": ["semantic"]}}, never]
    run(changed(toy.recipe(steps=3, batch_size=1), data={"train": data}), tmp_path)
    assert all("masks.mask" not in record["losses"] for record in losses(tmp_path))
    warnings = [record.getMessage() for record in caplog.records if "task masks" in record.getMessage()]
    assert len(warnings) == 1 and "which learns from masks" in warnings[0] and "none had labels" in warnings[0]
    warnings = [record.getMessage() for record in caplog.records if "task keypoints" in record.getMessage()]
    assert warnings == ["nothing supervises the task keypoints: of 64 images none has keypoints"]


def test_labels_that_no_region_matches_are_not_called_missing(tmp_path, caplog, monkeypatch):
    """Labels are there, but the regions of no image match: the warning counts the images and gives this reason."""
    monkeypatch.setattr(Targets, "learnable", lambda self, key, regions: torch.zeros(len(regions), dtype=torch.bool))
    run(toy.recipe(steps=3, batch_size=1), tmp_path)
    warnings = [record.getMessage() for record in caplog.records if "task masks" in record.getMessage()]
    assert len(warnings) == 1 and "1 had labels, but no region of the network matched" in warnings[0]


def test_observers_hear_of_it_and_cannot_disturb(tmp_path, caplog):
    heard = []

    class Listener:
        @hookimpl
        def scenekit_run_started(self, recipe, folder):
            heard.append(("started", folder))

        @hookimpl
        def scenekit_step_done(self, step, record):
            heard.append(("step", step, record["loss"]))
            raise RuntimeError("observer broke")

        @hookimpl
        def scenekit_run_ended(self, step, reason):
            heard.append(("ended", step, reason))

    listener = Listener()
    registry().add(listener, Origin("listener", "tests", "0"))
    try:
        with caplog.at_level(logging.ERROR):
            run(toy.recipe(steps=2), tmp_path)
    finally:
        registry().manager.unregister(listener)
    assert [entry[:2] for entry in heard] == [("started", str(tmp_path)), ("step", 1), ("step", 2), ("ended", 2)]
    assert heard[-1][2] == "finished" and "observer broke" in caplog.text


def test_weights_of_losses_that_there_are_not(tmp_path):
    refused(toy.recipe(loss_weights={"masks.maks": 9}), tmp_path, "has no loss 'masks.maks'; did you mean 'masks.mask'")


def test_losses_that_are_not_finite_stop_the_run(tmp_path):
    recipe = toy.recipe(steps=4, loss_weights={"semantic": 1e300}, save_every=1)
    with pytest.raises(InputError, match="step 1: the gradient is not finite"):
        run(recipe, tmp_path)
    assert checkpoints(tmp_path) == [] and not (tmp_path / "model").exists()


def test_a_run_that_fails_at_once_can_be_started_anew(tmp_path):
    refused(toy.recipe(steps=1, loss_weights={"semantic": 1e300}), tmp_path, "step 1: the gradient")
    assert list(tmp_path.iterdir()) == []
    run(toy.recipe(steps=1), tmp_path)
    assert len(losses(tmp_path)) == 1


def refused(recipe, out, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        train(recipe, out=out, progress=False, **{"device": "cpu", **options})
    assert "\n" not in str(caught.value)


def test_folders_that_are_taken(tmp_path):
    run(toy.recipe(steps=1), tmp_path / "run")
    refused(toy.recipe(steps=1), tmp_path / "run", "holds a run already")
    refused(toy.recipe(steps=1, lr=0.5, seed=3), tmp_path / "run", "train.lr, train.seed changed", resume=True)
    (tmp_path / "file").write_text("x")
    refused(toy.recipe(steps=1), tmp_path / "file", "is a file; expected a folder")
    assert len(losses(tmp_path / "run")) == 1


def test_unusable_requests_leave_nothing_behind(tmp_path):
    out = tmp_path / "run"
    recipe = toy.recipe(steps=1)
    refused(changed(recipe, data={"train": [{"name": "toyz"}]}), out, "unknown dataset 'toyz'; did you mean 'toys'")
    refused(changed(recipe, data={"train": [{"name": "toys", "split": "vall"}]}), out, "no split 'vall'.*'val'")
    options = [{"name": "toys", "options": {"sides": 3}}]
    refused(changed(recipe, data={"train": options}), out, "no option 'sides'; did you mean 'side'")
    refused(changed(recipe, model={"tasks": {"semantics": {}}}), out, "did you mean 'semantic'")
    refused(toy.recipe(steps=1, loss_weights={"mask": 2}), out, "has no 'mask'")
    refused(recipe, out, "unknown device 'gpu'", device="gpu")
    refused(recipe, out, "is not available here", device="xpu")
    assert not out.exists()


def test_what_may_change_on_the_way(tmp_path):
    run(toy.recipe(steps=2), tmp_path)
    longer = changed(toy.recipe(steps=3, save_every=3, keep=1), data={"val": {"name": "toys", "split": "val"}})
    run(longer, tmp_path, resume=True)
    assert len(losses(tmp_path)) == 3


def test_damaged_checkpoints(tmp_path):
    run(toy.recipe(steps=2), tmp_path)
    state = checkpoints(tmp_path)[-1] / "state.pt"
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    refused(toy.recipe(steps=4), tmp_path, "damaged or cut off", resume=True)
    torch.save({"format_version": 1, "step": 2, "weights": {}}, state)
    refused(toy.recipe(steps=4), tmp_path, "state.pt: 'optimizer' is missing", resume=True)
    torch.save({"format_version": 99}, state)
    refused(toy.recipe(steps=4), tmp_path, "expected format version 1, got 99", resume=True)
    state.unlink()
    refused(toy.recipe(steps=4), tmp_path, "no such file", resume=True)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr("scenekit.training.state.torch.save", full)
    refused(toy.recipe(steps=1, save_every=1), tmp_path, r"cannot write .*state\.pt: PytorchStreamWriter failed")


def test_checkpoints_cannot_run_code(tmp_path):
    run(toy.recipe(steps=2), tmp_path)

    class Evil:
        def __reduce__(self):
            return sys.exit, (3,)

    torch.save({"format_version": 1, "step": Evil()}, checkpoints(tmp_path)[-1] / "state.pt")
    refused(toy.recipe(steps=4), tmp_path, "damaged or cut off", resume=True)


def test_the_log_is_json(tmp_path):
    run(toy.recipe(steps=2), tmp_path)
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        assert {"step", "lr", "loss", "losses", "weighted", "grad_norm", "images_per_second"} == set(json.loads(line))


def test_a_part_without_weights_cannot_be_trained(tmp_path):
    model = run(toy.recipe(steps=1, ema=None), tmp_path)
    model.heads["masks"] = torch.nn.Identity()
    with pytest.raises(InputError, match="masks has no weights to train; parts with weights are backbone"):
        freeze_except(model, ["masks"])


def test_a_task_is_taught_while_all_else_stays(tmp_path):
    first = run(toy.recipe(steps=2, ema=None), tmp_path / "before")
    before = {name: value.clone() for name, value in first.state_dict().items()}
    freeze_except(first.train(), ["masks"])
    assert [name for name, part in first.parts.items() if any(module.training for module in part.modules())] == [
        "masks"
    ]
    start = {**toy.recipe(steps=3, ema=0.9).model_dump(mode="json"), "init": str(tmp_path / "before" / "model")}
    more = changed(Recipe.parse(start), train={"only": ["masks"]})
    after = run(more, tmp_path / "after").state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("heads.masks.") for name in moved)
    assert set(losses(tmp_path / "after")[0]["losses"]) == {"masks.mask"}
    with pytest.raises(InputError, match=r"this model has no task or stage 'mask'.*masks"):
        run(changed(more, train={"only": ["mask"]}), tmp_path / "misspelt")
    with pytest.raises(InputError, match="set init"):
        changed(toy.recipe(), train={"only": ["masks"]})


def test_init_brings_its_model(tmp_path):
    """Also when the run is resumed; what the recipe sets of it goes first."""
    first = run(toy.recipe(steps=2, ema=None), tmp_path / "before")
    plain = toy.recipe(steps=2, ema=None).model_dump(mode="json", exclude={"model"})
    start = {**plain, "init": str(tmp_path / "before" / "model"), "model": {"tasks": {"masks": {}}}}
    second = run(Recipe.parse(start), tmp_path / "after")
    assert second.tasks == ("masks",) and second.config.tasks["masks"] == first.config.tasks["masks"]
    assert second.config.model_dump(exclude={"tasks"}) == first.config.model_dump(exclude={"tasks"})
    assert Recipe.load(tmp_path / "after" / "recipe.yaml").model.pyramid.channels == 16
    longer = {**start, "train": {**start["train"], "steps": 3}}
    assert run(Recipe.parse(longer), tmp_path / "after", resume=True).tasks == ("masks",)


def test_init_that_gives_little_is_refused(tmp_path):
    run(toy.recipe(steps=2, ema=None), tmp_path / "before")
    other = toy.recipe(steps=2).model_dump(mode="json")
    other["model"]["pyramid"]["channels"] = 8
    other["model"]["backbone"]["options"] = {"width": 8}
    with pytest.raises(InputError, match=r"init: only \d+% of the parameters .* fit; leave `model` out"):
        run(Recipe.parse({**other, "init": str(tmp_path / "before" / "model")}), tmp_path / "after")
