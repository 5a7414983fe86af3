"""Synthetic scenes written as COCO-style JSON and read again are the same scenes; such a file trains a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.data.sample import Sample
from scenekit.fields.base import Field
from scenekit.fields.labels import LabelField
from scenekit.fields.pairs import PairField
from scenekit_datasets.coco import write_coco

COUNT = 3


@pytest.fixture(scope="module")
def originals() -> list[Sample]:
    keys = [key.name for key in (*EXACT, sk.KEYPOINTS, sk.DEPTH, sk.SEMANTIC)]
    data = sk.dataset("synthetic", split="test", keys=keys, size=[96, 128], cache=False)
    return [data[index] for index in range(COUNT)]


@pytest.fixture(scope="module")
def written(originals: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sk.dataset("coco", annotations=str(write_coco(originals, tmp_path_factory.mktemp("written"))))


EXACT = (
    sk.MASKS,
    sk.AMODAL_MASKS,
    sk.PANOPTIC,
    sk.RELATIONS,
    sk.ATTRIBUTES,
    sk.CAPTIONS,
    sk.BOXES3D,
    sk.PHRASE_CAPTIONS,
)


def test_vocabulary(originals: list[Sample], written: Any) -> None:
    assert written.vocabulary == originals[0].scene.vocabulary


@pytest.mark.parametrize("index", range(COUNT))
def test_objects_and_camera(originals: list[Sample], written: Any, index: int) -> None:
    before, after = originals[index], written[index]
    assert after.id == before.id and torch.equal(after.image, before.image)
    for stream in (sk.OBJECTS, sk.PHRASES):
        ours, theirs = after.scene.regions(stream), before.scene.regions(stream)
        torch.testing.assert_close(ours.boxes, theirs.boxes, rtol=0, atol=1e-4)
        assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.crowd, theirs.crowd)
        torch.testing.assert_close(ours.area, theirs.area, rtol=1e-5, atol=1e-3)
    assert torch.equal(after.scene.camera.matrix, before.scene.camera.matrix)
    assert after.supervision == before.supervision


@pytest.mark.parametrize("key", EXACT, ids=lambda key: key.name)
@pytest.mark.parametrize("index", range(COUNT))
def test_labels_are_the_same(originals: list[Sample], written: Any, index: int, key: Any) -> None:
    after, before = (key.field.encode(data[index].scene[key], written.vocabulary) for data in (written, originals))
    assert after == before


@pytest.mark.parametrize("index", range(COUNT))
def test_maps_and_points(originals: list[Sample], written: Any, index: int) -> None:
    before, after = originals[index].scene, written[index].scene
    assert torch.equal(after[sk.SEMANTIC], before[sk.SEMANTIC])
    step = max(0.001, float(before[sk.DEPTH].nan_to_num(0).max()) / 65535)
    torch.testing.assert_close(after[sk.DEPTH], before[sk.DEPTH], rtol=1e-6, atol=0.51 * step, equal_nan=True)
    points, expected = after[sk.KEYPOINTS], before[sk.KEYPOINTS]
    assert torch.equal(points.visibility, expected.visibility)
    shown = expected.visibility > 0
    assert torch.equal(points.xy[shown], expected.xy[shown])
    assert torch.equal(after.rows_with(sk.KEYPOINTS), shown.any(dim=1))


def test_claims_survive(originals: list[Sample], tmp_path: Path) -> None:
    """Partial supervision, crowds, unknown attributes."""
    sample = originals[0]
    scene = sample.scene.select(sk.OBJECTS, torch.arange(len(sample.scene.objects)))
    scene[sk.ATTRIBUTES][0, 1] = torch.nan
    scene.objects.crowd[0] = scene.objects.ignore[-1] = True
    claims = sk.Supervision(
        frozenset({sk.MASKS, sk.ATTRIBUTES}),
        frozenset({"person", "chair"}),
        exhaustive=frozenset(),
        partial=frozenset({"mug"}),
        mirrorable=False,
        map_classes=frozenset({"person", scene.vocabulary.stuff[0]}),
    )
    path = write_coco([Sample(sample.image, scene, claims, 7)], tmp_path)
    after = sk.dataset("coco", annotations=str(path))[0]
    assert after.supervision == claims
    assert torch.equal(after.scene.objects.crowd, scene.objects.crowd)
    assert torch.equal(after.scene.objects.ignore, scene.objects.ignore)
    torch.testing.assert_close(after.scene[sk.ATTRIBUTES], scene[sk.ATTRIBUTES], equal_nan=True)


def with_values(sample: Sample, values: dict[sk.Key[Any, Any], Any], **changes: Any) -> Sample:
    """The sample with nothing but these values, which it also supervises."""
    scene = replace(sample.scene, values=values, **changes)
    return replace(sample, scene=scene, supervision=replace(sample.supervision, keys=frozenset(values)))


def test_keys_of_plugins_come_back(originals: list[Sample], tmp_path: Path) -> None:
    """Of objects, where only some rows carry it; of the image; and a shared key that COCO has no field for."""
    distance = sk.Key("test.coco_distance", of=sk.OBJECTS)
    grid = sk.Key("test.coco_grid", of=sk.OBJECTS, shape=("N", 2, 2))
    rain = sk.Key("test.coco_rain")
    count = len(originals[0].scene.objects)
    metres, known = torch.arange(count) + 0.5, torch.arange(count) != 1
    values = {distance: metres, grid: torch.rand(count, 2, 2), rain: 0.25, sk.VISIBILITY: torch.rand(count)}
    path = write_coco([with_values(originals[0], values, valid={distance: known})], tmp_path)
    data = json.loads(path.read_text())
    assert data["annotations"][0]["scenekit"]["test.coco_distance"] == 0.5
    assert "test.coco_distance" not in data["annotations"][1]["scenekit"]
    assert data["images"][0]["scenekit"] == {"test.coco_rain": 0.25}
    after = sk.dataset("coco", annotations=str(path))[0]
    assert torch.equal(after.scene.rows_with(distance), known)
    assert torch.equal(after.scene[distance][known], metres[known])
    for key in (grid, sk.VISIBILITY):
        assert torch.equal(after.scene[key], values[key]) and bool(after.scene.rows_with(key).all())
    assert after.scene[rain] == 0.25 and after.supervision.keys == frozenset(values)
    only = sk.dataset("coco", annotations=str(path), keys=["test.coco_rain"])[0]
    assert set(only.scene.values) == {rain}


def test_pairs_of_a_plugin_name_the_same_objects_when_annotations_move(originals: list[Sample], tmp_path: Path) -> None:
    """The first annotation is removed, the others are listed in reverse: the pairs follow them by id."""
    occludes: sk.Key[Any, Any] = sk.Key("test.coco_occludes", field=PairField())
    count = len(originals[0].scene.objects)
    assert count > 3
    pairs = sk.Pairs(torch.tensor([1, 0, 2]), torch.tensor([2, 1, 3]), score=torch.tensor([0.5, 0.25, 1.0]))
    path = write_coco([with_values(originals[0], {occludes: pairs})], tmp_path)
    data = json.loads(path.read_text())
    kept = data["annotations"][:0:-1]
    path.write_text(json.dumps({**data, "annotations": kept}))
    after = sk.dataset("coco", annotations=str(path))[0].scene
    ids = after.objects.ids.tolist()
    assert ids == list(range(count, 1, -1))
    found = [(ids[s], ids[o]) for s, o in zip(after[occludes].subject, after[occludes].object, strict=True)]
    assert found == [(2, 3), (3, 4)] and after[occludes].score.tolist() == [0.5, 1.0]


class LeaderField(Field[torch.Tensor, torch.Tensor]):
    """The row of another object for each one, -1 for none."""

    def remap(self, item: torch.Tensor, index_map: torch.Tensor) -> torch.Tensor:
        return torch.cat((index_map, torch.tensor([-1])))[item]


def test_rows_of_a_plugin_name_the_same_objects_when_annotations_move(originals: list[Sample], tmp_path: Path) -> None:
    """Each object follows the one after it; the first annotation is removed, the others are listed in reverse."""
    leader: sk.Key[Any, Any] = sk.Key("test.coco_leader", of=sk.OBJECTS, field=LeaderField())
    count = len(originals[0].scene.objects)
    path = write_coco([with_values(originals[0], {leader: torch.arange(1, count + 1) % count})], tmp_path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "annotations": data["annotations"][:0:-1]}))
    after = sk.dataset("coco", annotations=str(path))[0].scene
    assert after.objects.ids.tolist() == list(range(count, 1, -1))
    assert after[leader].tolist() == [-1, *range(count - 2)], "the last one followed the first, which is gone"
    path.write_text(path.read_text().replace('{"test.coco_leader": 2}', '{"test.coco_leader": 99}'))
    with pytest.raises(sk.InputError, match="not what its field encodes"):
        sk.dataset("coco", annotations=str(path))[0]


def test_names_of_a_plugin_come_back(originals: list[Sample], tmp_path: Path) -> None:
    """Without its list of names, the labels of a plugin could not even be checked."""
    breed: sk.Key[Any, Any] = sk.Key("test.coco_breed", of=sk.OBJECTS, field=LabelField("test.breeds"))
    labelled = with_values(originals[0], {breed: torch.arange(len(originals[0].scene.objects)) % 2})
    vocabulary = replace(labelled.scene.vocabulary, lists={"test.breeds": ("poodle", "collie")})
    path = write_coco([replace(labelled, scene=replace(labelled.scene, vocabulary=vocabulary))], tmp_path)
    again = checked(sk.dataset("coco", annotations=str(path))[0], strict=True)
    assert again.scene.vocabulary.lists == vocabulary.lists
    assert torch.equal(again.scene[breed], labelled.scene[breed])
    path.write_text(path.read_text().replace('["poodle", "collie"]', "7"))
    with pytest.raises(sk.InputError, match="'scenekit_lists' must be an object"):
        sk.dataset("coco", annotations=str(path))


def test_values_that_are_not_what_a_field_encodes(originals: list[Sample], tmp_path: Path) -> None:
    key = sk.Key("test.coco_distance", of=sk.OBJECTS)
    count = len(originals[0].scene.objects)
    path = write_coco([with_values(originals[0], {key: torch.ones(count)})], tmp_path)
    text = path.read_text()
    for wrong in ('"far"', "9" * 400):
        path.write_text(text.replace('{"test.coco_distance": 1.0}', f'{{"test.coco_distance": {wrong}}}'))
        with pytest.raises(sk.InputError, match="not what its field encodes"):
            sk.dataset("coco", annotations=str(path))[0]
    path.write_text(text.replace('{"test.coco_distance": 1.0}', "1.0"))
    with pytest.raises(sk.InputError, match="'scenekit' must be an object"):
        sk.dataset("coco", annotations=str(path))


def test_keys_that_no_plugin_defines_are_skipped(
    originals: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = sk.Key("test.coco_distance", of=sk.OBJECTS)
    path = write_coco([with_values(originals[0], {key: torch.ones(len(originals[0].scene.objects))})], tmp_path)
    path.write_text(path.read_text().replace("test.coco_distance", "test.uninstalled"))
    assert set(sk.dataset("coco", annotations=str(path))[0].scene.values) == set()
    assert "test.uninstalled" in caplog.text


def test_keys_without_a_place_are_not_claimed(
    originals: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    price = sk.Key("test.price", of=sk.PHRASES)
    sample = originals[0]
    prices = torch.ones(len(sample.scene.regions(sk.PHRASES)))
    scene = replace(sample.scene, values={**sample.scene.values, price: prices})
    claims = replace(sample.supervision, keys=frozenset({sk.MASKS, price}))
    path = write_coco([replace(sample, scene=scene, supervision=claims)], tmp_path)
    assert sk.dataset("coco", annotations=str(path))[0].supervision.keys == {sk.MASKS}
    assert "test.price" in caplog.text


def test_infinite_depth_is_no_depth(originals: list[Sample], tmp_path: Path) -> None:
    sample = originals[0]
    depth = sample.scene[sk.DEPTH].clone()
    depth[0] = torch.inf
    scene = replace(sample.scene, values={**sample.scene.values, sk.DEPTH: depth})
    path = write_coco([replace(sample, scene=scene)], tmp_path)
    found = sk.dataset("coco", annotations=str(path))[0].scene[sk.DEPTH]
    known = depth.isfinite()
    torch.testing.assert_close(found[known], depth[known], rtol=1e-6, atol=float(depth[known].max()) / 65535)
    assert not (found[0] > 0).any()


def test_refusals(originals: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(sk.InputError, match="two samples have the id 0"):
        write_coco([originals[0], originals[0]], tmp_path)
    with pytest.raises(sk.InputError, match="expected at least one"):
        write_coco([], tmp_path)
