"""The data set `visual_genome`: the real samples against their files, quirks of the format, vocabularies, splits."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.data.flips import can_be_flipped
from scenekit_datasets.visual_genome.names import VG150, normalized
from scenekit_datasets.visual_genome.splits import in_split
from tests.datasets.visual_genome_files import HAT, HORSE, MAN, documents, end, listed, region, relation, thing, write

Open = Callable[..., Any]
NAN = float("nan")


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Writes files, and opens them."""

    def opened(data: dict[str, Any] | None = None, **options: Any) -> Any:
        write(tmp_path, data or documents())
        return sk.dataset("visual_genome", root=str(tmp_path), **{"split": "all", "cache": False, **options})

    return opened


def triples(scene: sk.Scene) -> list[tuple[int, str, int]]:
    found = scene[sk.RELATIONS]
    names = [scene.vocabulary.predicates[n] for n in found.predicate.tolist()]
    return list(zip(found.subject.tolist(), names, found.object.tolist(), strict=True))


def first_objects(*rows: dict[str, Any]) -> dict[str, Any]:
    """Only these objects in the first image, and nothing that refers to them."""
    data = documents()
    data["objects"][0] = listed(1, objects=list(rows))
    data["relationships"][0], data["attributes"][0] = listed(1, relationships=[]), listed(1, attributes=[])
    return data


def test_objects_relations_attributes_and_phrases(opened: Open) -> None:
    data = opened()
    sample = data[0]
    scene, vocabulary = sample.scene, data.vocabulary
    assert [len(names) for names in (vocabulary.things, vocabulary.predicates, vocabulary.attributes)] == [150, 50, 200]
    assert (len(data), sample.id, scene.size, sample.image.shape) == (3, 1, (60, 80), (3, 60, 80))
    assert scene.names() == ["man", "horse", "hat"] and scene.objects.ids.tolist() == [1, 2, 3]
    assert scene.objects.boxes.tolist() == [[10, 10, 30, 50], [5, 25, 65, 55], [15, 5, 25, 15]]
    assert triples(scene) == [(0, "riding", 1), (0, "wearing", 2)]
    assert scene.regions(sk.PHRASES).boxes.tolist() == [[10, 10, 30, 50], [5, 25, 65, 55]]
    assert scene[sk.PHRASE_CAPTIONS].texts == (("A man rides.",), ("the horse's tail",))
    assert int(scene[sk.ATTRIBUTES][0].nansum()) == 1 and scene[sk.ATTRIBUTES][0, vocabulary.attributes.index("tall")]
    assert Path(scene.path or "").parts[-2:] == ("VG_100K_2", "1.jpg")
    assert checked(sample, strict=True) is sample
    assert [len(data[n].scene.objects) for n in (1, 2)] == [1, 0]


def test_what_is_supervised(opened: Open) -> None:
    """Phrases are exhaustive as DenseCap has them, unless the option says otherwise; objects are not.

    Attributes are supervised where some are listed; what a file has no entry for is not labelled.
    """
    data = documents()
    del data["relationships"][2], data["objects"][2], data["attributes"]
    samples = list(map(opened(data).__getitem__, range(3)))
    assert samples[0].supervision.streams == {sk.OBJECTS, sk.PHRASES}
    assert samples[0].supervision.exhaustive == {sk.PHRASES} and samples[0].supervision.classes is None
    assert opened(exhaustive=[])[0].supervision.exhaustive == frozenset()
    assert samples[0].supervision.keys == {sk.RELATIONS, sk.PHRASE_CAPTIONS} and samples[0].supervision.mirrorable
    assert samples[2].supervision.keys == {sk.PHRASE_CAPTIONS} and samples[2].supervision.streams == {sk.PHRASES}
    everything = opened(exhaustive=["objects", "phrases"], keys=["relations"])[0].supervision
    assert (everything.exhaustive, everything.keys) == ({sk.OBJECTS}, {sk.RELATIONS})


@pytest.mark.parametrize("unlisted", ["absent", "unknown"])
def test_attributes_that_are_not_listed(opened: Open, unlisted: str) -> None:
    words = {"objects": ["man", "horse"], "attributes": ["tall", "wet"]}
    scene = opened(vocabulary=words, unlisted=unlisted)[0].scene
    expected = torch.tensor([[1, 0 if unlisted == "absent" else NAN], [NAN, NAN]])
    torch.testing.assert_close(scene[sk.ATTRIBUTES], expected, equal_nan=True)
    assert scene.rows_with(sk.ATTRIBUTES).tolist() == [True, False]


def test_attributes_of_version_1_find_their_object_by_name_and_box(opened: Open) -> None:
    data = documents()
    row = {"id": 99, "object_names": ["horse"], **dict(zip("xywh", HORSE, strict=True)), "attributes": ["brown"]}
    data["attributes"] = [{"id": 1, "attributes": [row]}]
    scene = opened(data)[0].scene
    assert scene.rows_with(sk.ATTRIBUTES).tolist() == [False, True, False]


def test_ends_that_the_objects_lack(opened: Open) -> None:
    """The same object under another id is found by name and box; another one joins the objects."""
    data = documents()
    data["relationships"][0]["relationships"] = [
        relation(end(50, "horse", [5, 25, 60, 31]), "near", end(51, "dog", [50, 5, 10, 10])),
        relation(51, "watching", 1),
    ]
    scene = opened(data)[0].scene
    assert scene.names() == ["man", "horse", "hat", "dog"]
    assert triples(scene) == [(1, "near", 3), (3, "watching", 0)]


def test_objects_that_were_drawn_twice(opened: Open) -> None:
    """Worked by hand after Xu et al.: nearly equal boxes (mean), the same name within or overlapping (around both)."""
    rows = [
        thing(1, "man", [0, 0, 20, 40]),
        thing(2, "person", [1, 0, 20, 40]),  # 19 of 21 columns are shared
        thing(3, "tree", [40, 0, 30, 50]),
        thing(4, "tree", [45, 5, 10, 10]),
        thing(5, "leaf", [46, 6, 5, 5]),
        thing(6, "wave", [0, 45, 40, 10]),
        thing(7, "wave", [8, 45, 40, 10]),  # 32 of 48 columns
    ]
    data = first_objects(*rows)
    data["relationships"][0]["relationships"] = [relation(2, "near", 4), relation(1, "near", 3), relation(1, "on", 2)]
    scene = opened(data)[0].scene
    assert scene.names() == ["man", "tree", "leaf", "wave"]
    assert scene.objects.boxes.tolist() == [[0.5, 0, 20.5, 40], [40, 0, 70, 50], [46, 6, 51, 11], [0, 45, 48, 55]]
    assert triples(scene) == [(0, "near", 1)]
    assert len(opened(data, merge=False)[0].scene.objects) == 7


def test_ids_that_version_1_4_has_joined(opened: Open) -> None:
    data = first_objects(thing(1, "man", MAN, merged_object_ids=[70, 71]), thing(2, "horse", HORSE))
    data["relationships"][0]["relationships"] = [relation(71, "riding", 2)]
    assert triples(opened(data)[0].scene) == [(0, "riding", 1)]


def test_aliases(opened: Open) -> None:
    """The first name of a line counts; a line that begins with a known name joins the earlier group."""
    aliases = {
        "object_alias.txt": "person,Man\nanimal,horse\nman,guy\n",
        "relationship_alias.txt": "on,riding,on top\n",
    }
    data = opened({**documents(), **aliases}, vocabulary={"objects": ["person", "animal"], "predicates": ["on"]})
    assert triples(data[0].scene) == [(0, "on", 1)] and data[0].scene.names() == ["person", "animal"]


def test_phrases_with_the_same_box_are_one(opened: Open) -> None:
    data = documents()
    data["region_descriptions"][0]["regions"] = [
        region("a hat", HAT),
        region("a red hat", HAT),
        region("a hat", HAT),
        region("Größe 🎩 帽子", [-5, -5, 20, 200]),
        region("word " * 1000, MAN),
    ]
    scene = opened(data)[0].scene
    assert scene[sk.PHRASE_CAPTIONS].texts[:2] == (("a hat", "a red hat"), ("Größe 🎩 帽子",))
    assert scene.regions(sk.PHRASES).boxes[1].tolist() == [0, 0, 15, 60]
    assert len(scene[sk.PHRASE_CAPTIONS].texts[2][0].split()) == 1000


def test_images_that_a_mirror_makes_wrong(opened: Open) -> None:
    """Texts that name a side are no more true, unless they are not learned; predicates change with their partner."""
    data = documents()
    data["region_descriptions"][0]["regions"][0]["phrase"] = "a man on the Left"
    data["relationships"][0]["relationships"][0]["predicate"] = "to left of"
    words = {"objects": ["man", "horse"], "predicates": ["to left of", "to right of"]}
    assert not can_be_flipped(opened(data, vocabulary=words)[0])
    sample = opened(data, vocabulary=words, keys=["relations"])[0]
    assert can_be_flipped(sample)
    assert sample.scene.vocabulary.flipped("predicates").order == (1, 0)


def test_vocabularies(opened: Open, tmp_path: Path, samples: Path) -> None:
    published = json.loads((samples / "visual_genome" / "VG-SGG-dicts-with-attri.json").read_text())
    known = json.loads(VG150.read_text())
    for kind, name in (("objects", "label"), ("predicates", "predicate"), ("attributes", "attribute")):
        assert [published[f"idx_to_{name}"][str(n + 1)] for n in range(len(known[kind]))] == known[kind]
    assert opened(vocabulary=str(samples / "visual_genome" / "VG-SGG-dicts-with-attri.json")).vocabulary == (
        opened().vocabulary
    )
    every = opened(vocabulary="all").vocabulary
    assert every.things == ("hat", "horse", "man", "red cap") and every.predicates == ("riding", "wearing")
    assert every.attributes == ("happy", "tall")
    assert opened(vocabulary={"objects": 2}).vocabulary == sk.Vocabulary(("hat", "horse"))
    (tmp_path / "mine.json").write_text('{"objects": ["horse"], "predicates": 1}')
    data = opened(vocabulary=str(tmp_path / "mine.json"), drop_empty=True)
    assert data.vocabulary == sk.Vocabulary(("horse",), predicates=("riding",)) and len(data) == 1


def test_described_regions_alone(opened: Open) -> None:
    """As DenseCap needs them: no objects, hence no background either."""
    data = documents()
    for name in ("objects", "relationships", "attributes"):
        del data[name]
    sample = opened(data, vocabulary="dense_caption")[0]
    assert sample.supervision.streams == {sk.PHRASES} and sample.supervision.keys == {sk.PHRASE_CAPTIONS}
    assert len(sample.scene.regions(sk.PHRASES)) == 2


def test_labels_without_the_image(opened: Open) -> None:
    data = opened()
    assert [data.scene(0).to_json(), data.scene(1).to_json()] == [data[0].scene.to_json(), data[1].scene.to_json()]


def test_small_objects_can_be_left_out(opened: Open) -> None:
    scene = opened(min_area=0.1)[0].scene
    assert scene.names() == ["man", "horse"] and triples(scene) == [(0, "riding", 1)]


@pytest.mark.parametrize("folder", ["", "VG_100K", "images", "images/VG_100K_2"])
def test_images_in_other_folders(opened: Open, tmp_path: Path, folder: str) -> None:
    opened()
    (tmp_path / "elsewhere" / folder).mkdir(parents=True)
    (tmp_path / "VG_100K_2" / "1.jpg").rename(tmp_path / "elsewhere" / folder / "1.jpg")
    options = {"root": str(tmp_path), "images": str(tmp_path / "elsewhere"), "split": "all", "cache": False}
    data = sk.dataset("visual_genome", **options)
    assert [data[n].id for n in range(len(data))] == [1]


def test_files_of_another_version(opened: Open, tmp_path: Path) -> None:
    """Names with a version, of which the last counts; images under `id`; entries in any order."""
    opened()
    data = documents()
    (tmp_path / "objects.json").rename(tmp_path / "objects_v1_2.json")
    (tmp_path / "objects_v1.json").write_text("[]")
    (tmp_path / "image_data.json").write_text(
        json.dumps([{"id": entry.pop("image_id"), **entry} for entry in data["image_data"]])
    )
    (tmp_path / "relationships.json").write_text("\ufeff" + json.dumps(data["relationships"][::-1], indent=2))
    scene = sk.dataset("visual_genome", root=str(tmp_path), split="all", cache=False)[0].scene
    assert scene.names() == ["man", "horse", "hat"] and len(scene[sk.RELATIONS]) == 2


def test_splits(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "densecap_splits.json").write_text('{"train": [1], "val": [3], "test": [2]}')
    (tmp_path / "ids_train.txt").write_text("3\n1\n")
    (tmp_path / "ids_val.json").write_text("[2]")
    (tmp_path / "array.json").write_text("[0, 1, 2]")
    ids = {}
    for split, splits in (
        *((split, "densecap_splits.json") for split in ("train", "val", "test")),
        ("train", "ids_{split}.txt"),
        ("val", "ids_{split}.json"),
        ("test", "array.json"),
    ):
        data = opened(split=split, splits=str(tmp_path / splits))
        ids[split, splits] = [data[n].id for n in range(len(data))]
    assert list(ids.values()) == [[1], [3], [2], [1, 3], [2], [3]]


def test_the_array_of_vg150(tmp_path: Path) -> None:
    """It leaves out four images of image_data.json, and knows no val: that is the beginning of train."""
    ids = np.array([1591, 1592, 1593, 1722, 4616, 4617, 4618, 4619])
    path = tmp_path / "split.npy"
    np.save(path, np.array([0, 0, 2, 0]))
    found = {split: ids[in_split(ids, split, path, validation=1)].tolist() for split in ("train", "val", "test")}
    assert found == {"train": [1593, 4619], "val": [1591], "test": [4618]}


def test_our_own_division() -> None:
    ids = np.arange(1, 10_001)
    masks = np.stack([in_split(ids, split, "hash", 0) for split in ("train", "val", "test")])
    assert (masks.sum(0) == 1).all()
    np.testing.assert_allclose(masks.mean(1), [0.8, 0.1, 0.1], atol=0.01)


def test_it_survives_pickling(opened: Open) -> None:
    """As workers that are started afresh need it."""
    data = pickle.loads(pickle.dumps(opened()))
    assert data[0].scene.names() == ["man", "horse", "hat"]


@pytest.fixture
def real(samples: Path, tmp_path: Path) -> Path:
    """The samples, whose attributes are of version 1.0."""
    shutil.copytree(samples / "visual_genome", tmp_path / "vg")
    return tmp_path / "vg"


def test_real_samples(real: Path) -> None:
    """Everything that the files list is there, once, under its names."""
    options = {"root": str(real), "split": "all", "cache": False, "merge": False, "vocabulary": "all"}
    data = sk.dataset("visual_genome", **options)
    by_file = {
        name: {entry.get("image_id", entry.get("id")): entry for entry in json.loads((real / name).read_text())}
        for name in ("objects.json", "relationships.json", "region_descriptions.json", "attributes_v1.json")
    }
    assert [data[n].id for n in range(len(data))] == [1, 2, 4]
    for sample in map(data.__getitem__, range(3)):
        scene = sample.scene
        entries = {name: entries[sample.id] for name, entries in by_file.items()}
        objects = entries["objects.json"]["objects"]
        assert scene.names() == [normalized(entry["names"][0]) for entry in objects]
        assert scene.objects.ids.tolist() == [entry["object_id"] for entry in objects]
        place = {entry["object_id"]: row for row, entry in enumerate(objects)}
        expected = {
            (place[r["subject"]["object_id"]], normalized(r["predicate"]), place[r["object"]["object_id"]])
            for r in entries["relationships.json"]["relationships"]
        }
        assert set(triples(scene)) == expected and len(scene[sk.RELATIONS]) == len(expected)
        boxes = {(r["x"], r["y"]) for r in entries["region_descriptions.json"]["regions"]}
        assert {tuple(map(int, box[:2])) for box in scene.regions(sk.PHRASES).boxes.tolist()} == boxes
        said = {
            normalized(name) for entry in entries["attributes_v1.json"]["attributes"] for name in entry["attributes"]
        }
        held = (scene[sk.ATTRIBUTES] == 1).any(dim=0).tolist()
        assert {name for name, holds in zip(data.vocabulary.attributes, held, strict=True) if holds} == said


def test_real_samples_in_the_words_of_vg150(real: Path) -> None:
    """Counted by hand with another program: 21, 17 and 8 first names; the others of an object find two more."""
    options = {"root": str(real), "split": "all", "cache": False}
    unmerged = sk.dataset("visual_genome", merge=False, **options)
    assert [len(unmerged[n].scene.objects) for n in range(3)] == [21, 17, 10]
    merged = sk.dataset("visual_genome", **options)
    assert [len(merged[n].scene.objects) for n in range(3)] == [17, 17, 10]
    assert all(checked(merged[n], strict=True) for n in range(3))
