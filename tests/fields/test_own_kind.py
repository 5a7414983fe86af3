"""Kinds of values that a plugin brings: what the core does to a scene does not corrupt them."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit import keys
from scenekit.data.checks import checked
from scenekit.data.collate import collate
from scenekit.data.inspection import inspect
from scenekit.data.relabel import relabeled
from scenekit.data.transforms import RandomCrop, rng_for
from scenekit.errors import InputError
from scenekit.fields.base import Field, ImageField
from scenekit.fields.labels import ImageLabelField, LabelField
from scenekit.fields.masks import MaskField
from scenekit.fields.pairs import PairField
from scenekit.fields.points import PointField
from scenekit.fields.semantic import IGNORE, SemanticField
from scenekit.recipe import InputConfig
from scenekit.structures import Geometry, Relations

SIDES = (("west of", "east of"),)
OCCLUSION: sk.Key[Any, sk.Pairs] = sk.Key("tests.own.occlusion", field=PairField("tests.ways"))
COMPASS: sk.Key[Any, sk.Pairs] = sk.Key("tests.own.compass", field=PairField("tests.compass", mirror=SIDES))
SURFACE: sk.Key[Any, Any] = sk.Key("tests.own.surface", field=SemanticField())
SOIL: sk.Key[Any, Any] = sk.Key("tests.own.soil", field=SemanticField("tests.soil"))
WEATHER: sk.Key[Any, Any] = sk.Key("tests.own.weather", field=ImageLabelField("tests.weather"))
BREED: sk.Key[Any, Any] = sk.Key("tests.own.breed", of=sk.OBJECTS, field=LabelField("tests.breeds"))
WEIGHT: sk.Key[Any, Any] = sk.Key("tests.own.weight", of=sk.OBJECTS)
AGE: sk.Key[Any, Any] = sk.Key("tests.own.age", of=sk.OBJECTS, field=Field(nan_is_unknown=True))
GLARE: sk.Key[Any, Any] = sk.Key("tests.own.glare")
GRASP: sk.Key[Any, Any] = sk.Key("tests.own.grasp", of=sk.OBJECTS, field=PointField())
SHADOW: sk.Key[Any, sk.Masks] = sk.Key("tests.own.shadow", of=sk.OBJECTS, field=MaskField())

SIZE = (40, 60)
LISTS = {
    "tests.ways": ("occludes", "supports"),
    "tests.compass": ("west of", "east of", "near"),
    "tests.soil": ("sand", "clay"),
    "tests.weather": ("sunny", "rainy"),
    "tests.breeds": ("poodle", "collie"),
}
VOCABULARY = sk.Vocabulary(
    things=("cat", "dog"),
    stuff=("sky", "grass"),
    predicates=("left of", "right of"),
    mirror_predicates=(("left of", "right of"),),
    lists=LISTS,
)


def sample(values: dict[Any, Any], bad_box: bool = False) -> sk.Sample:
    """Three objects, the first of which may have a faulty box."""
    boxes = torch.tensor([[5.0, 6, 25, 36], [30, 10, 50, 30], [2, 2, 9, 9]])
    if bad_box:
        boxes[0, 2] = 5
    objects = sk.Objects(boxes, torch.tensor([0, 1, 1]))
    scene = sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: objects}, values)
    image = torch.arange(3 * SIZE[0] * SIZE[1]).reshape(3, *SIZE).to(torch.uint8)
    return sk.Sample(image, scene, sk.Supervision(frozenset(values)), 7)


def pairs(*rows: tuple[int, int, int]) -> sk.Pairs:
    """Rows are (subject, label, object)."""
    subject, label, target = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return sk.Pairs(subject, target, label)


def rows(value: sk.Pairs) -> list[tuple[int, ...]]:
    assert value.label is not None
    return list(zip(value.subject.tolist(), value.label.tolist(), value.object.tolist(), strict=True))


def test_pairs_name_the_same_objects_when_a_faulty_box_is_dropped() -> None:
    kept = checked(sample({OCCLUSION: pairs((0, 0, 1), (1, 1, 2), (2, 0, 1))}, bad_box=True)).scene
    assert len(kept.objects) == 2 and rows(kept[OCCLUSION]) == [(0, 1, 1), (1, 0, 0)]


def test_pairs_follow_a_selection_that_reorders() -> None:
    scene = sample({OCCLUSION: pairs((0, 0, 1), (1, 1, 2), (2, 0, 0))}).scene
    assert rows(scene.select(sk.OBJECTS, torch.tensor([2, 1]))[OCCLUSION]) == [(1, 1, 0)]
    assert rows(scene.select(sk.OBJECTS, torch.tensor([True, False, True]))[OCCLUSION]) == [(1, 0, 0)]


def test_label_maps_are_translated() -> None:
    """Label 3 was grass: in the new vocabulary grass is 1 and 3 is sea."""
    labels = torch.full(SIZE, 3)
    labels[:5], labels[5] = 2, IGNORE
    new = sk.Vocabulary(things=("dog",), stuff=("grass", "moss", "sea"), lists={"tests.soil": ("clay",)})
    soil = torch.tensor([0, 1]).repeat_interleave(30).expand(SIZE)
    scene = relabeled(sample({SURFACE: labels, SOIL: soil}), new).scene
    assert (scene[SURFACE][6:] == new.label("grass")).all()
    assert (scene[SURFACE][:6] == IGNORE).all()  # sky is not in the new vocabulary
    assert (scene[SOIL][:, :30] == IGNORE).all() and (scene[SOIL][:, 30:] == 0).all()


def test_labels_and_pairs_are_translated_by_their_own_list() -> None:
    lists = {"tests.weather": ("foggy", "rainy"), "tests.breeds": ("collie",), "tests.ways": ("supports",)}
    new = replace(VOCABULARY, lists=lists)
    values = {
        WEATHER: torch.tensor(1),
        BREED: torch.tensor([0, 1, -1]),
        OCCLUSION: pairs((0, 0, 1), (1, 1, 2)),
        COMPASS: pairs((0, 2, 1)),
    }
    scene = relabeled(sample(values), new).scene
    assert scene[WEATHER].item() == 1 and scene[BREED].tolist() == [-1, 0, -1]
    assert rows(scene[OCCLUSION]) == [(1, 0, 2)]
    assert len(scene[COMPASS]) == 0  # the new vocabulary lacks the list


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "value", "left"),
    [
        (WEIGHT, [1.0, INFINITE, 2.0], [True, False, True]),
        (WEIGHT, [1.0, NAN, 2.0], [True, False, True]),
        (AGE, [1.0, NAN, -INFINITE], [True, True, False]),
        (GRASP, [[1.0, 2], [3, NAN], [5, 6]], [True, False, True]),
    ],
)
def test_rows_that_are_not_finite_are_dropped(key: Any, value: Any, left: list[bool]) -> None:
    bad = sample({key: torch.tensor(value)})
    assert checked(bad).scene.rows_with(key).tolist() == left
    with pytest.raises(InputError, match=rf"{key.name} of objects {left.index(False)}: 1 of \d numbers are not finite"):
        checked(bad, strict=True)


@pytest.mark.parametrize("value", [torch.tensor([[0.5, INFINITE]]), NAN])
def test_an_image_value_that_is_not_finite_is_no_longer_supervised(value: Any) -> None:
    kept = checked(sample({GLARE: value}))
    assert GLARE not in kept.scene and GLARE not in kept.supervision.keys
    fine = sample({GLARE: 0.5, WEIGHT: torch.ones(3)})
    assert checked(fine, strict=True) is fine


UNKNOWN = {
    "pairs to missing objects": {OCCLUSION: pairs((0, 0, 3))},
    "pairs of an object to itself": {OCCLUSION: pairs((1, 0, 1))},
    "pairs with unknown tests.ways": {OCCLUSION: pairs((0, 2, 1))},
    "pairs that repeat another one": {OCCLUSION: pairs((0, 1, 1), (0, 1, 1))},
    "maps with an unknown label": {SOIL: torch.full(SIZE, 2)},
    "labels that are unknown": {BREED: torch.tensor([0, 2, 1])},
    "pairs with values that are not finite": {
        OCCLUSION: sk.Pairs(torch.tensor([0]), torch.tensor([1]), values=torch.tensor([[0.5, NAN]]))
    },
    "masks of another size": {SHADOW: sk.Masks.empty(3, (4, 4))},
}


class Unknown:
    """A sample of each kind of issue."""

    vocabulary = VOCABULARY

    def __len__(self) -> int:
        return len(UNKNOWN)

    def __getitem__(self, index: int) -> sk.Sample:
        return replace(sample(list(UNKNOWN.values())[index]), id=index)


def test_the_doctor_names_each_issue_and_counts_names() -> None:
    report = inspect(Unknown()).to_json()
    found = {kind: each["count"] for kind, each in report["findings"].items() if not kind.startswith(("empty", "cl"))}
    assert found == dict.fromkeys(UNKNOWN, 1)
    assert report["refused"]["count"] == len(UNKNOWN)
    assert report["names"] == {"tests.ways": {"supports": 1}, "tests.breeds": {"poodle": 1, "collie": 1}}
    assert report["ranges"]["tests.own.occlusion: pairs an image"]["max"] == 1


def test_a_flip_exchanges_the_own_mirror_pairs_alone() -> None:
    scene = sample({OCCLUSION: pairs((0, 0, 1), (0, 1, 1)), COMPASS: pairs((0, 0, 1), (1, 2, 2))}).scene
    flipped = scene.transformed(Geometry.flip(SIZE))
    assert rows(flipped[OCCLUSION]) == rows(scene[OCCLUSION])
    assert rows(flipped[COMPASS]) == [(0, 1, 1), (1, 2, 2)]


def test_points_in_pixels_follow_the_image() -> None:
    points = torch.tensor([[10.0, 20], [40, 12], [3, 4]])
    scene = sample({GRASP: points}).scene
    cropped = scene.transformed(Geometry.crop(SIZE, (10, 5, 50, 35)))
    torch.testing.assert_close(cropped[GRASP], points - torch.tensor([10.0, 5]))
    flipped = scene.transformed(Geometry.flip(SIZE))
    torch.testing.assert_close(flipped[GRASP], torch.stack((60 - points[:, 0], points[:, 1]), dim=1))
    assert GRASP.field.decode([], SIZE, VOCABULARY).shape == (0, 2)


def test_boxes_shrink_to_what_a_crop_leaves_of_masks_of_any_key() -> None:
    dense = torch.zeros(3, *SIZE, dtype=torch.bool)
    dense[0, 6:36, 5:25] = dense[1, 10:30, 30:50] = dense[2, 2:9, 2:9] = True
    whole = sample({SHADOW: sk.Masks.from_dense(dense)})
    for index in range(5):
        cropped = RandomCrop(p=1.0, smallest=0.6)(whole, rng_for(0, 0, index)).scene
        left = cropped[SHADOW].area > 0
        torch.testing.assert_close(cropped.objects.boxes[left], cropped[SHADOW].boxes[left])


def test_values_survive_json() -> None:
    scored = replace(pairs((0, 0, 1), (2, 1, 0)), values=torch.tensor([[0.5, 2.0], [1.0, NAN]]), score=torch.rand(2))
    labels = {WEATHER: torch.tensor(1), BREED: torch.tensor([0, -1, 1]), SOIL: torch.zeros(SIZE, dtype=torch.int64)}
    values: dict[Any, Any] = {OCCLUSION: scored, **labels}
    data = sample(values).scene.to_json()
    assert data["tests.own.occlusion"][0]["name"] == "occludes" and data["tests.own.weather"]["name"] == "rainy"
    back = sk.Scene.from_json(data)
    assert back.vocabulary == VOCABULARY
    for name, column in vars(scored).items():
        torch.testing.assert_close(getattr(back[OCCLUSION], name), column, equal_nan=True)
    assert all(torch.equal(back[key], label) for key, label in labels.items())


def test_pairs_are_edges_of_the_graph() -> None:
    value = replace(pairs((0, 0, 1), (2, 1, 0)), score=torch.tensor([0.25, 0.75]), values=torch.tensor([1.0, 2.0]))
    related = Relations(*torch.tensor([[1], [2], [0]]))
    graph = sample({OCCLUSION: value, sk.RELATIONS: related}).scene.graph(threshold=0.5)
    pair = {"predicate": "supports", "values": 2.0, "score": 0.75, "from_key": "tests.own.occlusion"}
    assert list(graph.edges(keys=True, data=True)) == [(1, 2, 0, {"predicate": "left of"}), (2, 0, 2, pair)]


def test_names_of_a_vocabulary() -> None:
    assert VOCABULARY.names("tests.weather") == ("sunny", "rainy") and VOCABULARY.names("labels")[2] == "sky"
    assert VOCABULARY.index("tests.weather", "rainy") == 1
    assert "lists" not in sk.Vocabulary(("cat",)).to_json()
    merged = VOCABULARY.merged(sk.Vocabulary((), lists={"tests.weather": ("rainy", "foggy"), "new": ("a",)}))
    assert merged.lists["tests.weather"] == ("sunny", "rainy", "foggy") and merged.lists["new"] == ("a",)
    with pytest.raises(InputError, match=r"no list 'tests\.wether'"):
        VOCABULARY.names("tests.wether")
    with pytest.raises(InputError, match="has no name 'foggy'"):
        VOCABULARY.index("tests.weather", "foggy")
    with pytest.raises(InputError, match="must be unique"):
        sk.Vocabulary((), lists={"own": ("a", "a")})
    with pytest.raises(InputError, match="lists of every vocabulary"):
        sk.Vocabulary((), lists={"things": ("a",)})


def test_keys_of_plugins_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A scene file names the key of an installed plugin; another plugin cannot be imported."""
    (tmp_path / "late_plugin.py").write_text("import scenekit as sk\nLATE = sk.Key('tests.own.late')\n")
    installed = [EntryPoint(name, name, keys.PLUGIN_GROUP) for name in ("no_such_module", "late_plugin")]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(keys, "entry_points", lambda group: [entry for entry in installed if entry.group == group])
    keys._import_plugins.cache_clear()
    data = {**sample({}).scene.to_json(), "tests.own.late": 0.5}
    with caplog.at_level(logging.WARNING):
        scene = sk.Scene.from_json(data)
    assert scene[sys.modules["late_plugin"].LATE] == 0.5 and not scene.unknown
    assert "'no_such_module'" in caplog.text
    keys._import_plugins.cache_clear()


class GuardField(Field[torch.Tensor, torch.Tensor]):
    """The row of the object that watches over each one, and a grade [N 2]; row -1 for none."""

    def __init__(self) -> None:
        super().__init__(dims=2, dtype=torch.int64)

    def remap(self, item: torch.Tensor, index_map: torch.Tensor) -> torch.Tensor:
        rows = torch.cat((index_map, torch.tensor([-1])))
        return torch.stack((rows[item[:, 0]], item[:, 1]), dim=1)


GUARD: sk.Key[Any, Any] = sk.Key("tests.own.guard", of=sk.OBJECTS, field=GuardField(), shape=("N", 2))


def without_objects(key: sk.Key[Any, Any]) -> sk.Sample:
    """A sample without objects, as it is read from JSON."""
    scene = sample({key: torch.zeros((3, 2), dtype=torch.int64)}).scene.select(sk.OBJECTS, torch.arange(0))
    return replace(sample({key: torch.zeros(3, 2)}), scene=sk.Scene.from_json(scene.to_json()))


def test_rows_that_name_rows_name_those_of_the_batch() -> None:
    """Three objects, two after the first was dropped, none, three: the rows of the last image begin at 5."""
    value = torch.tensor([[1, 7], [-1, 8], [0, 9]])
    samples = [sample({GUARD: value}), sample({GUARD: value}, bad_box=True), without_objects(GUARD)]
    samples.append(sample({GUARD: value}))
    _, targets = collate(samples, vocabulary=VOCABULARY, keys=[GUARD], config=InputConfig())
    assert targets.values[GUARD].dtype == torch.int64
    assert targets.values[GUARD].tolist() == [[1, 7], [-1, 8], [0, 9], [-1, 8], [-1, 9], [6, 7], [-1, 8], [5, 9]]


@pytest.mark.parametrize("rows", [0, 3])
def test_rows_without_a_value_keep_their_form_in_json(rows: int) -> None:
    objects = sk.Objects(torch.rand(rows, 4), torch.zeros(rows, dtype=torch.int64))
    nowhere = torch.zeros(rows, dtype=torch.bool)
    value = torch.full((rows, 2), -1)
    scene = sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: objects}, {GUARD: value}, {GUARD: nowhere})
    back = sk.Scene.from_json(scene.to_json())
    assert back[GUARD].shape == (rows, 2) and back[GUARD].dtype == torch.int64
    assert len(back.select(sk.OBJECTS, torch.arange(rows))[GUARD]) == rows


class ParentField(ImageField[Any, Any]):
    """A field that only says how its value is remapped."""

    def remap(self, item: Any, index_map: Any) -> Any:
        return index_map[item]


def test_values_of_another_stream_are_left_alone() -> None:
    key: sk.Key[Any, Any] = sk.Key("tests.own.chief", field=ParentField())
    scene = sample({key: torch.tensor(2)}).scene
    scene = replace(scene, streams={**scene.streams, sk.PHRASES: sk.Objects(torch.rand(2, 4), torch.zeros(2).long())})
    assert scene.select(sk.PHRASES, torch.tensor([1]))[key].item() == 2
    assert scene.select(sk.OBJECTS, torch.tensor([2]))[key].item() == 0
