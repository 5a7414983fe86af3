"""What `small` does with the depth of images: nothing without it, to the bit, and better sizes with it."""

from __future__ import annotations

import pytest
import torch

import scenekit as sk
from scenekit.model.scene_model import SceneModel
from scenekit.ops.iou3d import box3d_overlap

SCENES = range(110, 116)
TASKS = ("boxes3d", "meshes", "masks")


@pytest.fixture(scope="module")
def small() -> SceneModel:
    return sk.load("small")


@pytest.fixture(scope="module")
def untaught(small: SceneModel) -> SceneModel:
    """The same weights without the networks that read depth."""
    config = small.config.model_dump(mode="json")
    for task in ("boxes3d", "meshes"):
        assert config["tasks"][task].pop("depth")
    model = sk.build(sk.ModelConfig.model_validate(config), small.vocabulary).eval()
    names = set(small.state_dict()) - set(model.state_dict())
    assert names and all(".depth." in name for name in names)
    model.load_state_dict(small.state_dict(), strict=False)
    return model


def test_without_depth_nothing_changes_to_the_bit(small: SceneModel, untaught: SceneModel) -> None:
    sample = sk.dataset("synthetic", split="val")[SCENES[0]]
    found, expected = (m.predict(sample.image, camera=sample.scene.camera, tasks=TASKS) for m in (small, untaught))
    assert len(found.objects) > 0
    for name in ("center", "size", "rotation", "scores"):
        assert torch.equal(getattr(found[sk.BOXES3D], name), getattr(expected[sk.BOXES3D], name))
    assert torch.equal(found[sk.MESHES].verts, expected[sk.MESHES].verts)
    assert torch.equal(found[sk.MESHES].faces, expected[sk.MESHES].faces)


def test_depth_gives_better_boxes_than_their_depth_alone(small: SceneModel, untaught: SceneModel) -> None:
    data, overlaps = sk.dataset("synthetic", split="val"), []
    for index in SCENES:
        scene = data[index].scene
        kept = scene[sk.BOXES3D].valid & ~scene.objects.crowd
        given = {sk.OBJECTS: scene.objects[kept]}
        for model in (small, untaught):
            options = {"camera": scene.camera, "depth": scene[sk.DEPTH], "given": given, "tasks": ["boxes3d"]}
            found = model.predict(data[index].image, **options)[sk.BOXES3D]
            overlaps.append(box3d_overlap(found.corners, scene[sk.BOXES3D][kept].corners)[1].diagonal())
    taught, plain = torch.cat(overlaps[::2]), torch.cat(overlaps[1::2])
    assert float(taught.mean()) > float(plain.mean()) + 0.02, (taught.mean(), plain.mean())
