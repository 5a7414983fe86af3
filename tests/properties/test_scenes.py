"""Scene files: what is read can be written, read again, and made a graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenekit as sk
from tests.properties.hostile import files, refused_or, replace
from tests.properties.invariants import assert_usable


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A synthetic scene with every kind of value but meshes, whose numbers would be nearly all of the file."""
    keys = ["masks", "keypoints", "panoptic", "relations", "attributes", "captions", "boxes3d", "phrase_captions"]
    data = sk.dataset("synthetic", split="test", size=[24, 32], keys=keys, cache=False)
    path = tmp_path_factory.mktemp("scene") / "scene.json"
    data[0].scene.save(path)
    return json.loads(path.read_text())


@given(st.data())
def test_scenes(tmp_path: Path, document: Any, data: st.DataObject) -> None:
    path = replace(tmp_path / "scene.json", data.draw(files(document)))
    scene = refused_or(lambda: sk.Scene.load(path))
    if scene is not None:
        assert_usable(scene)
