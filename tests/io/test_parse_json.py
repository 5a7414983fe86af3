"""JSON of any form and paths of any form end in one line that names them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import scenekit as sk
from scenekit.errors import InputError
from scenekit.graph.export import load_graph
from scenekit.io.files import path_named, read_text
from scenekit.io.records import parse_json
from scenekit.recipe.recipe import read_content
from scenekit.weights.checkpoint import read_manifest

DEEP = '{"a": ' * 100_000


def one_line_of(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000
    return str(caught.value)


@pytest.mark.parametrize("text", ["{", "", DEEP, "[" * 100_000, b"\xff\xfe\x00", '{"a": NaN,}'])
def test_what_is_no_json(text: str | bytes) -> None:
    assert one_line_of(lambda: parse_json(text, "a.json")).startswith("a.json is not valid JSON: ")


def test_whole_numbers_of_any_length() -> None:
    assert parse_json("[7, " + "9" * 5000 + "]", "a.json") == [7, float("inf")]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("scene.json", sk.Scene.load),
        ("graph.json", load_graph),
        ("manifest.json", lambda path: read_manifest(path.parent)),
    ],
)
def test_files_nested_too_deeply(tmp_path: Path, name: str, read: Callable[[Path], object]) -> None:
    (tmp_path / name).write_text(DEEP)
    message = one_line_of(lambda: read(tmp_path / name))
    assert name in message and "nested too deeply" in message


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 300, "a/" * 5000])
def test_names_that_no_file_can_have(name: str) -> None:
    assert "cannot be the path of a file" in one_line_of(lambda: path_named(name))
    assert "cannot be the path of a file" in one_line_of(lambda: read_text(name))


@pytest.mark.parametrize("name", ["~no_such_user/x", "nothing/here", "~"])
def test_names_without_a_file(name: str) -> None:
    assert path_named(name) == Path(name).expanduser() if name == "~" else path_named(name) == Path(name)


def test_splits_without_end() -> None:
    assert "has no split" in one_line_of(lambda: sk.dataset("synthetic", split="x" * 5000))


@pytest.mark.parametrize(
    "override",
    ["a" * 100_000 + "=[", "." * 5000 + "=1", ".".join("a" * 5000) + "=1", "list." + "9" * 5000 + "=1", "list.x=1"],
)
def test_overrides_of_any_length(tmp_path: Path, override: str) -> None:
    (tmp_path / "recipe.yaml").write_text(json.dumps({"list": [1]}))
    with pytest.raises(InputError, match="override"):
        read_content(tmp_path / "recipe.yaml", [override])
