"""The manifest of a model's folder, and the folder's files as bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scenekit as sk
from scenekit.weights import save_model
from tests import tiny
from tests.properties.hostile import damaged, files, refused_or, replace


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of one small task."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(sk.build(tiny.config(("masks",)), tiny.VOCABULARY), folder)
    return folder


@given(st.data())
def test_manifests(folder: Path, data: st.DataObject) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    document: Any = json.loads(whole)
    replace(path, data.draw(files(document)))
    try:
        model = refused_or(lambda: sk.load(folder))
    finally:
        path.write_bytes(whole)
    assert model is None or isinstance(model, sk.SceneModel)


@given(st.data())
def test_weights(folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    copy = tmp_path_factory.mktemp("copy") / "model"
    shutil.copytree(folder, copy)
    path = copy / "model.safetensors"
    content = path.read_bytes()
    head = content[:20_000]
    path.write_bytes(data.draw(damaged(head)) + content[20_000:])
    model = refused_or(lambda: sk.load(copy))
    shutil.rmtree(copy)
    assert model is None or isinstance(model, sk.SceneModel)
