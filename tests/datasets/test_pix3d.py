"""Pix3D's folder: a made one whose silhouettes and grids are known, and the real sample."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.data.datasets import dataset
from scenekit.data.issues import issues_of
from scenekit.errors import InputError
from scenekit.keys import BOXES3D, MASKS, MESHES, OBJECTS, VOXELS
from scenekit.recipe import InputConfig
from scenekit.scene import Scene
from scenekit.structures.geometry import Geometry
from scenekit.structures.voxels import cell_centers, voxelize
from scenekit_datasets.pix3d import build
from scenekit_datasets.pix3d.models import load_model
from scenekit_plugins.boxes3d.priors import priors_of
from tests import tiny

from . import pix3d_files as files


@pytest.fixture(autouse=True)
def forget() -> None:
    """Models are kept by their path, and tests change what is there."""
    load_model.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write(tmp_path_factory.mktemp("pix3d"))


def iou(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


def silhouette_iou(scene: Scene) -> float:
    """The mesh, through the scene's own camera, against the mask."""
    meshes, (height, width) = scene[MESHES], scene.size
    drawn = files.silhouette(scene.camera.project(meshes.verts).numpy(), meshes.faces.numpy(), [width, height])
    return iou(drawn, scene[MASKS].dense[0].numpy())


def test_samples_carry_one_object_and_its_shape(folder: Path) -> None:
    data = dataset("pix3d", root=str(folder))
    assert len(data) == 2 and data.vocabulary.things == ("chair", "sofa")
    for sample in (data[0], data[1]):
        scene = sample.scene
        assert tuple(sample.image.shape[1:]) == tuple(scene.size)
        assert set(scene.values) == {MASKS, BOXES3D, MESHES, VOXELS} == set(sample.supervision.keys)
        assert len(scene.objects) == 1 and torch.equal(scene.objects.boxes, scene[MASKS].boxes)
        assert sample.supervision.exhaustive == frozenset() and sample.supervision.streams == {OBJECTS}
        assert not list(issues_of(sample))
    assert data[1].scene.names() == ["sofa"]


def test_the_mesh_covers_the_mask(folder: Path) -> None:
    for sample in build(str(folder)):
        assert silhouette_iou(sample.scene) > 0.98


def test_frames_by_hand(tmp_path: Path) -> None:
    """A pose without a turn: Pix3D's camera looks along +z at the model's front (-z), x is left and y is up."""
    still = {"rot_mat": np.eye(3).tolist(), "trans_mat": [0.1, 0.2, 3.0]}
    scene = build(str(files.write(tmp_path, still)))[0].scene
    box = scene[BOXES3D]
    # The middle of the throne's bounds is its origin: 0.1 to the left and 0.2 up.
    assert torch.allclose(box.center, torch.tensor([[-0.1, -0.2, 3.0]]), atol=1e-6)
    assert torch.allclose(box.size, torch.tensor([[0.6, 1.0, 0.6]]), atol=1e-6)
    assert torch.allclose(box.rotation[0, :, 0], torch.tensor([0.0, 0.0, -1.0])), "its front looks at the camera"
    assert torch.allclose(box.rotation[0, :, 1], torch.tensor([0.0, 1.0, 0.0])), "it stands upright"
    assert torch.allclose(scene.camera.matrix, torch.tensor([[200.0, 0, 80], [0, 200, 60], [0, 0, 1]]))
    arm = scene[MESHES].verts[:, 1] == scene[MESHES].verts[:, 1].amin()  # the top of the back
    assert scene[MESHES].verts[arm, 2].amin() > 3.0, "the back is behind"


def test_boxes_hold_their_meshes(folder: Path) -> None:
    for sample in build(str(folder), keys=["boxes3d", "meshes"]):
        box, verts = sample.scene[BOXES3D], sample.scene[MESHES].verts
        local = (verts - box.center) @ box.rotation[0]
        reach = torch.stack((local.amin(0), local.amax(0))) / box.size.flip(-1)
        assert torch.allclose(reach, torch.tensor([[-0.5], [0.5]]).expand(2, 3), atol=1e-5)
        assert bool(box.valid.all()) and sample.scene[MESHES].to_trimesh(0).volume > 0


@pytest.mark.parametrize("grids", [True, False], ids=["voxel.mat", "model"])
def test_voxels_are_where_the_mesh_is(tmp_path: Path, grids: bool) -> None:
    """Centers of cells, in the camera frame, are in the mesh where the cell is full: no axis is turned or exchanged."""
    scene = build(str(files.write(tmp_path, grids=grids)), voxels=16)[0].scene
    centers = cell_centers(scene[BOXES3D], 16)[0].reshape(-1, 3).numpy()
    inside = scene[MESHES].to_trimesh(0).contains(centers).reshape(16, 16, 16)
    grid = scene[VOXELS][0].numpy()
    assert iou(grid, inside) > 0.85
    others = [np.flip(grid, axes) for axes in (0, 1, 2, (0, 2))] + [grid.transpose(2, 1, 0)]
    assert all(iou(other, inside) < iou(grid, inside) - 0.05 for other in others)


def test_scenes_survive_json(folder: Path) -> None:
    scene = build(str(folder))[0].scene
    back = Scene.from_json(json.loads(json.dumps(scene.to_json())))
    assert torch.equal(back[VOXELS], scene[VOXELS]) and back[VOXELS].dtype == torch.bool
    assert torch.allclose(back[MESHES].verts, scene[MESHES].verts)


def test_a_mirrored_scene_holds_together(folder: Path) -> None:
    """Mesh, box and grid of the flipped image agree with each other and with its mask."""
    scene = build(str(folder), voxels=16)[0].scene
    flipped = scene.transformed(Geometry.flip(scene.size))
    assert silhouette_iou(flipped) > 0.96, "Pillow draws borders a little differently from left to right"
    grid = voxelize(flipped[MESHES], flipped[BOXES3D], 16)[0].numpy()
    assert iou(flipped[VOXELS][0].numpy(), grid) > iou(scene[VOXELS][0].numpy(), grid) + 0.05


def test_batches(folder: Path) -> None:
    data = build(str(folder), voxels=8)
    _, targets = collate(
        [data[0], data[1]], vocabulary=data.vocabulary, keys=[MESHES, VOXELS, BOXES3D, MASKS], config=InputConfig()
    )
    assert targets[VOXELS].shape == (2, 8, 8, 8) and len(targets[MESHES]) == len(targets[BOXES3D]) == 2
    assert not targets.streams[OBJECTS].exhaustive.any()


def test_boxes_without_a_unit_place_shapes_and_teach_no_sizes(folder: Path) -> None:
    """Meshes learn from them, 3D boxes and their priors do not, unless lengths count as metres."""
    tasks = {"boxes3d": {}, "meshes": {"voxels": {"channels": 8, "pooled": 4}, "refinement": {"stages": 0}}}
    config = tiny.config(()).model_copy(update={"tasks": tasks})
    model = sk.build(config, build(str(folder)).vocabulary)
    for metric in (False, True):
        data = build(str(folder), voxels=8, metric=metric)
        batch, targets = collate(
            [data[0], data[1]], vocabulary=data.vocabulary, keys=model.learns_from, config=model.config.input
        )
        assert bool(targets[BOXES3D].center.isfinite().all()) and (BOXES3D in targets) is metric
        names = {name for name in model(batch, targets).losses if not name.endswith(".unlabelled")}
        assert {"meshes.extent", "meshes.voxel"} <= names and any(
            name.startswith("boxes3d.") for name in names
        ) is metric
        assert bool(priors_of([data[0].scene], None).sizes) is metric


def test_choices(folder: Path, tmp_path: Path) -> None:
    assert [s.scene.names() for s in build(str(folder), categories=["sofa"])] == [["sofa"]]
    assert [s.id for s in build(str(folder), leave_out=["truncated"])] == [0]
    assert set(build(str(folder), keys=["masks"])[0].scene.values) == {MASKS}
    lists = {"train": ["img/throne/0000.png"], "test": ["img/throne/0001.png"]}
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    (tmp_path / "s1_test.json").write_text(json.dumps({"images": [{"file_name": name} for name in lists["test"]]}))
    (tmp_path / "train.txt").write_text("\n".join(lists["train"]))
    for split, splits in [
        ("train", "lists.json"),
        ("test", "lists.json"),
        ("test", "s1_{split}.json"),
        ("train", "{split}.txt"),
    ]:
        data = build(str(folder), split, str(tmp_path / splits))
        assert [entry.name for entry in data.entries] == lists[split]
        assert data.vocabulary.things == ("chair", "sofa"), "the same in every split"
    ours = [len(build(str(folder), "all"))]
    for split in ("train", "val", "test"):
        try:
            ours.append(len(build(str(folder), split, "hash")))
        except InputError as error:
            assert "is in the split" in str(error)
    assert ours == [2, 2], "all images of a model are in one split"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "Pix3D has no official split 'val': give splits=FILE"),
        ({"split": "val", "splits": "{folder}/lists.json"}, r"lists\.json has no split 'val'; it has train"),
        ({"splits": "{folder}/names.txt"}, r"names\.txt: a file with one list of names needs \{split\} in its name"),
        ({"splits": "{folder}/lists.json"}, r"lists\.json: img/gone\.png is not in .*pix3d\.json"),
        ({"splits": "{folder}/nowhere.txt"}, r"no such file: .*nowhere\.txt"),
        ({"categories": ["chiar"]}, "has the category 'chiar'; did you mean 'chair'"),
        ({"leave_out": ["truncate"]}, "leave_out names 'truncate'; did you mean 'truncated'"),
        ({"keys": ["depth"]}, "Pix3D has no labels 'depth'"),
        ({"voxels": 0}, "must be from 1 to 256, got 0"),
        ({"annotations": "other.json"}, r"no such file: .*other\.json"),
        (
            {"categories": ["chair"], "leave_out": ["truncated"], "splits": "{folder}/sofa.json"},
            "is left; check the op",
        ),
    ],
)
def test_bad_options(folder: Path, tmp_path: Path, options: dict, message: str) -> None:
    (tmp_path / "lists.json").write_text(json.dumps({"train": ["img/throne/0000.png", "img/gone.png"]}))
    (tmp_path / "sofa.json").write_text(json.dumps({"train": ["img/throne/0001.png"]}))
    (tmp_path / "names.txt").write_text("img/throne/0000.png\n")
    options = {k: v.replace("{folder}", str(tmp_path)) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(InputError, match=message):
        build(str(folder), **options)


def test_options_of_other_words(folder: Path) -> None:
    with pytest.raises(InputError, match="'pix3d': option 'faulty': input should be 'refuse' or 'skip', got 'ignore'"):
        dataset("pix3d", root=str(folder), faulty="ignore")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": "model/throne/gone.obj"},
            "image number 0: its 'model' is missing: no such file: .*gone.obj",
        ),
        ({"mask": "mask/throne/gone.png"}, "its 'mask' is missing"),
        ({"model": None}, "image number 0 has no 'model'"),
        ({"voxel": "model/throne/gone.mat"}, "its 'voxel' is missing"),
        ({"rot_mat": [[0.0] * 3] * 3}, r"'rot_mat' is not a rotation but not orthonormal \(determinant 0\)"),
        ({"rot_mat": np.diag([1.0, 1.0, -1.0]).tolist()}, r"not a rotation but left-handed \(determinant -1\)"),
        ({"rot_mat": [[1.0, 0.0], [0.0, 1.0]]}, "'rot_mat' must be 3 rows of 3 finite numbers"),
        ({"trans_mat": [0.0, 1.0]}, "'trans_mat' must be 3 numbers, not 2"),
        ({"focal_length": 0.0}, "focal_length and img_size must be above 0, got 0"),
        ({"bbox": [5, 5, 5, 9]}, "'bbox' must be x1, y1, x2, y2 with some area"),
        ({"truncated": "no"}, "'truncated' must be 0 or 1"),
    ],
)
def test_faulty_entries(tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict, message: str) -> None:
    root = files.write(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        build(str(root))
    assert "\n" not in str(caught.value)
    with caplog.at_level(logging.WARNING):
        assert len(build(str(root), faulty="skip")) == 1
    assert "skipped" in caplog.text


def empty_grid(root: Path) -> None:
    scipy.io.savemat(root / "model" / "throne" / "voxel.mat", {"voxel": np.zeros((8, 8, 8), dtype=np.uint8)})


def other_grid(root: Path) -> None:
    scipy.io.savemat(root / "model" / "throne" / "voxel.mat", {"cells": np.ones((8, 8, 8), dtype=np.uint8)})


def no_grid(root: Path) -> None:
    (root / "model" / "throne" / "voxel.mat").write_text("no MATLAB file")


def no_faces(root: Path) -> None:
    (root / "model" / "throne" / "model.obj").write_text("v 0 0 0\nv 1 0 0\n")


def lost_vertex(root: Path) -> None:
    (root / "model" / "throne" / "model.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (empty_grid, r"voxel\.mat: its voxel grid is empty"),
        (other_grid, r"voxel\.mat has no variable 'voxel'"),
        (no_grid, r"voxel\.mat cannot be read as a MATLAB file"),
        (no_faces, r"model\.obj has no faces"),
        (lost_vertex, r"model\.obj: 1 of 1 faces have a vertex that is not finite"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damaged_models(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage, message: str) -> None:
    """Refused in one line; or the image goes without a shape, and a warning says so once."""
    root = files.write(tmp_path)
    damage(root)
    with pytest.raises(InputError, match=message) as caught:
        build(str(root))[0]
    assert "\n" not in str(caught.value)
    data = build(str(root), faulty="skip")
    with caplog.at_level(logging.WARNING):
        assert set(data[0].scene.values) == set(data[1].supervision.keys) == {MASKS}
    assert caplog.text.count("skipped") == 1


def test_an_empty_model_is_found_at_once(tmp_path: Path) -> None:
    root = files.write(tmp_path)
    (root / "model" / "throne" / "model.obj").write_bytes(b"")
    with pytest.raises(InputError, match=r"image number 0: its 'model' is empty: .*model\.obj has 0 bytes"):
        build(str(root))


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    root = files.write(tmp_path, {"mask": "mask/throne/0001.png"})
    with pytest.raises(InputError, match=r"0001\.png: expected a mask of \[120, 160\] pixels, got \[140, 100\]"):
        build(str(root))[0]


def test_the_real_sample(samples: Path) -> None:
    """Rendered silhouettes cover the masks; the grid of voxel.mat is where the mesh is, and not turned around."""
    data = build(str(samples / "pix3d"))
    assert [sample.scene.names() for sample in data] == [["bed"], ["bed"]]
    for sample in data:
        assert silhouette_iou(sample.scene) >= 0.98
        assert torch.equal(sample.scene.objects.boxes, sample.scene[MASKS].boxes)
        assert not list(issues_of(sample))
    entry = data.entries[0]
    grid, ours = (load_model(entry.model, path, 24).voxels[0].numpy() for path in (entry.voxels, None))
    assert iou(grid, ours) > 0.94
    turned = [np.flip(grid, axes) for axes in (1, 2, (0, 2))] + [grid.transpose(2, 1, 0)]
    assert all(iou(other, ours) < 0.85 for other in turned)
