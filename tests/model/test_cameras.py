"""The camera on its way: into a pass, through evaluation, and out in the scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.data.transforms import RandomFlip, Resize, apply_all, rng_for
from scenekit.errors import InputError
from scenekit.evaluation.loop import evaluate
from scenekit.evaluation.model_passes import Passes
from scenekit.keys import BOXES3D, OBJECTS
from scenekit.structures import Boxes3D, Camera
from tests import tiny

CAMERA = Camera(torch.tensor([[80.0, 0.0, 30.0], [0.0, 90.0, 26.0], [0.0, 0.0, 1.0]]))
BOXES = Boxes3D(torch.tensor([[-0.5, 0.0, 3.0], [0.8, 0.2, 4.0]]), torch.ones(2, 3), torch.eye(3).repeat(2, 1, 1))


@pytest.fixture(scope="module")
def model() -> sk.SceneModel:
    torch.manual_seed(0)
    tasks = {"boxes3d": {"pooled": 3, "fcs": [16], "code": {"depth": "log"}}}
    return sk.build(tiny.config(()).model_copy(update={"tasks": tasks}), tiny.VOCABULARY).eval()


@pytest.fixture
def sample() -> sk.Sample:
    made = tiny.sample(values={BOXES3D: BOXES})
    return replace(made, scene=replace(made.scene, camera=CAMERA))


def seen(model: sk.SceneModel, sample: sk.Sample, **options: Any) -> sk.Scene:
    return model.predict(sample.image, given={OBJECTS: sample.scene.objects}, **options)


def test_metres_go_with_the_focal_length(model: sk.SceneModel, sample: sk.Sample) -> None:
    twice = CAMERA.matrix * torch.tensor([[2.0], [2.0], [1.0]])
    near, far = seen(model, sample, camera=CAMERA), seen(model, sample, camera=twice)
    torch.testing.assert_close(far[BOXES3D].center[:, 2], 2 * near[BOXES3D].center[:, 2])
    assert near.camera is not None and torch.equal(near.camera.matrix, CAMERA.matrix) and not near.camera.assumed
    assert torch.equal(near.objects.boxes, far.objects.boxes)


def test_without_one_the_scene_says_what_was_assumed(model: sk.SceneModel, sample: sk.Sample) -> None:
    found, told = seen(model, sample), seen(model, sample, camera=Camera.default(*tiny.SIZE))
    assert found.camera is not None and found.camera.assumed
    torch.testing.assert_close(found.camera.matrix, Camera.default(*tiny.SIZE).matrix)
    torch.testing.assert_close(found[BOXES3D].center, told[BOXES3D].center)
    again = sk.Scene.from_json(found.to_json())
    assert again.camera is not None and again.camera.assumed


def test_the_camera_of_a_given_scene_serves(model: sk.SceneModel, sample: sk.Sample) -> None:
    with_scene = model.predict(sample.image, given=sample.scene)
    torch.testing.assert_close(with_scene[BOXES3D].center, seen(model, sample, camera=CAMERA)[BOXES3D].center)
    other = model.predict(sample.image, given=sample.scene, camera=Camera.pinhole(50.0, *tiny.SIZE))
    assert other.camera is not None and other.camera.matrix[0, 0] == 50, "what is said counts"


def test_several_images_have_one_camera_or_one_each(model: sk.SceneModel, sample: sk.Sample) -> None:
    def focal(scenes: Any) -> list[float]:
        return [float(scene.camera.matrix[0, 0]) for scene in scenes]

    images = [sample.image] * 2
    assert focal(model.predict(images, tasks=(), camera=CAMERA)) == [80, 80]
    assert focal(model.predict(images, tasks=(), camera=CAMERA.matrix.numpy())) == [80, 80]
    assert focal(model.predict(images, tasks=(), camera=CAMERA.matrix.tolist())) == [80, 80]
    assert focal(model.predict(images, tasks=(), camera=[CAMERA.matrix.tolist(), CAMERA.matrix])) == [80, 80]
    each: list[Any] = [CAMERA, None]
    assert focal(model.predict(images, tasks=(), camera=each)) == pytest.approx([80, 64])

    def stream() -> Iterator[Any]:
        yield from images

    assert focal(model.predict(stream(), tasks=(), camera=iter(each))) == pytest.approx([80, 64])


@pytest.mark.parametrize(
    ("cameras", "message"),
    [
        ([CAMERA], "fewer cameras than images"),
        ([CAMERA] * 3, "fewer images than cameras"),
        ([CAMERA, torch.eye(2)], r"got shape \[2, 2\]"),
        ([[80.0, 0.0, 30.0]], r"got shape \[1, 3\]"),
        (80.0, r"got shape \[\]"),
        ([[1.2, 0.0, 0.5], [0.0, 1.6, 0.5], [0.0, 0.0, 1.0]], "relative to the size of the image; expected pixels of "),
        (torch.diag(torch.tensor([-5.0, 5.0, 1.0])), r"focal lengths above 0, got fx, fy = \(-5.0, 5.0\)"),
    ],
)
def test_cameras_that_do_not_fit_are_refused(model: sk.SceneModel, cameras: Any, message: str) -> None:
    images: list[Any] = [tiny.sample().image] * 2
    with pytest.raises(InputError, match=message):
        model.predict(images, tasks=(), camera=cameras)


def test_evaluation_sees_with_the_cameras_of_the_data(model: sk.SceneModel, sample: sk.Sample) -> None:
    with torch.no_grad():
        found = Passes(model, sample.image, ["boxes3d"], sample.scene.camera).free.scene
    assert found.camera is not None and not found.camera.assumed
    torch.testing.assert_close(found.camera.matrix, CAMERA.matrix)
    unknown = replace(sample, scene=replace(sample.scene, camera=None))
    assert evaluate(model, [sample], ["boxes3d"])["boxes3d"]["assumed cameras"] == 0
    assert evaluate(model, [unknown], ["boxes3d"])["boxes3d"]["assumed cameras"] == 1


def test_cameras_follow_the_images_into_a_batch(model: sk.SceneModel, sample: sk.Sample) -> None:
    """Resized and mirrored, the centers of the boxes are seen at the same places of the image."""
    config = model.config.input
    steps = [Resize(config), RandomFlip(1.0)]
    changed = apply_all(steps, sample, rng_for(0, 0, 0))
    plain = replace(sample, scene=replace(sample.scene, camera=None))
    batch, targets = collate(
        [changed, apply_all(steps[:1], plain, rng_for(0, 0, 0))],
        vocabulary=model.vocabulary,
        keys=(BOXES3D,),
        config=config,
    )
    assert batch.cameras is not None and batch.cameras[1] is None
    height, width = batch.sizes[0]
    pixels = batch.camera(0).project(targets.values[BOXES3D].center[:2])
    expected = CAMERA.project(BOXES.center) * torch.tensor([width / tiny.SIZE[1], height / tiny.SIZE[0]])
    expected[:, 0] = width - expected[:, 0]
    torch.testing.assert_close(pixels, expected)
    # Collated images have no other size than the network's: what is assumed is assumed of that.
    torch.testing.assert_close(batch.camera(1).matrix, Camera.default(*batch.sizes[1]).matrix)
