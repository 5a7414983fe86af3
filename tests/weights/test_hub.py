"""Models to the hub and back, by the hub's real client against a server on this machine (see hub_server.py)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
import torch
import yaml
from huggingface_hub import constants

from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.weights import load, push_to_hub, save_model
from scenekit.weights.card import Evaluation
from scenekit.weights.fingerprints import fingerprint
from scenekit.weights.hub import download

from .. import tiny
from . import hub_server
from .hub_server import TOKEN

NAME = "acme/street"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(tiny.config(("masks", "semantic")), tiny.VOCABULARY).eval()


@pytest.fixture(scope="module")
def server():
    """One address for all tests: some versions of the client remember the first that they saw."""
    with hub_server.running() as hub:
        yield hub


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    """The client reads its environment once, when it is imported: here its constants are set in the same way."""
    for held in (server.repositories, server.objects, server.seen):
        held.clear()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    values = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + template[template.index("/{repo_id}") :],
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": True,
        "HF_TOKEN_PATH": str(tmp_path / "no_token"),
    }
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value, raising=False)  # not every version has them all
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return server


def same_weights(first, second):
    theirs = second.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in first.state_dict().items())


def test_there_and_back(hub, model):
    address = push_to_hub(model, NAME, token=TOKEN, message="first weights")
    repository = hub.repositories[NAME]
    assert [commit.message for commit in repository.branches["main"]] == ["initial commit", "first weights"]
    commit = repository.branches["main"][-1]
    assert address == f"{hub.url}/{NAME}/commit/{commit.sha}" and not repository.private
    assert set(commit.files) == {"model.safetensors", "manifest.json", "README.md"}
    loaded = load(NAME)
    assert loaded.config == model.config and loaded.vocabulary == model.vocabulary and not loaded.training
    assert same_weights(loaded, model)
    assert not [path for method, path in hub.seen if method == "GET" and path.endswith("README.md")]


def test_revisions(hub, model):
    push_to_hub(model, NAME, token=TOKEN)
    other = build(model.config, model.vocabulary)
    push_to_hub(other, NAME, token=TOKEN, revision="v2")
    commits = hub.repositories[NAME].branches
    assert len(commits["main"]) == 2 and len(commits["v2"]) == 3
    assert same_weights(load(f"{NAME}@v2"), other) and same_weights(load(NAME), model)
    assert same_weights(load(f"{NAME}@{commits['main'][-1].sha}"), model)


def test_what_was_brought_serves_offline(hub, model, monkeypatch):
    push_to_hub(model, NAME, token=TOKEN)
    load(NAME)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert same_weights(load(NAME), model)


def test_a_saved_model_goes_up_as_it_is(hub, model, tmp_path):
    measured = Evaluation(data="street/val", results={"detection": {"AP": 0.25}})
    extra = {"step": 7, "evaluations": [measured.model_dump(mode="json")]}
    save_model(model, tmp_path / "model", dtype=torch.float16, extra=extra)
    push_to_hub(tmp_path / "model", NAME, token=TOKEN, private=True, license="apache-2.0")
    repository = hub.repositories[NAME]
    files = repository.branches["main"][-1].files
    assert files["model.safetensors"] == (tmp_path / "model" / "model.safetensors").read_bytes()
    assert json.loads(files["manifest.json"])["extra"] == extra and repository.private
    front = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["model-index"][0]["results"][0]["metrics"] == [{"type": "AP", "name": "detection AP", "value": 0.25}]


def test_networks_of_an_export_go_there_and_back(hub, model, tmp_path):
    folder, path = tmp_path / "model", tmp_path / "model" / "networks" / "heads.masks" / "network.acme"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"graph")
    about = {"files": {"network.acme": fingerprint(path)}, "sizes": []}
    entry = {"format": "acme", "networks": {"heads.masks": about}}
    save_model(model, folder, entries={"networks": entry})
    push_to_hub(folder, NAME, token=TOKEN)
    assert hub.repositories[NAME].branches["main"][-1].files["networks/heads.masks/network.acme"] == b"graph"
    assert same_weights(load(NAME, networks=False), model)
    assert (download(NAME) / "networks" / "heads.masks" / "network.acme").read_bytes() == b"graph"
    with pytest.raises(InputError, match="unknown runtime 'acme'"):
        load(NAME)
    push_to_hub(model, NAME, token=TOKEN)
    assert set(hub.repositories[NAME].branches["main"][-1].files) == {"model.safetensors", "manifest.json", "README.md"}
    path.write_bytes(b"other")
    with pytest.raises(InputError, match=r"the checksum is not that of manifest.json"):
        push_to_hub(folder, NAME, token=TOKEN)


def test_evaluations_go_into_manifest_and_card(hub, model):
    measured = Evaluation(data="street/val", results={"detection": {"AP": 0.25, "APl": math.nan}})
    push_to_hub(model, NAME, token=TOKEN, evaluations=[measured])
    files = hub.repositories[NAME].branches["main"][-1].files
    (found,) = json.loads(files["manifest.json"])["extra"]["evaluations"]
    assert found["results"] == {"detection": {"AP": 0.25, "APl": None}}
    assert "| detection | AP | 0.25 |" in files["README.md"].decode()
    load(NAME)


def test_one_file_goes_up_as_a_folder(hub, model, tmp_path):
    save_model(model, tmp_path / "model.safetensors", extra={"step": 3})
    push_to_hub(tmp_path / "model.safetensors", NAME, token=TOKEN)
    files = hub.repositories[NAME].branches["main"][-1].files
    assert json.loads(files["manifest.json"])["extra"] == {"step": 3} and same_weights(load(NAME), model)


def refused(message, call, *arguments, **options):
    with pytest.raises(InputError, match=message) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_refusals(hub, model):
    refused("acme/street: the Hugging Face hub requires a token; log in with `hf auth login`", push_to_hub, model, NAME)
    refused("does not permit this with the token", push_to_hub, model, "others/street", token=TOKEN)
    refused("not a name of the Hugging Face hub", push_to_hub, model, "street sign/1/2", token=TOKEN)
    refused("acme/street: no such folder, and the Hugging Face hub has no such repository", load, NAME)
    push_to_hub(model, NAME, token=TOKEN, private=True)
    refused("has no such repository, or it is private", load, NAME)
    hub.repositories[NAME].private = False
    refused(r"acme/street@v9: .* has no revision 'v9'", load, f"{NAME}@v9")


def test_out_of_reach(hub, model, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refused("acme/street: the Hugging Face hub cannot be reached", push_to_hub, model, NAME, token=TOKEN)
    refused("acme/street: no such folder, and the Hugging Face hub cannot be reached", load, NAME)


def test_by_the_environment(hub, model, tmp_path):
    """As a user would point the client elsewhere, in a process of its own."""
    save_model(model, tmp_path / "model")
    code = (
        f"import scenekit as sk; sk.push_to_hub({str(tmp_path / 'model')!r}, {NAME!r});print(sk.load({NAME!r}).tasks)"
    )
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    environment |= {"HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "('masks', 'semantic')"
