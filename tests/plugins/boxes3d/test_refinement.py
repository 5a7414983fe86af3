"""Boxes that move to the depth of the image: where rays meet boxes, which samples count, and what stays to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

import scenekit as sk
from scenekit.keys import BOXES3D, MASKS, OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.ops.rotations import axis_angle_to_matrix, random_rotations
from scenekit.scene import Objects
from scenekit.structures import Boxes3D, Camera, ImageBatch, Regions
from scenekit_plugins.boxes3d import refinement
from scenekit_plugins.boxes3d.refinement import at_depth, band_mean, crossings
from scenekit_plugins.depth_samples import samples_of
from tests.plugins.kit import regions
from tests.tiny import VOCABULARY, config, sample

SIZE = (48, 64)
CAMERA = Camera(torch.tensor([[100.0, 0.0, 30.0], [0.0, 200.0, 20.0], [0.0, 0.0, 1.0]]))
REGION = [10.0, 8.0, 50.0, 40.0]


def images(count: int = 1) -> ImageBatch:
    return ImageBatch(torch.zeros(count, 3, *SIZE), (SIZE,) * count, (SIZE,) * count, (CAMERA,) * count)


def flat(metres: float) -> Tensor:
    return torch.full((1, 1, *SIZE), metres)


def refined(boxes: Boxes3D, *view: Any) -> Boxes3D:
    return refinement.refined(boxes, samples_of(*view))


def facing(*depths: float, size: tuple[float, float, float] = (0.5, 0.2, 0.6)) -> Boxes3D:
    """Boxes on the optical axis; width is along z, height along y, length along x."""
    count = len(depths)
    center = torch.tensor([[0.0, 0.0, depth] for depth in depths])
    return Boxes3D(center, torch.tensor(size).repeat(count, 1), torch.eye(3).repeat(count, 1, 1))


def test_a_wall_of_depth_by_hand() -> None:
    """Every sample that meets the box shows 5 m, a quarter of the way from its front (-0.25 m) to its middle."""
    boxes = facing(2.0)
    moved = refined(boxes, regions([REGION], [0]), images(), flat(5.0), torch.ones(1, 28, 28))
    assert moved.center[0].tolist() == pytest.approx([0.0, 0.0, 5.0 + 0.75 * 0.25], abs=1e-4)
    for name in ("size", "rotation", "scores"):
        assert getattr(moved, name) is getattr(boxes, name)


def test_a_center_stays_on_its_ray() -> None:
    boxes = replace(facing(2.0), center=torch.tensor([[0.1, -0.05, 2.0]]))
    moved = refined(boxes, regions([REGION], [0]), images(), flat(5.0), torch.ones(1, 28, 28))
    assert torch.allclose(CAMERA.project(moved.center), CAMERA.project(boxes.center), atol=1e-4)
    assert moved.center[0, 2] > 5.0


def test_rays_meet_boxes_where_a_mesh_says() -> None:
    """trimesh casts the same rays at a box made of triangles."""
    generator = torch.Generator().manual_seed(3)
    rotation = random_rotations(6, generator=generator)
    center = torch.rand(6, 3, generator=generator) - 0.5 + torch.tensor([0.0, 0.0, 4.0])
    boxes = Boxes3D(center, torch.rand(6, 3, generator=generator) + 0.5, rotation)
    directions = torch.cat((torch.rand(6, 40, 2, generator=generator) * 0.4 - 0.2, torch.ones(6, 40, 1)), dim=2)
    near, far, hit = crossings(boxes, directions)
    for row in range(6):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation[row].numpy(), center[row].numpy()
        mesh = trimesh.creation.box(boxes.size[row].flip(0).numpy(), transform=pose)
        places, rays, _ = mesh.ray.intersects_location(np.zeros((40, 3)), directions[row].numpy())
        met = [sorted(places[rays == ray, 2].tolist()) for ray in range(40)]
        assert [len(depths) == 2 for depths in met] == hit[row].tolist()
        for ray in hit[row].nonzero()[:, 0].tolist():
            assert [near[row, ray], far[row, ray]] == pytest.approx(met[ray], abs=1e-4)
    assert 40 < int(hit.sum()) < 240


def test_the_band_is_that_of_sorted_values() -> None:
    values = torch.tensor([[9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0], [1.0] * 9, [4.0, 0, 0, 0, 0, 0, 0, 0, 0]])
    counted = torch.tensor([[True] * 9, [False] * 9, [True] + [False] * 8])
    means = band_mean(values, counted)  # ranks 2 to 4 of 9: 3, 4, 5
    assert means[0] == 4.0 and means[1].isnan() and means[2] == 4.0


def test_masks_select_depth_and_their_border_does_not_count() -> None:
    """Behind the object is a wall; at the outermost of the mask, as of a depth camera, too."""
    mask = torch.zeros(1, 28, 28)
    mask[:, 7:21, 7:21] = 1.0
    depth = flat(9.0)
    depth[:, :, 17:31, 21:39] = 3.0  # the mask is 16..32 x 20..40 pixels
    region, boxes = regions([REGION], [0]), facing(2.0)
    by_mask = refined(boxes, region, images(), depth, mask).center[0, 2]
    assert by_mask == pytest.approx(3.0 + 0.75 * 0.25, abs=1e-3)
    values = samples_of(region, images(), depth, mask)
    border = values.depth[values.counted] > 3.0
    assert border.float().mean() < 0.1
    by_region = refined(boxes, region, images(), depth, None).center[0, 2]
    assert by_region == pytest.approx(3.0 + 0.75 * 0.25, abs=1e-3)  # the middle half of the region


def holes(pixels: int) -> Tensor:
    depth = torch.full((1, 1, *SIZE), torch.nan)
    depth[0, 0, 20, 25 : 25 + pixels] = 3.0
    return depth


@pytest.mark.parametrize(("pixels", "moves"), [(2, False), (20, True)])
def test_few_pixels_move_nothing(pixels: int, moves: bool) -> None:
    boxes = facing(2.0)
    moved = refined(boxes, regions([REGION], [0]), images(), holes(pixels), torch.ones(1, 28, 28))
    assert torch.equal(moved.center, boxes.center) is not moves


def test_images_without_depth_and_boxes_without_numbers_stay_to_the_bit() -> None:
    boxes = facing(2.0, 2.0, float("nan"))
    own = Regions(torch.tensor([REGION] * 3), torch.tensor([0, 1, 1]), torch.zeros(3, dtype=torch.int64))
    depth = torch.cat((torch.full((1, 1, *SIZE), torch.nan), flat(5.0)))
    moved = refined(boxes, own, images(2), depth, torch.ones(3, 28, 28))
    assert torch.equal(moved.center[0], boxes.center[0])
    assert moved.center[1, 2] > 5.0
    assert moved.center[2].isnan().any()


def test_a_box_at_its_depth_stays_to_the_bit() -> None:
    boxes = replace(facing(3.0), center=torch.tensor([[0.1, 0.3, 3.3]]))
    assert torch.equal(at_depth(boxes, boxes.center[:, 2]).center, boxes.center)
    nowhere = replace(boxes, center=torch.zeros(1, 3))
    assert torch.equal(at_depth(nowhere, torch.tensor([5.0])).center, nowhere.center)


def test_exact_depth_of_turned_boxes_gives_their_places() -> None:
    """Depth is cast at boxes: one that is 40 % too near comes back to a few percent."""
    turns = axis_angle_to_matrix(torch.tensor([[0.0, angle, 0.0] for angle in (0.0, 0.4, 0.8, 1.2)]))
    truth = Boxes3D(torch.tensor([[0.0, 0.0, 4.0]] * 4), torch.tensor([[0.6, 0.4, 0.9]] * 4), turns)
    depth = torch.full((4, 1, *SIZE), 20.0)
    rows, columns = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    rays = CAMERA.unproject(torch.stack((columns, rows), dim=2).reshape(-1, 2), torch.ones(48 * 64))
    near, _, hit = crossings(truth, rays.expand(4, -1, -1))
    depth = torch.where(hit, near, 20.0).reshape(4, 1, *SIZE)
    seen = hit.reshape(4, *SIZE)
    boxes, masks = [], []
    for one in seen:
        ys, xs = one.nonzero().unbind(1)
        boxes.append([float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1])
        cut = one[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].float()
        masks.append(torch.nn.functional.interpolate(cut[None, None], size=(28, 28))[0, 0])
    own = Regions(torch.tensor(boxes), torch.arange(4), torch.zeros(4, dtype=torch.int64))
    near_boxes = at_depth(truth, truth.center[:, 2] * 0.6)
    moved = refined(near_boxes, own, images(4), depth, torch.stack(masks))
    # The surface is the front itself, and not `SURFACE` of the way behind it: up to 0.25 of about 0.5 m.
    assert (moved.center[:, 2] - 4.0).abs().max() < 0.15
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "SURFACE", 0.0)
        exact = refined(near_boxes, own, images(4), depth, torch.stack(masks))
    assert (exact.center[:, 2] - 4.0).abs().max() < 0.08


@pytest.fixture(scope="module")
def model() -> SceneModel:
    """A model with masks, 3D boxes and meshes at them."""
    torch.manual_seed(0)
    own = config(("masks",)).model_dump()
    own["tasks"] |= {
        "boxes3d": {"pooled": 3, "fcs": [16]},
        "meshes": {"voxels": {"convs": 1, "channels": 8, "pooled": 3}, "refinement": {"stages": 0}},
    }
    return sk.build(sk.ModelConfig.model_validate(own), VOCABULARY).eval()


def given() -> dict[Any, Any]:
    return {OBJECTS: Objects(sample().scene.objects.boxes, torch.tensor([1, 0]))}


def predicted(model: SceneModel, **more: Any) -> sk.Scene:
    camera = sk.Camera.pinhole(60.0, *SIZE)
    scene: sk.Scene = model.predict(sample().image, given=given(), camera=camera, **more)
    return scene


def test_meshes_follow_their_boxes(model: SceneModel) -> None:
    without, beside = predicted(model), predicted(model, depth=np.full(SIZE, 7.0))
    assert torch.equal(without[MASKS].dense, beside[MASKS].dense)
    ratio = beside[BOXES3D].center[:, 2] / without[BOXES3D].center[:, 2]
    assert (ratio - 1).abs().min() > 0.01
    assert torch.equal(without[BOXES3D].size, beside[BOXES3D].size)
    assert torch.equal(without[BOXES3D].scores, beside[BOXES3D].scores)
    depths = beside[sk.MESHES].get_bounding_boxes()[:, 2].mean(dim=1)
    assert torch.allclose(depths, beside[BOXES3D].center[:, 2], rtol=0.05)
    assert not torch.equal(depths, without[sk.MESHES].get_bounding_boxes()[:, 2].mean(dim=1))


def test_masks_are_used_whether_they_are_asked_for_or_not(model: SceneModel) -> None:
    depth = np.full(SIZE, 7.0)
    depth[:24] = 3.0
    every, alone = predicted(model, depth=depth), predicted(model, depth=depth, tasks=["boxes3d"])
    assert torch.equal(every[BOXES3D].center, alone[BOXES3D].center)
    assert MASKS not in alone


def test_the_option_turns_it_off(model: SceneModel, caplog: pytest.LogCaptureFixture) -> None:
    own = model.config.model_dump()
    own["tasks"]["boxes3d"]["refine"] = False
    still = sk.build(sk.ModelConfig.model_validate(own), VOCABULARY).eval()
    still.load_state_dict(model.state_dict())
    assert model.inputs == ("depth",) and still.inputs == ()
    without, beside = predicted(model), predicted(still, depth=np.full(SIZE, 7.0))
    assert torch.equal(without[BOXES3D].center, beside[BOXES3D].center)
    assert "no task of this model reads depth" in caplog.text


def test_nothing_changes_without_depth(model: SceneModel) -> None:
    """Also beside images that have it, and with depth that is empty."""
    image, camera = sample().image, sk.Camera.pinhole(60.0, *SIZE)
    kwargs: dict[str, Any] = {"camera": camera, "threshold": 0.0, "tasks": ["boxes3d"]}
    alone = model.predict([image] * 2, batch_size=2, **kwargs)[0]
    mixed = model.predict([image] * 2, batch_size=2, depth=[None, np.full(SIZE, 7.0)], **kwargs)
    assert len(alone.objects) > 0
    assert torch.equal(alone[BOXES3D].center, mixed[0][BOXES3D].center)
    assert not torch.equal(alone[BOXES3D].center, mixed[1][BOXES3D].center)
    single, empty = (model.predict(image, depth=depth, **kwargs) for depth in (None, np.zeros(SIZE)))
    assert torch.equal(single[BOXES3D].center, empty[BOXES3D].center)


def test_depth_works_without_masks() -> None:
    torch.manual_seed(0)
    own = config(()).model_dump()
    own["tasks"] = {"boxes3d": {"pooled": 3, "fcs": [16]}}
    bare = sk.build(sk.ModelConfig.model_validate(own), VOCABULARY).eval()
    without, beside = predicted(bare), predicted(bare, depth=np.full(SIZE, 7.0))
    assert (without[BOXES3D].center[:, 2] != beside[BOXES3D].center[:, 2]).all()


def test_a_laser_scan_places_cars(samples: Path) -> None:
    """`small` never saw a street, and takes cars for toys: a scan corrects its depths of the six cars."""
    root = samples / "boxes3d" / "kitti_NC"
    data = sk.dataset("kitti", root=str(root), faulty="skip")
    scene = next(scene for scene in (data[i].scene for i in range(len(data))) if "000008" in str(scene.path))
    model, cars = sk.load("small"), scene.objects.labels == scene.vocabulary.things.index("Car")
    cars &= scene[BOXES3D].valid
    label = model.vocabulary.things.index("car")
    objects = Objects(scene.objects.boxes[cars], torch.full((int(cars.sum()),), label))
    known: dict[str, Any] = {"given": {OBJECTS: objects}, "camera": scene.camera, "tasks": ["boxes3d"]}
    truth = scene[BOXES3D].center[cars][:, 2]
    errors = []
    for inputs in ({}, {"depth": scene[sk.DEPTH]}):
        found = model.predict(str(scene.path), **known, **inputs)[BOXES3D].center[:, 2]
        errors.append(float((found / truth - 1).abs().median()))
    assert len(truth) == 6 and errors[0] > 0.5 and errors[1] < 0.2, errors
