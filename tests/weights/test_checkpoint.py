"""Models on disk: what comes back is what was written, and every damage is named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.recipe import ModelConfig
from scenekit.structures.vocabulary import Skeleton, Vocabulary
from scenekit.weights import checkpoint as checkpoint_module
from scenekit.weights import load, load_model, save_model, shipped
from scenekit.weights.fingerprints import fingerprint

from .. import tiny
from ..training import toy

VOCABULARY = Vocabulary(("cat", "dog"), ("sky",), skeletons={"cat": Skeleton(("nose",), sigmas=(0.1,))})
CONFIG = ModelConfig.model_validate(
    {
        "backbone": {"name": "toynet", "options": {"width": 8}},
        "pyramid": {"channels": 8},
        "detector_options": {"box_head": {"fcs": [8]}},
        "tasks": {"semantic": {"channels": 8, "norm_groups": 4}},
    }
)


@pytest.fixture(scope="module")
def model():
    toy.register()
    torch.manual_seed(0)
    return build(CONFIG, VOCABULARY)


@pytest.fixture
def folder(model, tmp_path):
    save_model(model, tmp_path / "model", extra={"AP": 0.5})
    return tmp_path / "model"


def edit(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_round_trip(model, folder):
    loaded = load(folder)
    assert loaded.config == CONFIG and loaded.vocabulary == VOCABULARY and not loaded.training
    assert tiny.same_weights(model, loaded)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format_version"] == 1 and manifest["extra"] == {"AP": 0.5} and "scenekit" in manifest
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.safetensors"]


def test_whoever_may_read_the_manifest_may_read_the_weights(model, tmp_path):
    save_model(model, tmp_path / "m")
    save_model(model, tmp_path / "m.safetensors")
    files = (*(tmp_path / "m").iterdir(), tmp_path / "m.safetensors")
    assert len({file.stat().st_mode for file in files}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "m.safetensors"]


def test_half_precision_on_disk_is_single_in_memory(model, tmp_path):
    save_model(model, tmp_path, dtype=torch.float16)
    stored = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    loaded = load_model(tmp_path).state_dict()
    for name, value in model.state_dict().items():
        assert loaded[name].dtype == value.dtype
        torch.testing.assert_close(loaded[name], value, atol=1e-3, rtol=1e-3)


def test_what_half_precision_cannot_hold_stays_single(model, tmp_path):
    name, value = next(item for item in model.state_dict().items() if item[1].is_floating_point())
    before = value.clone()
    try:
        value.view(-1)[0] = 1e6
        save_model(model, tmp_path, dtype=torch.float16)
        assert load_model(tmp_path).state_dict()[name].view(-1)[0] == 1e6
    finally:
        value.copy_(before)


def test_where_the_backbone_started_from_stays_behind(model, tmp_path):
    backbone = CONFIG.backbone.model_copy(update={"weights": "somewhere/else.pth"})
    started = build(CONFIG, VOCABULARY)
    started.config = CONFIG.model_copy(update={"backbone": backbone})
    save_model(started, tmp_path / "model")
    assert "somewhere" not in (tmp_path / "model" / "manifest.json").read_text()
    assert load_model(tmp_path / "model").config == CONFIG


def test_remarks_that_are_none(folder):
    edit(folder, extra=[1])
    refused(folder, "'extra' must be a JSON object, got list")


def test_missing(tmp_path, folder):
    refused(tmp_path / "nothing", "there is no such folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "manifest.json is missing$")
    refused(tmp_path, f"manifest.json is missing; did you mean {folder}")
    (folder / "model.safetensors").unlink()
    refused(folder, "no such file")


def test_cut_off(folder):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    refused(folder, f"expected {len(content)} bytes, got {len(content) - 100}; the file is cut off")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text()[:200])
    refused(folder, "manifest.json is not valid JSON")


def test_torn_pair(model, folder):
    state = load_file(folder / "model.safetensors")
    save_file(
        {name: value + 1 if value.is_floating_point() else value for name, value in state.items()},
        folder / "model.safetensors",
    )
    refused(folder, "the two files do not belong together")


def test_packages_that_are_no_names(folder):
    edit(folder, packages={"masks": {"value": "scenekit"}})
    refused(folder, "'packages' must be names of packages by task, got masks: an object with the fields value")


def test_no_safetensors(folder):
    (folder / "model.safetensors").write_bytes(b"something else")
    edit(folder, weights=fingerprint(folder / "model.safetensors"))
    refused(folder, "expected weights in safetensors format")


def test_other_formats(folder):
    edit(folder, format_version=7)
    refused(folder, "expected format version 1, got 7")
    (folder / "manifest.json").write_text("[]")
    refused(folder, "expected format version 1, got None")
    (folder / "manifest.json").write_text('{"format_version": 1}')
    refused(folder, "'model' is missing")


@pytest.mark.parametrize("entry", ["model", "vocabulary", "weights"])
def test_entries_that_are_none(folder, entry):
    edit(folder, **{entry: "text"})
    refused(folder, f"'{entry}' must be a JSON object, got str")


def test_a_folder_in_a_file_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write .*file/model: Not a directory"):
        save_model(model, tmp_path / "file" / "model")


def test_another_recipe(folder):
    content = json.loads((folder / "manifest.json").read_text())["model"]
    edit(folder, model={**content, "pyramid": {**content["pyramid"], "channels": 16}})
    refused(folder, "of another model than the manifest describes: .* and [0-9]+ more of another shape")
    edit(folder, model={**content, "tasks": {}})
    refused(folder, "heads.semantic.* unknown")
    edit(folder, model={**content, "tasks": {**content["tasks"], "masks": {}}})
    refused(folder, "heads.masks.* missing")
    edit(folder, model={**content, "colour": "red"})
    refused(folder, "does not describe a model of this version")
    edit(folder, model=content, vocabulary={"thing": ["cat"]})
    refused(folder, "does not describe a model of this version")
    for wrong in ([], ["cat"], 3, {"cat": []}, {"cat": {"points": [1]}}, {"cat": {"points": ["a"], "sigmas": [-1.0]}}):
        edit(folder, model=content, vocabulary={"things": ["cat", "dog"], "skeletons": wrong})
        refused(folder, r"manifest.json: does not describe a model .*\(vocabulary: skeletons")


def test_a_failed_save_leaves_the_old_model(model, folder, monkeypatch):
    before = (folder / "model.safetensors").read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint_module, "save_file", full)
    with pytest.raises(InputError, match=r"cannot write .*model\.safetensors: no space left on device"):
        save_model(model, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.safetensors"]
    load_model(folder)


def test_shipped_models_are_found_by_name():
    assert all((folder / "model.safetensors").is_file() for folder in shipped().values())


def test_a_task_that_is_not_installed_is_left_out(tmp_path, caplog, monkeypatch):
    """Its weights and those of stages that it brought too; the warning names it and its package."""
    toy.register()
    torch.manual_seed(0)
    tasks = {"semantic": {"channels": 8, "norm_groups": 4}, "captions": {"lstm": {"features": 8, "width": 8}}}
    whole = build(CONFIG.model_copy(update={"tasks": tasks}), VOCABULARY)
    save_model(whole, tmp_path / "new")
    save_model(whole, tmp_path / "old")
    manifest = json.loads((tmp_path / "old" / "manifest.json").read_text())
    assert manifest.pop("packages") == {"semantic": "scenekit", "captions": "scenekit"}
    (tmp_path / "old" / "manifest.json").write_text(json.dumps(manifest))
    edit(tmp_path / "new", packages={"captions": "scenekit-words"})
    monkeypatch.delitem(checkpoint_module.registry().records["task"], "captions")
    for name, package in (("new", "scenekit-words"), ("old", "an unknown package")):
        caplog.clear()
        loaded = load(tmp_path / name)
        assert loaded.tasks == ("semantic",) and "phrases" not in loaded.stages
        (record,) = caplog.records
        assert f"left out: 'captions' of {package}; install" in record.getMessage()
        assert tiny.same_weights(loaded, whole)


def test_a_task_that_requires_a_missing_one_is_refused(tmp_path, monkeypatch):
    toy.register()
    tasks = {"semantic": {"channels": 8, "norm_groups": 4}, "masks": {"channels": 8, "convs": 1}, "panoptic": {}}
    save_model(build(CONFIG.model_copy(update={"tasks": tasks}), VOCABULARY), tmp_path)
    monkeypatch.delitem(checkpoint_module.registry().records["task"], "masks")
    refused(tmp_path, "'panoptic' requires 'masks'.*not installed are left out: 'masks' of scenekit")
