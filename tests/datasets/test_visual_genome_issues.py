"""Files of Visual Genome that cannot be right, and its index: stored whole, or not at all."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenekit as sk
from scenekit.errors import InputError
from scenekit_datasets.visual_genome import index as indexing
from scenekit_datasets.visual_genome.index import open_index
from scenekit_datasets.visual_genome.layout import find_files
from scenekit_datasets.visual_genome.splits import in_split
from tests.datasets.visual_genome_files import HAT, MAN, documents, image, listed, region, relation, thing, write

Change = Callable[[dict[str, Any]], Any]


def opened(folder: Path, data: dict[str, Any] | None = None, **options: Any) -> Any:
    write(folder, data or documents())
    return sk.dataset("visual_genome", **{"root": str(folder), "split": "all", "cache": False, **options})


def rows(name: str, field: str, *more: Any) -> Change:
    """Rows are added to the first image's."""
    return lambda data: data[name][0][field].extend(more)


def changed(name: str, field: str, row: int = 0, **values: Any) -> Change:
    """Values of a row of the first image; None takes a field away."""

    def change(data: dict[str, Any]) -> None:
        entry = data[name][0][field][row]
        entry.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del entry[key]

    return change


ROWS: dict[str, Change] = {
    "object of image 1 number 0 has no 'object_id'": changed("objects", "objects", object_id=None),
    "object of image 1 id 7: 'names' must be a list": changed("objects", "objects", id=7, names=[4]),
    "object of image 1 number 0: 'names' has no name": changed("objects", "objects", names=[" ."]),
    "'w' must be a finite number, not \"wide\"": changed("objects", "objects", w="wide"),
    "the object_id 1 occurs twice": rows("objects", "objects", thing(1, "man", MAN)),
    "image 1: object 9 [90.0, 5.0, 100.0, 9.0] is empty or outside": rows(
        "objects", "objects", thing(9, "man", [90, 5, 10, 4])
    ),
    "object 9 [10.0, 5.0, 10.0, 9.0] is empty": rows("objects", "objects", thing(9, "man", [10, 5, 0, 4])),
    "relationship of image 1 number 2: 'object' is 77, which is not an object of this image": rows(
        "relationships", "relationships", relation(1, "on", 77)
    ),
    "subject and object are the same, 1": rows("relationships", "relationships", relation(1, "on", 1)),
    "number 2: 1 riding 2 occurs twice": rows("relationships", "relationships", relation(1, "riding", 2)),
    "expected a list of objects, one per attribute entry of image 1, got": lambda data: data["attributes"][0].update(
        attributes={"tall": 1}
    ),
    "'predicate' is empty": changed("relationships", "relationships", predicate="  "),
    "'subject' must be an object, not 5": changed("relationships", "relationships", subject=5),
    "region of image 1 number 0: 'phrase' is empty": changed("region_descriptions", "regions", phrase="\n"),
    "'phrase' must be text, not 4": changed("region_descriptions", "regions", phrase=4),
    "the box [200.0, 5.0, 210.0, 9.0] is empty or outside": rows(
        "region_descriptions", "regions", region("far", [200, 5, 10, 4])
    ),
    "this image has no object 'cat' at [1.0, 1.0, 5.0, 5.0]": rows(
        "attributes", "attributes", {**thing(8, "cat", [1, 1, 4, 4]), "attributes": ["wet"]}
    ),
    "'attributes' must be a list of names, not \"tall\"": changed("attributes", "attributes", attributes="tall"),
}
"""What is said of a row that cannot be right; it is left out, and nothing else is."""


@pytest.mark.parametrize("message", ROWS)
def test_faulty_rows(tmp_path: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    data = documents()
    ROWS[message](data)
    found = opened(tmp_path, data)
    with caplog.at_level(logging.WARNING):
        scene = found[0].scene
    assert len(found.issues(0)) == 1 or "object of image" in message, "and what refers to an object that is left out"
    assert message in caplog.text and "hat" in scene.names()
    caplog.clear()
    assert found[0] and not caplog.text, "reported once"
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path, data, faulty="refuse")[0]


ENTRIES: dict[str, Change] = {
    "image_data.json: image number 3: the id 1 occurs twice": lambda d: d["image_data"].append(image(1, "VG_100K")),
    "'height' and 'width' must be 1 or more": lambda d: d["image_data"].append({**image(8, "VG_100K"), "height": 0}),
    "image id 9 is not in image_data.json": lambda d: d["objects"].append(listed(9, objects=[])),
    "image id 2 has an entry already": lambda d: d["objects"].append(listed(2, objects=[])),
    "expected an object, got [1]": lambda d: d["relationships"].append([1]),
    "entry number 3 has no 'id'": lambda d: d["attributes"].append({}),
    "has no entry for 1 of 3 images, the first 3": lambda d: d["objects"].pop(),
    "image id 3: ": lambda d: d["image_data"][2].update(url="https://elsewhere/3.png"),
}
"""What is said of an entry when the files are opened."""


@pytest.mark.parametrize("message", ENTRIES)
def test_faulty_entries(tmp_path: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    data = documents()
    write(tmp_path, data)
    ENTRIES[message](data)
    for name in ("image_data", "objects", "relationships", "attributes"):
        (tmp_path / f"{name}.json").write_text(json.dumps(data[name]))
    if "image id 3" in message:
        (tmp_path / "VG_100K" / "3.jpg").unlink()
    options = {"root": str(tmp_path), "split": "all", "cache": False}
    with caplog.at_level(logging.WARNING):
        found = sk.dataset("visual_genome", **options)
    assert message in caplog.text and found[0].scene.names() == ["man", "horse", "hat"]
    with pytest.raises(InputError, match=re.escape(message)):
        sk.dataset("visual_genome", faulty="refuse", **options)


def test_a_image_of_another_size(tmp_path: Path) -> None:
    data = documents()
    data["image_data"][0]["height"] = 61
    with pytest.raises(InputError, match=r"image 1 of image_data.json: its size is given as \[61, 80\], .* has \[60"):
        opened(tmp_path, data)[0]


def test_a_changed_file_is_reported(tmp_path: Path) -> None:
    found = opened(tmp_path)
    (tmp_path / "objects.json").write_text("[" + " " * 5000 + "]")
    with pytest.raises(InputError, match="changed since it was opened"):
        found[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "nowhere"}, "is not a Visual Genome root"),
        ({"images": "nowhere"}, "name the folder of images with images="),
        ({"faulty": "ignore"}, "option 'faulty': input should be 'refuse' or 'skip'"),
        ({"unlisted": "no"}, "option 'unlisted': input should be 'absent' or 'unknown'"),
        ({"keys": ["masks"]}, "Visual Genome has no labels 'masks'"),
        ({"exhaustive": ["object"]}, "exhaustive names the stream 'object'; did you mean 'objects'"),
        ({"vocabulary": "vg151"}, "there is no vocabulary 'vg151' and no such file"),
        ({"vocabulary": {"object": 3}}, "vocabulary has 'object'; did you mean 'objects'"),
        ({"vocabulary": {"objects": "man"}}, "vocabulary: 'objects' must be names, or how many"),
        ({"split": "val"}, "no official splits: give splits=FILE"),
        ({"split": "val", "splits": "split.h5"}, "no such file: split.h5"),
        ({"vocabulary": {"objects": ["man"], "attributes": ["x", "x"]}}, "must be unique"),
    ],
)
def test_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"train": [1]}', "has no split 'val'; it has train"),
        ("a.json", "[1, 9, 10, 11]", "a list of ids needs {split} in its name"),
        ("a_{split}.json", '["1"]', "expected a list of ids of images"),
        ("a_{split}.txt", "one", "expected an array of numbers, or ids one per line"),
        ("a_{split}.npy", "one", "expected an array of numbers, or ids one per line"),
        ("absent.json", None, "no such file"),
        ("absent.npy", None, "absent.npy, which splits names"),
        ("a_{split}.json", "[1, 77]", "image id 77 is not in image_data.json"),
    ],
)
def test_files_of_splits(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name.replace("{split}", "val")).write_text(content)
    with pytest.raises(InputError, match=re.escape(message)):
        in_split(np.array([1, 2, 3]), "val", tmp_path / name, 0, "refuse")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("image_data", "[]", "lists no image"),
        ("image_data", '{"images": []}', "expected a JSON list, got an object"),
        ("objects", "", "expected a JSON list, got an empty file"),
        ("relationships", '[{"image_id": 1}', "is not valid JSON"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, content: str, message: str) -> None:
    write(tmp_path, documents())
    (tmp_path / f"{name}.json").write_text(content)
    with pytest.raises(InputError, match=message):
        sk.dataset("visual_genome", root=str(tmp_path), split="all", cache=False)


@pytest.mark.parametrize("name", ["image_data.json", "objects.json"])
def test_files_that_are_missing(tmp_path: Path, name: str) -> None:
    data = documents()
    write(tmp_path, data if name == "image_data.json" else {"image_data": data["image_data"]})
    (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match=name):
        sk.dataset("visual_genome", root=str(tmp_path), split="all", cache=False)


def stored(cache: Path) -> list[Path]:
    return list(cache.iterdir())


def test_the_index_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again where a file is another one."""
    cache = tmp_path / "cache"
    first = opened(tmp_path, cache=str(cache))
    again = {"root": str(tmp_path), "split": "all", "cache": str(cache)}
    with monkeypatch.context() as patched:
        patched.setattr(indexing, "list_entries", lambda path: pytest.fail("the files were walked through again"))
        second = sk.dataset("visual_genome", **again)
    assert second[0].scene.to_json() == first[0].scene.to_json() and second.issues(0) == first.issues(0)
    os.utime(tmp_path / "objects.json", (1, 1))
    sk.dataset("visual_genome", **again)
    assert len(stored(cache)) == 2


def test_an_index_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    opened(tmp_path, cache=str(cache))
    (path,) = stored(cache)
    path.write_bytes(path.read_bytes()[:300])
    found = sk.dataset("visual_genome", root=str(tmp_path), split="all", cache=str(cache))
    assert found[0].scene.names() == ["man", "horse", "hat"] and path.stat().st_size > 300


def test_an_interrupted_walk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = indexing.list_entries

    def interrupted(path: Path) -> Any:
        yield from walk(path)
        if path.name == "objects.json":
            raise KeyboardInterrupt

    monkeypatch.setattr(indexing, "list_entries", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, cache=str(tmp_path / "cache"))
    assert stored(tmp_path / "cache") == []


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Each makes the whole index; whichever is stored last is as good as the other."""
    write(tmp_path, documents())
    files, cache = find_files(tmp_path), tmp_path / "cache"
    cache.mkdir()
    with ProcessPoolExecutor(2, get_context("fork")) as pool:  # spawning would import torch in each
        found = list(pool.map(open_index, [files] * 2, [cache] * 2))
    assert [index.occurring["objects"] for index in found] == [("hat", "horse", "man", "red cap")] * 2
    assert len(stored(tmp_path / "cache")) == 1


def test_one_object_and_none(tmp_path: Path) -> None:
    """Images in which nothing can be related."""
    data = documents()
    data["relationships"][1]["relationships"] = [relation(4, "on", 4)]
    found = opened(tmp_path, data)
    assert [(len(found[n].scene.objects), len(found[n].scene[sk.RELATIONS])) for n in (1, 2)] == [(1, 0), (0, 0)]
    assert found[1].scene.objects.boxes.tolist() == [[HAT[0], HAT[1], HAT[0] + HAT[2], HAT[1] + HAT[3]]]
