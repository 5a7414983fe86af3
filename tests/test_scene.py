"""Scenes: JSON and back for every key, rows, selections, and errors of one line."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.errors import InputError
from scenekit.fields.base import ImageField
from scenekit.io.files import write_atomically
from scenekit.keys import (
    ATTRIBUTES,
    BOXES3D,
    CAPTIONS,
    KEYPOINTS,
    MASKS,
    MESHES,
    OBJECTS,
    PANOPTIC,
    PHRASES,
    RELATIONS,
    Key,
    key_named,
)
from scenekit.scene import Objects, Scene
from scenekit.structures import Masks, Relations
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.tensors import map_tensors
from tests.structures import worlds

SPEED = Key("tests.speed", of=OBJECTS, doc="a number per object [N]")
WEATHER: Key[Any, Any] = Key("tests.weather", doc="a number of the image")


def there_and_back(scene: Scene) -> Scene:
    """Through the text of a file."""
    return Scene.from_json(json.loads(json.dumps(scene.to_json(), allow_nan=False)))


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor inside a value, in order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(note, value)
    return found


def same(first: Any, second: Any) -> bool:
    """Equal tensors (NaN where NaN) of equal types."""
    pairs = list(zip(tensors_of(first), tensors_of(second), strict=True))
    return type(first) is type(second) and all(
        a.dtype == b.dtype and a.shape == b.shape and torch.allclose(a, b, equal_nan=True) for a, b in pairs
    )


@pytest.mark.parametrize("key", [*worlds.row_values(1), *worlds.image_values(1)], ids=lambda key: key.name)
def test_every_key_survives_json(key: Key[Any, Any]) -> None:
    scene = worlds.scene(3)
    back = there_and_back(scene)
    assert same(back[key], scene[key])
    if hasattr(scene[key], "texts"):
        assert back[key].texts == scene[key].texts
    if isinstance(scene[key], Masks):
        assert torch.equal(back[key].dense, scene[key].dense)
    if key == PANOPTIC:
        assert back[key].segments == scene[key].segments


def test_the_rest_survives_json() -> None:
    scene = worlds.scene()
    back = there_and_back(scene)
    assert (back.size, back.path, back.vocabulary) == (scene.size, scene.path, scene.vocabulary)
    assert same(back.objects, scene.objects) and same(back.regions(PHRASES), scene.regions(PHRASES))
    assert back.camera is not None and scene.camera is not None
    assert torch.equal(back.camera.matrix, scene.camera.matrix) and not back.camera.assumed


def test_layout_of_the_json() -> None:
    data = worlds.scene().to_json()
    assert list(data)[:5] == ["format_version", "image", "vocabulary", "objects", "phrases"]
    assert data["image"]["path"] == "street.jpg" and (data["image"]["width"], data["image"]["height"]) == (12, 8)
    assert data["objects"]["names"] == ["person", "chair"]
    assert set(data["masks"][0]) == {"size", "counts"} and data["masks"][0]["size"] == [8, 12]
    assert data["relations"][0]["name"] == "left of"


def test_without_objects_shapes_stay() -> None:
    back = there_and_back(worlds.scene(0))
    assert back.objects.boxes.shape == (0, 4) and back.objects.scores is not None
    assert back[KEYPOINTS].xy.shape == (0, 3, 2) and back[KEYPOINTS].visibility.shape == (0, 3)
    assert back[BOXES3D].center.shape == (0, 3) and back[BOXES3D].rotation.shape == (0, 3, 3)
    assert back[ATTRIBUTES].shape == (0, 3)
    assert back[key_named("voxels")].dim() == 4  # type: ignore[index]
    assert (len(back[MASKS]), len(back[CAPTIONS]), len(back[MESHES]), len(back[RELATIONS])) == (0, 0, 0, 0)
    assert back[MASKS].dense.shape == (0, 8, 12) and back[MASKS].boxes.shape == (0, 4)


def test_rows_that_do_not_carry_a_key_are_null() -> None:
    scene = worlds.scene(3)
    there = torch.tensor([True, False, True])
    valid = {key: there for key in scene.values if key.of == OBJECTS}
    scene = Scene(scene.size, scene.vocabulary, scene.streams, scene.values, valid)
    data = scene.to_json()
    assert all(data[key.name][1] is None and data[key.name][0] is not None for key in valid)
    back = there_and_back(scene)
    rows = torch.tensor([0, 2])
    for key in valid:
        assert back.rows_with(key).tolist() == [True, False, True]
        assert len(back[key]) == 3
        assert same(key.field.select(back[key], rows), key.field.select(scene[key], rows))


def test_no_row_carries_a_key() -> None:
    scene = worlds.scene(2)
    nowhere = {KEYPOINTS: torch.zeros(2, dtype=torch.bool), BOXES3D: torch.zeros(2, dtype=torch.bool)}
    back = there_and_back(Scene(scene.size, scene.vocabulary, scene.streams, scene.values, nowhere))
    assert back[KEYPOINTS].xy.shape == (2, 3, 2) and int(back[KEYPOINTS].visibility.sum()) == 0
    assert back[BOXES3D].rotation.shape == (2, 3, 3)
    assert not back.rows_with(KEYPOINTS).any()


def test_one_row_without_a_score_keeps_the_others() -> None:
    scene = worlds.scene(2)
    captions = worlds.Captions((("a",), ("b",)), torch.tensor([torch.nan, 0.5]))
    back = there_and_back(Scene(scene.size, scene.vocabulary, scene.streams, {CAPTIONS: captions}))
    assert back[CAPTIONS].scores is not None and back[CAPTIONS].scores[1] == 0.5


def test_keys_of_others_need_no_code() -> None:
    scene = worlds.scene(2)
    values = {SPEED: torch.tensor([1.5, torch.nan]), WEATHER: 0.25}
    back = there_and_back(Scene(scene.size, scene.vocabulary, scene.streams, values))
    assert back[SPEED][0] == 1.5 and torch.isnan(back[SPEED][1])
    assert back.rows_with(SPEED).tolist() == [True, False]
    assert back[WEATHER] == 0.25 and isinstance(WEATHER.field, ImageField)


def test_unknown_keys_survive_a_round_trip() -> None:
    data = worlds.scene().to_json() | {"zed.heat": [1, None], "zed.note": {"by": "zed"}}
    scene = Scene.from_json(data)
    assert scene.unknown == {"zed.heat": [1, None], "zed.note": {"by": "zed"}}
    assert scene.to_json() == json.loads(json.dumps(data))


def test_unknown_entries_never_hide_known_ones_and_do_not_outlive_their_rows() -> None:
    scene = worlds.scene()
    stale = Scene(scene.size, scene.vocabulary, scene.streams, {SPEED: torch.ones(2)}, unknown={SPEED.name: "old"})
    assert stale.to_json()[SPEED.name] == [1.0, 1.0]
    assert stale.select(OBJECTS, torch.tensor([0])).unknown == {}
    assert stale.transformed(worlds_flip()).unknown == {}


def worlds_flip() -> Any:
    from scenekit.structures import Geometry

    return Geometry.flip((worlds.HEIGHT, worlds.WIDTH))


def test_relations_keep_their_probabilities() -> None:
    relations = Relations(
        torch.tensor([0]), torch.tensor([1]), torch.tensor([2]), None, torch.tensor([[0.1, 0.2, 0.7]])
    )
    scene = worlds.scene(2)
    back = there_and_back(Scene(scene.size, scene.vocabulary, scene.streams, {RELATIONS: relations}))
    assert back[RELATIONS].score is None and same(back[RELATIONS], relations)


def test_selecting_rows() -> None:
    scene = worlds.scene(3)
    less = scene.select(OBJECTS, torch.tensor([2, 0]))
    assert torch.equal(less.objects.boxes, scene.objects.boxes[[2, 0]])
    assert less.objects.ids.tolist() == [2, 0]
    assert less[CAPTIONS].texts[0] == scene[CAPTIONS].texts[2]
    assert torch.equal(less[MESHES].verts_of(0), scene[MESHES].verts_of(2))
    assert len(less.regions(PHRASES)) == 3
    relations = less[RELATIONS]  # of 0 -> 2, 1 -> 1 and 2 -> 0, in the new rows
    assert (relations.subject.tolist(), relations.object.tolist(), relations.predicate.tolist()) == (
        [1, 0],
        [0, 1],
        [0, 2],
    )
    assert [segment.object for segment in less[PANOPTIC].segments] == [1, None]
    by_mask = scene.select(OBJECTS, torch.tensor([True, False, True]))
    assert by_mask[CAPTIONS].texts == (scene[CAPTIONS].texts[0], scene[CAPTIONS].texts[2])
    assert len(by_mask[MASKS]) == 2


def test_a_stream_without_regions_keeps_its_columns() -> None:
    objects = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    scene = Scene((4, 4), worlds.VOCABULARY, {OBJECTS: objects})
    assert scene.objects.scores is not None
    assert len(Scene((4, 4), worlds.VOCABULARY).objects) == 0


def test_rows_must_match_regions() -> None:
    scene = worlds.scene(2)
    with pytest.raises(InputError, match="masks has 1 rows for 2 objects"):
        Scene(scene.size, scene.vocabulary, scene.streams, {MASKS: scene[MASKS][[0]]})
    with pytest.raises(InputError, match="the scene has no 'masks'; expected one of its keys: no values"):
        Scene(scene.size, scene.vocabulary)[MASKS]


def test_saving_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scene.json"
    scene = worlds.scene()
    scene.save(path)
    assert same(Scene.load(path)[MASKS], scene[MASKS])
    before = path.read_bytes()

    def full_disk(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*scene\.json: No space left"):
        worlds.scene(1).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
    with pytest.raises(InputError, match="cannot write"):
        write_atomically(tmp_path / "missing" / "file", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"\xff\xfe\x00", "is not encoded in UTF-8"),
        (b"[]", "scene format None can't be read; this scenekit reads format 1"),
        (b'{"format_version": 7}', "scene format 7 can't be read"),
        (b'{"format_version": 1}', "'image'"),
        (b'{"format_version": 1, "image": 3, "vocabulary": {"things": []}}', "is not a scene file"),
        (b'{"format_version": 1, "image": {}, "vocabulary": {"thing": []}}', "is not a scene file"),
    ],
)
def test_files_that_are_no_scenes(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "scene.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Scene.load(path)
    message = str(caught.value)
    assert reason in message and str(path) in message and "\n" not in message


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("objects", {"boxes": [[1, 2, 3]], "labels": [0]}),
        ("objects", {"boxes": [[1, 2, 3, 4]], "labels": [0, 1]}),
        ("objects", 5),
        ("masks", [{"size": [8, 12], "counts": "garbage!!!!"}, {"size": [8, 12], "counts": ""}]),
        ("masks", [{"size": [3, 3], "counts": "9"}]),
        ("masks", []),
        ("boxes3d", [{"center": [1, 2]}, None]),
        ("attributes", [[1], [1, 2]]),
    ],
)
def test_broken_entries_are_refused_in_one_line(tmp_path: Path, name: str, entry: Any) -> None:
    path = tmp_path / "scene.json"
    path.write_text(json.dumps({**worlds.scene().to_json(), name: entry}))
    with pytest.raises(InputError) as caught:
        Scene.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def edited(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    data = json.loads(json.dumps(worlds.scene().to_json()))
    change(data)
    return data


def set_at(*place: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of JSON: the last item becomes the entry at the path of the others."""
    *path, last, value = place

    def change(data: Any) -> None:
        for name in path:
            data = data[name]
        data[last] = value

    return change


@pytest.mark.parametrize("wrong", [3, "text", [3], None, {"a": 3}, True])
@pytest.mark.parametrize(
    "part",
    ["things", "stuff", "predicates", "attributes", "skeletons", "mirror_predicates", "mirror_words", "symmetry"],
)
def test_a_vocabulary_of_other_types_is_refused(tmp_path: Path, part: str, wrong: Any) -> None:
    (tmp_path / "scene.json").write_text(json.dumps(edited(set_at("vocabulary", part, wrong))))
    with pytest.raises(InputError, match=rf"scene.json is not a scene file: vocabulary: (the )?{part}"):
        Scene.load(tmp_path / "scene.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["vocabulary"].pop("attributes"), "attributes: attributes of another width"),
        (lambda data: data["vocabulary"].pop("predicates"), "vocabulary: the mirror predicates"),
        (lambda data: data["vocabulary"].pop("things"), "vocabulary: things: Field required"),
        (lambda data: data["vocabulary"].pop("stuff"), "semantic: maps with an unknown label"),
        (set_at("vocabulary", "color", []), "vocabulary: color: Unexpected keyword"),
        (set_at("vocabulary", "skeletons", "person", "edges", [["a"]]), "vocabulary: skeletons.person.edges"),
        (set_at("vocabulary", "skeletons", "person", "points", ["a", 1]), "vocabulary: skeletons.person.points.1"),
        (set_at("vocabulary", "symmetry", {"chair": 1.5}), "vocabulary: symmetry.chair"),
        (set_at("image", "width", "12"), "image: height and width must be whole numbers above 0"),
        (set_at("image", "height", 0), "image: height and width"),
        (set_at("image", "path", 3), "image: path must be text or null"),
        (set_at("image", "camera", [1]), "image: expected what Scene.save writes"),
        (set_at("image", []), "image: expected an object with width and height"),
        (set_at("objects", "labels", 0, -1), "objects: there is a label -1"),
        (set_at("objects", "labels", 0, 7), "objects: there is a label 7"),
        (set_at("objects", "boxes", 0, 0, None), "objects: boxes must be finite"),
        (set_at("objects", []), "objects: expected"),
        (set_at("relations", 0, "predicate", 9), "relations: relation 0"),
        (set_at("relations", 0, "subject", 9), "relations: entry 0: object 9 is its subject"),
        (set_at("panoptic", 0, "label", 9), "panoptic: segments with an unknown label"),
        (set_at("panoptic", 0, "label", -1), "panoptic: segments with an unknown label"),
        (set_at("meshes", 0, "faces", [[0, 1, 99]]), "meshes: row 0: 1 of 1 faces name vertices beyond"),
        (set_at("keypoints", {"xy": 3}), "keypoints: "),
        (set_at("keypoints", 0, "visibility", 0, None), "keypoints: expected what Scene.save writes"),
        (set_at("captions", 0, "texts", ["a dog", 7]), "captions: 'texts' must be a list of texts"),
        (set_at("captions", 0, "texts", "a dog"), "captions: 'texts' must be a list of texts"),
        (set_at("panoptic", 0, "score", "high"), "panoptic: expected what Scene.save writes"),
        (set_at("panoptic", 0, "is_thing", 2), "panoptic: expected what Scene.save writes"),
        (set_at("future", [{"a": [1.0, math.inf]}, "x"]), "future: there is a number inf, which JSON lacks"),
        (set_at("future", math.nan), "future: there is a number nan, which JSON lacks"),
        (set_at("image", "camera", "matrix", 0, 0, math.inf), "image: there is a number inf"),
        (set_at("vocabulary", "symmetry", {"chair": math.nan}), "vocabulary: there is a number nan"),
        (set_at("objects", "area", 0, -math.inf), "objects: there is a number -inf"),
        (set_at("panoptic", 0, "score", math.nan), "panoptic: there is a number nan"),
        (set_at("objects", "area", 0, 1e39), "objects: a number is too large; expected at most 3.4e+38"),
        (set_at("boxes3d", 0, "center", 0, 1e39), "boxes3d: a number is too large"),
        (set_at("meshes", 0, "verts", 0, 0, -1e39), "meshes: a number is too large"),
    ],
)
def test_entries_that_do_not_fit_are_named(tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str) -> None:
    (tmp_path / "scene.json").write_text(json.dumps(edited(change)))
    with pytest.raises(InputError) as caught:
        Scene.load(tmp_path / "scene.json")
    assert f"scene.json is not a scene file: {told}" in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_that_json_lacks_are_saved_as_null(tmp_path: Path) -> None:
    captions = sk.Captions((("a dog",),), torch.tensor([math.nan]), torch.tensor([[-math.inf, -1.0]]))
    panoptic = Panoptic(torch.ones(2, 3, dtype=torch.int64), (Segment(1, 0, True, score=math.inf),))
    values = {sk.CAPTIONS: captions, sk.PANOPTIC: panoptic}
    objects = Objects(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([0]))
    scene = Scene((2, 3), sk.Vocabulary(things=("dog",)), {OBJECTS: objects}, values, unknown={"future": [math.nan, 1]})
    scene.save(tmp_path / "scene.json")
    again = Scene.load(tmp_path / "scene.json")
    assert again.unknown == {"future": [None, 1]} and again[sk.PANOPTIC].segments[0].score is None
    log_probs = again[sk.CAPTIONS].log_probs
    assert log_probs is not None and log_probs.tolist() == [[torch.finfo(torch.float32).min, -1.0]]


def test_sums_that_overflow_are_of_finite_numbers() -> None:
    data = edited(set_at("future", [1e308, 1e308, 10**400]))
    assert Scene.from_json(data).unknown["future"] == [1e308, 1e308, 10**400]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*nothing\.json"):
        Scene.load(tmp_path / "nothing.json")
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        Scene.load(tmp_path)


def test_crowds_are_counted_apart() -> None:
    labels, crowd = torch.tensor([1, 0, 1, 1]), torch.tensor([False, False, True, False])
    scene = Scene((8, 8), worlds.VOCABULARY, {OBJECTS: Objects(torch.rand(4, 4), labels, crowd=crowd)})
    one, two = (worlds.VOCABULARY.things[label] for label in (1, 0))
    assert list(scene.counts().items()) == [(one, 2), (two, 1), (f"crowd of {one}", 1)]
