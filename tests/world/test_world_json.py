"""Map files: an exact round trip, and errors that name the entry."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scenekit as sk
from tests.world.posed import Thing, looking, scene_of

CHAIR = Thing("chair", (3.0, 0.0, 0.45), yaw=0.5, attributes=("red",), identity=3, score=0.8)
TABLE = Thing("table", (4.0, 1.0, 0.4), (1.5, 0.8, 0.8), identity=5, score=0.7)
FRONT = looking((0, 0, 1.2), (3.5, 0.5, 0.5))


def world_of(count: int = 4, **options: Any) -> sk.World:
    rng = np.random.default_rng(0)
    world = sk.World(tracked=True, **options)
    for n in range(count):
        noise = rng.normal(0, 0.03, (2, 3))
        scene = scene_of([CHAIR, TABLE], FRONT, n / 3, [(0, "left of", 1)], noise=noise, tracked=True)
        world.add(replace(scene, values={**scene.values, sk.MESHES: triangles()}))
    return world


def triangles() -> sk.Meshes:
    corners = torch.tensor([[0.0, 0, 3], [1.0, 0, 3], [0, 1.0, 3]])
    faces = torch.tensor([[0, 1, 2]])
    return sk.Meshes.from_lists([corners, corners + 0.1], [faces, faces])


def test_round_trip_is_exact(tmp_path: Path) -> None:
    world = world_of(keep_meshes=True)
    world.save(tmp_path / "map.json")
    loaded = sk.World.load(tmp_path / "map.json")
    assert loaded.to_json() == world.to_json()
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "map.json").read_bytes()
    assert loaded.options == world.options and loaded.objects[0].solid is not None
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["again.json", "map.json"]


def test_a_loaded_map_goes_on_to_grow(tmp_path: Path) -> None:
    world, whole = world_of(3), world_of(4)
    world.save(tmp_path / "map.json")
    loaded = sk.World.load(tmp_path / "map.json")
    scene = scene_of([CHAIR, TABLE], FRONT, 5.0, tracked=True)
    assert loaded.add(scene).tolist() == world.add(scene).tolist() == [0, 1]
    assert loaded.to_json() == world.to_json() != whole.to_json()


def test_a_loaded_map_knows_where_a_stream_ended(tmp_path: Path) -> None:
    """The next scene is image 0 of another stream, whose track 3 has nothing to do with the chair's."""
    world = world_of()
    world.save(tmp_path / "map.json")
    other = replace(CHAIR, place=(3.0, 2.5, 0.45))
    scene = scene_of([other], FRONT, 9.0, tracked=True)
    scene = replace(scene, moment=replace(scene.moment, number=0))
    assert sk.World.load(tmp_path / "map.json").add(scene).tolist() == world.add(scene).tolist() == [2]


def test_views_without_a_number_are_read() -> None:
    data = world_of().to_json()
    for view in data["views"]:
        del view["number"]
    assert [view.number for view in sk.World.from_json(data).views] == [0, 0, 0, 0]


def set_at(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(data)
    *outer, last = path
    inner = data
    for name in outer:
        inner = inner[name]
    if value is KeyError:
        del inner[last]
    else:
        inner[last] = value
    return data


@pytest.mark.parametrize(
    "path, value, message",
    [
        (("format_version",), 2, "in format 1, got 2"),
        (("options", "confirm"), 0, "options: confirm must be"),
        (("options", "colour"), 0, "options: there is no option 'colour'"),
        (("vocabulary", "things"), 3, "vocabulary: things"),
        (("views", 1, "pose"), [[1.0]], r"views\[1\]: 'pose': expected finite numbers of shape \[4, 4\]"),
        (("views", 1, "pose", 0, 0), 7.0, r"views\[1\]: .* must be a rotation"),
        (("views", 0, "size"), [0, 5], r"views\[0\]: 'size': expected a whole number from 1"),
        (("views", 0, "assumed"), 3, r"views\[0\]: 'assumed' must be true or false"),
        (("views",), {}, "views: expected a list"),
        (("objects", 1, "label"), "dog", r"objects\[1\]: 'label': 'dog' is not in the vocabulary"),
        (("objects", 1, "identity"), 0, r"objects\[1\]: the identity 0 occurs twice"),
        (("objects", 0, "position"), KeyError, r"objects\[0\]: .*KeyError 'position'"),
        (("objects", 0, "position", 1), float("nan"), r"objects\[0\]: 'position': expected finite numbers"),
        (("objects", 0, "size", 1), -1.0, r"objects\[0\]: 'size': .* above 0"),
        (("objects", 0, "chances"), 1, r"objects\[0\]: 'chances': expected a whole number from 4"),
        (("objects", 0, "kept", "center"), [[0.0, 1.0]], r"objects\[0\]: 'center': .* shape \[4, 3\]"),
        (("objects", 0, "kept"), None, r"objects\[0\]: 'kept': expected at least one sighting"),
        (("objects", 0, "votes", "attributes"), [1], r"objects\[0\]: 'attributes': expected numbers by name"),
        (("objects", 0, "solid", "faces"), [[0, 1, 9]], r"objects\[0\]: 'solid': expected faces"),
        (("edges", 0, "subject"), 9, r"edges\[0\]: the map has no object 9"),
        (("edges", 0, "predicate"), 9, r"edges\[0\]: 'predicate': expected text"),
        (("together", 0), [0, 1], r"together\[0\]"),
        (("tracks", 0, 1), "x", r"tracks\[0\]: the map has no object"),
        (("next_identity",), 1, "next_identity: .* from 2"),
    ],
)
def test_bad_entries_are_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    data = set_at(world_of(keep_meshes=True).to_json(), path, value)
    with pytest.raises(sk.InputError, match=message):
        sk.World.from_json(data)


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "scene.json").write_text(json.dumps(scene_of([CHAIR], FRONT).to_json()))
    with pytest.raises(sk.InputError, match=r"scene.json is not a map file: .*added to a map by World.add"):
        sk.World.load(tmp_path / "scene.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(sk.InputError, match="not a map file"):
        sk.World.load(tmp_path / "list.json")
    with pytest.raises(sk.InputError, match="no such file"):
        sk.World.load(tmp_path / "none.json")
