"""Visual Genome's files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenekit as sk
from tests.datasets.visual_genome_files import documents, write
from tests.properties.hostile import files, refused_or, replace
from tests.properties.invariants import assert_sound

NAMES = sorted(documents())


@given(st.sampled_from(NAMES), st.data(), st.sampled_from(["skip", "refuse"]))
def test_data_set(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject, faulty: str) -> None:
    root = tmp_path_factory.mktemp("vg")
    write(root, documents())
    replace(root / f"{name}.json", data.draw(files(documents()[name])))
    opened = refused_or(lambda: sk.dataset("visual_genome", root=str(root), split="all", faulty=faulty, cache=False))
    for index in range(len(opened) if opened is not None else 0):
        sample = refused_or(lambda index=index: opened[index])  # type: ignore[misc]
        if sample is not None:
            assert_sound(sample)
