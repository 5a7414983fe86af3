"""Synthetic scenes as samples, and the cache on disk."""

import errno
import itertools
import json
import multiprocessing

import numpy as np
import pytest
import torch

from scenekit.errors import InputError
from scenekit.keys import (
    AMODAL_MASKS,
    ATTRIBUTES,
    BOXES3D,
    DEPTH,
    KEYPOINTS,
    MASKS,
    MESHES,
    OBJECTS,
    PANOPTIC,
    PHRASE_CAPTIONS,
    PHRASES,
    RELATIONS,
    SEMANTIC,
    VOXELS,
)
from scenekit.scene import Scene
from scenekit.structures.voxels import cell_centers
from scenekit_datasets.synthetic import SyntheticDataset, build, generate
from scenekit_datasets.synthetic.cache import cached, load, save, scene_path
from scenekit_datasets.synthetic.dataset import KEYS, synthetic_vocabulary, to_scene

SIZE = (96, 128)


def equal(one, two):
    """Deep equality of what scenes are made of."""
    if isinstance(one, np.ndarray):
        return one.dtype.kind == two.dtype.kind and np.array_equal(one, two)
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    if hasattr(one, "__dataclass_fields__"):
        return all(equal(getattr(one, name), getattr(two, name)) for name in one.__dataclass_fields__)
    return one == two


# --- samples ---


def test_a_sample_carries_every_kind_of_label(cases):
    made = cases[1].scene
    scene = to_scene(made, synthetic_vocabulary(), (*KEYS, AMODAL_MASKS))
    assert set(scene.values) == {*KEYS, AMODAL_MASKS}
    assert (scene[MASKS].dense.numpy() == made.masks).all()
    assert (scene[AMODAL_MASKS].dense.numpy() == made.amodal).all()
    assert torch.equal(scene.objects.boxes, scene[MASKS].boxes)
    assert torch.equal(scene.objects.area, scene[MASKS].area)
    assert (scene[SEMANTIC].numpy() == made.semantic).all()
    assert scene[DEPTH].isnan().sum() == (made.depth == 0).sum()
    assert scene[KEYPOINTS].xy.shape == (len(made.labels), 17, 2)
    assert len(scene.regions(PHRASES)) == len(scene[PHRASE_CAPTIONS]) == len(made.phrases)
    for row, held in zip(scene[ATTRIBUTES], made.attributes, strict=True):
        assert row.nonzero()[:, 0].tolist() == list(held)


def test_segments_name_their_objects(cases):
    for case in cases:
        scene = to_scene(case.scene, synthetic_vocabulary())
        masks = scene[MASKS].dense
        for segment in scene[PANOPTIC].segments:
            if segment.object is not None:
                assert segment.label == scene.objects.labels[segment.object]
                assert torch.equal(scene[PANOPTIC].ids == segment.id, masks[segment.object])


def test_relations_keep_subject_and_object_apart(cases):
    made = cases[2].scene
    rows = to_scene(made, synthetic_vocabulary())[RELATIONS]
    assert len(rows) == len(made.relations) > 0
    triples = zip(rows.subject.tolist(), rows.predicate.tolist(), rows.object.tolist(), strict=True)
    assert [list(triple) for triple in triples] == made.relations.tolist()


def test_3d_boxes_and_meshes_agree_with_the_core_types(cases):
    """The core's corners enclose the core's meshes, and its camera projects them around the 2D box."""
    for case in cases:
        scene = to_scene(case.scene, synthetic_vocabulary())
        corners = scene[BOXES3D].corners
        for index in range(len(scene.objects)):
            verts = scene[MESHES].verts_of(index)
            assert (verts.amin(0) >= corners[index].amin(0) - 1e-3).all()
            assert (verts.amax(0) <= corners[index].amax(0) + 1e-3).all()
            pixels = scene.camera.project(verts)
            box = scene.objects.boxes[index]
            assert (pixels.amin(0) - 1 <= box[:2]).all() and (pixels.amax(0) + 1 >= box[2:]).all()


def test_voxels_fill_the_boxes_with_the_meshes(cases):
    """Full cells cover what the meshes cover: their centers, taken to the image, are in the amodal mask."""
    for case in cases[:4]:
        scene = to_scene(case.scene, synthetic_vocabulary(), (BOXES3D, MESHES, VOXELS, AMODAL_MASKS))
        masks = scene[AMODAL_MASKS].dense
        centers = cell_centers(scene[BOXES3D], 24)
        assert scene[VOXELS].shape == (len(scene.objects), 24, 24, 24)
        for grid, xyz, mask in zip(scene[VOXELS], centers, masks, strict=True):
            reach = torch.stack([grid.any(dim=dims).float().mean() for dims in ((0, 1), (0, 2), (1, 2))])
            assert (reach > 0.9).all(), "boxes are tight"
            pixels = scene.camera.project(xyz[grid]).floor().long()
            seen = ((pixels >= 0) & (pixels < torch.tensor([mask.shape[1], mask.shape[0]]))).all(dim=1)
            inside = mask[pixels[seen, 1], pixels[seen, 0]].float().mean()
            assert inside > 0.8, "centers of cells with thin parts lie beside them"


def test_upright_boxes_have_neither_roll_nor_pitch_in_a_level_camera(cases):
    """Turned back by the camera's own tilt, upright objects differ from the level only in yaw."""
    for case in cases:
        view = case.renderer.stage.view
        level = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ torch.tensor(view.rotation.T, dtype=torch.float32)
        boxes = to_scene(case.scene, synthetic_vocabulary())[BOXES3D]
        turned = type(boxes)(boxes.center, boxes.size, level @ boxes.rotation)
        for placed, angles in zip(case.renderer.objects, turned.roll_pitch_yaw, strict=True):
            if not placed.tipped:
                assert angles[:2].abs().max() < 0.2


def test_scenes_survive_json(cases):
    scene = to_scene(cases[0].scene, synthetic_vocabulary(), (SEMANTIC, MASKS, KEYPOINTS, RELATIONS, BOXES3D))
    back = Scene.from_json(json.loads(json.dumps(scene.to_json())))
    assert torch.equal(back[SEMANTIC], scene[SEMANTIC])
    assert torch.equal(back[MASKS].dense, scene[MASKS].dense)
    assert torch.equal(back[RELATIONS].predicate, scene[RELATIONS].predicate)


def test_vocabulary_is_consistent():
    words = synthetic_vocabulary()
    assert len(words.things) >= 11 and len(words.stuff) >= 5
    skeleton = words.skeleton
    assert skeleton is not None and len(skeleton.points) == len(skeleton.sigmas) == 17
    assert len(skeleton.mirror) == 8
    assert words.mirror_text("a mug to the left of a car") == "a mug to the right of a car"


# --- the data set ---


def test_splits_do_not_share_scenes():
    splits = [SyntheticDataset(split, cache=False) for split in ("train", "val", "test")]
    splits.append(SyntheticDataset("train", seed=1, cache=False))
    assert len({data.seed for data in splits}) == 4
    assert [len(data) for data in splits] == [10_000, 500, 500, 10_000]


def test_items_are_samples(tmp_path):
    data = build("val", length=2, size=SIZE, keys=["masks", "semantic"], cache=str(tmp_path))
    sample = data[1]
    assert sample.image.dtype == torch.uint8 and sample.image.shape == (3, *SIZE)
    assert set(sample.scene.values) == {MASKS, SEMANTIC} == sample.supervision.keys
    assert sample.supervision.exhaustive == {OBJECTS, PHRASES}
    assert sample.id == 1
    assert len(list(data)) == 2
    with pytest.raises(IndexError):
        data[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "vall"}, "no split 'vall'; did you mean 'val'"),
        ({"split": "val", "length": 501}, "1 to 500, got 501"),
        ({"length": 0}, "must be 1 to 10000000, got 0"),
        ({"split": "test", "seed": 3}, "fixed for val and test, got 3"),
        ({"seed": -1}, "0 or more"),
        ({"size": (240, 8)}, r"32 to 4096, got \(240, 8\)"),
        ({"keys": ["maks"]}, "no labels 'maks'; did you mean 'masks'"),
        ({"cache": "/dev/null/scenes"}, "choose another cache folder"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message) as caught:
        SyntheticDataset(**{"cache": False, **options})
    assert "\n" not in str(caught.value)


def test_the_data_set_is_found_by_name(tmp_path):
    from scenekit.data.datasets import dataset

    data = dataset("synthetic", "val", length=1, size=SIZE, cache=str(tmp_path))
    assert data.vocabulary == synthetic_vocabulary()
    assert len(data[0].scene.objects) >= 2


# --- the cache ---


@pytest.mark.parametrize("amodal", [False, True])
def test_what_is_kept_is_what_was_made(tmp_path, amodal):
    scene = generate(3, 4, SIZE, amodal)
    save(tmp_path / "scene.zip", scene)
    assert equal(load(tmp_path / "scene.zip"), scene)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.zip"]


def test_voxels_are_kept_beside_their_scene(tmp_path, monkeypatch):
    data = build("train", length=1, size=SIZE, keys=["voxels"], cache=str(tmp_path), voxels=7)
    made = data[0].scene[VOXELS]
    assert made.shape[1:] == (7, 7, 7) and made.dtype == torch.bool and made.any()
    kept = {path.suffix: path for path in tmp_path.rglob("*.*") if path.is_file()}
    assert set(kept) == {".zip", ".npy"}
    monkeypatch.setattr("scenekit_datasets.synthetic.dataset.voxelize", None)
    assert torch.equal(data[0].scene[VOXELS], made)
    monkeypatch.undo()
    kept[".npy"].write_bytes(kept[".npy"].read_bytes()[:-9])
    assert torch.equal(data[0].scene[VOXELS], made), "a file that was cut off is made anew"


@pytest.mark.parametrize("side", [0, 257])
def test_grids_have_a_sensible_size(side):
    with pytest.raises(InputError, match=f"must be from 1 to 256, got {side}"):
        build("val", length=1, keys=["voxels"], voxels=side)


def test_the_second_time_comes_from_disk(tmp_path, monkeypatch):
    first = cached(tmp_path, 3, 4, SIZE)
    monkeypatch.setattr("scenekit_datasets.synthetic.cache.generate", None)
    assert equal(cached(tmp_path, 3, 4, SIZE), first)


@pytest.mark.parametrize("keep", [0, 20, 3000])
def test_a_damaged_file_is_made_anew(tmp_path, keep):
    first = cached(tmp_path, 3, 4, SIZE)
    path = scene_path(tmp_path, 3, 4, SIZE, False)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert equal(cached(tmp_path, 3, 4, SIZE), first)
    assert equal(load(path), first)


def test_a_flipped_byte_in_the_image_is_noticed(tmp_path):
    first = cached(tmp_path, 3, 4, SIZE)
    path = scene_path(tmp_path, 3, 4, SIZE, False)
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    assert equal(cached(tmp_path, 3, 4, SIZE), first)


def test_a_wrong_byte_anywhere_is_survived(tmp_path):
    first = cached(tmp_path, 3, 4, SIZE)
    path = scene_path(tmp_path, 3, 4, SIZE, False)
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert equal(cached(tmp_path, 3, 4, SIZE), first)


def test_a_full_disk_stops_nobody(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("scenekit_datasets.synthetic.cache.save", full)
    assert equal(cached(tmp_path, 3, 4, SIZE), generate(3, 4, SIZE))
    cached(tmp_path, 3, 5, SIZE)
    assert caplog.text.count("No space left on device") == 1


def test_only_a_cache_that_was_asked_for_is_an_error(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCENEKIT_CACHE", str(tmp_path / "file"))
    assert len(SyntheticDataset("val")) == 500 and "generated again" in caplog.text
    with pytest.raises(InputError, match="choose another cache folder"):
        SyntheticDataset("val", cache=str(tmp_path / "file" / "below"))


def test_sizes_and_kinds_do_not_mix(tmp_path):
    kinds = itertools.product((SIZE, (240, 320)), (False, True), (False, True))
    assert len({scene_path(tmp_path, 3, 4, size, amodal, single) for size, amodal, single in kinds}) == 8


def test_scenes_with_a_single_object(tmp_path):
    """One object with a few percent of the image, of many classes, with every label; the cache keeps them apart."""
    data = SyntheticDataset("val", length=12, size=SIZE, cache=str(tmp_path), single=True)
    scenes = [data[index].scene for index in range(12)]
    assert all(len(scene.objects) == 1 and set(scene.values) == set(KEYS) for scene in scenes)
    assert all(scene.objects.area[0] >= 0.02 * SIZE[0] * SIZE[1] for scene in scenes)
    assert all(len(scene[RELATIONS]) == 0 and len(scene.regions(PHRASES)) == 1 for scene in scenes)
    assert len({int(scene.objects.labels[0]) for scene in scenes}) >= 5
    again = SyntheticDataset("val", length=12, size=SIZE, cache=False, single=True)
    assert torch.equal(again[3].image, data[3].image)
    assert len(SyntheticDataset("val", length=12, size=SIZE, cache=str(tmp_path), keys=[])[3].scene.objects) > 1


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("scenekit_datasets.synthetic.cache.write_scene", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(tmp_path / "scene.zip", generate(3, 4, SIZE))
    assert not list(tmp_path.iterdir())


def _read(arguments):
    root, index = arguments
    return cached(root, 5, index, SIZE).image.tobytes()


def test_processes_may_share_a_cache(tmp_path):
    work = [(tmp_path, index) for index in (0, 1, 0, 1, 0, 1)]
    # Not forked: the ray caster's threads may hold a lock at that moment, which nothing would release in a child.
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        images = pool.map(_read, work, chunksize=1)
    assert images[0] == images[2] == images[4] != images[1]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
