"""Recipes as files and as options of the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

import scenekit as sk
from tests.properties.hostile import TEXTS, WORDS, damaged, files, refused_or, replace

RECIPE = Path(__file__).parents[2] / "recipes" / "small.yaml"
TEXT = RECIPE.read_bytes()
DOCUMENT: Any = json.loads(json.dumps(yaml.safe_load(TEXT)))


def assert_read(path: Path) -> None:
    """A recipe that is read can be written, and read again as the same."""
    recipe = refused_or(lambda: sk.Recipe.load(path))
    if recipe is not None:
        recipe.save(path)
        assert sk.Recipe.load(path) == recipe


@given(files(DOCUMENT))
def test_structures(tmp_path: Path, content: bytes) -> None:
    assert_read(replace(tmp_path / "recipe.yaml", content))


@given(damaged(TEXT))
def test_texts(tmp_path: Path, content: bytes) -> None:
    assert_read(replace(tmp_path / "recipe.yaml", content))


PLACES = st.sampled_from(
    [
        "train.lr",
        "train.steps",
        "model.tasks",
        "data.train.0.options",
        "data.train.0.name",
        "model.input.mean",
        "x",
        "",
        "train.",
        ".lr",
        "train.lr.x",
        "data.train.7.name",
    ]
)
VALUES = st.one_of(
    TEXTS,
    st.sampled_from(WORDS),
    st.sampled_from(
        [".inf", ".nan", "{a:b}", "[", "*x", "&a [*a]", "!!python/object:os.system x", "{", "- -", "[" * 4000]
    ),
)


@given(PLACES, VALUES)
def test_options(place: str, value: str) -> None:
    refused_or(lambda: sk.Recipe.load(RECIPE, overrides=[f"{place}={value}"]))
