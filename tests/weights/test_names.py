"""From a name to a model: folders, installed sources, the hub, and what is none of these."""

import os
from pathlib import Path

import pytest

from scenekit.errors import InputError
from scenekit.hooks import Origin, WeightSource, hookimpl, registry
from scenekit.model.build import build
from scenekit.weights import load

from ..training import toy


@pytest.mark.parametrize("name", ["./nothing", "nothing/", Path("nothing")])
def test_paths(name):
    with pytest.raises(InputError, match="there is no such folder"):
        load(name)


def test_files_are_no_models(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"x")
    with pytest.raises(
        InputError,
        match=r"expected a model of scenekit, a folder or a \.safetensors file; convert",
    ):
        load(tmp_path / "model.pth")


def test_unknown_name():
    with pytest.raises(InputError, match="unknown model 'smoll'") as caught:
        load("smoll")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["nonsense", "xpu"])
def test_devices_that_are_not_there(device):
    with pytest.raises(InputError, match=f"device '{device}' cannot be used here") as caught:
        load("smoll", device=device)
    assert "\n" not in str(caught.value)


def test_installed_sources_come_before_the_hub():
    asked = []
    toy.register()
    model = build(toy.recipe().model, toy.VOCABULARY)

    class Zoo:
        @hookimpl
        def scenekit_weights(self):
            yield WeightSource("acme", "models of the acme zoo", lambda name: asked.append(name) or model)

    zoo = Zoo()
    registry().add(zoo, Origin("zoo", "tests", "0"))
    try:
        assert load("acme/lion") is model and not model.training and asked == ["lion"]
    finally:
        registry().manager.unregister(zoo)
        del registry().records["weights"]["acme"]


def test_the_hub_out_of_reach(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"acme/street@v2: .*hub") as caught:
        load("acme/street@v2")
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == []


def test_from_the_hub(monkeypatch, tmp_path):
    asked = {}

    def fetch(repository, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(InputError, match=r"manifest\.json is missing"):
        load("acme/street@v2")
    patterns = ["manifest.json", "model.safetensors", "networks/*"]
    assert asked == {"repository": "acme/street", "revision": "v2", "patterns": patterns}
