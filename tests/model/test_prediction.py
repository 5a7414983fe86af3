"""What `predict` accepts, and what it does with what it cannot use."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.errors import InputError
from scenekit.keys import OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from tests.tiny import VOCABULARY, config, sample


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "image.png"
    Image.fromarray(sample().image.permute(1, 2, 0).numpy()).save(place)
    return place


def equal(first: Scene, second: Scene) -> bool:
    return torch.equal(first.objects.boxes, second.objects.boxes) and len(first.objects) > 0


def test_files_and_bytes_are_one_image(model: SceneModel, path: Path) -> None:
    expected = model.predict(path, threshold=0.0)
    with path.open("rb") as file:
        for source in (file, path.read_bytes(), io.BytesIO(path.read_bytes()), file):
            scene = model.predict(source, threshold=0.0)
            assert isinstance(scene, Scene) and equal(scene, expected) and scene.path is None


def test_collections_are_lists_of_scenes(model: SceneModel, path: Path) -> None:
    expected = model.predict(path, threshold=0.0)
    image = sample().image
    collections: list[Any] = [
        (path, path),
        torch.stack((image, image)),
        np.stack([image.permute(1, 2, 0).numpy()] * 2),
        [io.BytesIO(path.read_bytes()), image],
    ]
    for collection in collections:
        scenes = model.predict(collection, threshold=0.0)
        assert isinstance(scenes, list) and len(scenes) == 2 and all(equal(scene, expected) for scene in scenes)
    assert model.predict([]) == model.predict(()) == model.predict(torch.zeros(0, 3, 8, 8)) == []


def test_a_string_is_one_task(model: SceneModel) -> None:
    scene = model.predict(sample().image, tasks="masks", threshold=0.0)
    assert [key.name for key in scene.values] == ["masks"]


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (None, "expected a path, .* got NoneType"),
        (3, "got int"),
        ({"image": "a.jpg"}, "got dict"),
        ({"a.jpg"}, "got set"),
        ([None], "image 0: expected a path, .* got NoneType"),
        ([torch.zeros(3, 8, 8), torch.zeros(2, 2, 2)], r"image 1: expected a tensor of shape \[3 H W\]"),
        (Path(__file__).parent, "this is a folder; give the files in it"),
        (io.StringIO("a"), "open the file with mode 'rb'"),
    ],
)
def test_what_is_no_image(model: SceneModel, images: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        model.predict(images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tasks": 5}, r"tasks: expected names such as \['masks'\], got 5"),
        ({"tasks": ["masks", 1]}, "tasks: expected names"),
        ({"tasks": "mask"}, "no task 'mask'; did you mean 'masks'"),
        ({"threshold": "0.5"}, "threshold: expected a score such as 0.5, got '0.5'"),
        ({"threshold": float("nan")}, "threshold: .* got nan"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1, got 0"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"on_error": "skip"}, "on_error: expected 'raise' or 'return', got 'skip'"),
    ],
)
def test_options_are_checked_before_the_first_image(model: SceneModel, options: dict[str, Any], reason: str) -> None:
    def never() -> Iterator[Any]:
        raise AssertionError("an image was asked for")
        yield

    with pytest.raises(InputError, match=reason):
        model.predict(never(), **options)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_a_stream_goes_on_after_an_unusable_frame(model: SceneModel, path: Path, size: int) -> None:
    frames = [path, path.with_name("none.png"), torch.zeros(2, 2), b"no image", path]
    results = list(model.predict(iter(frames), threshold=0.0, batch_size=size))
    assert [type(result) for result in results] == [Scene, InputError, Scene, InputError, Scene]
    assert "none.png: no such file" in str(results[1]) and str(results[3]).startswith("image 3: ")
    assert equal(results[4], results[0])
    listed = model.predict(frames, threshold=0.0, batch_size=size, on_error="return")
    assert [type(result) for result in listed] == [type(result) for result in results]
    with pytest.raises(InputError, match="no such file"):
        model.predict(frames, batch_size=size)
    with pytest.raises(InputError, match="no such file"):
        list(model.predict(iter(frames), batch_size=size, on_error="raise"))


def test_a_stream_goes_on_after_an_iterator_that_raises(model: SceneModel, path: Path) -> None:
    class Damaged:
        """Raises at its second frame, and goes on."""

        count = -1

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            self.count += 1
            if self.count == 1:
                raise InputError("frame 1 is damaged")
            if self.count == 3:
                raise StopIteration
            return path

    results = list(model.predict(iter(Damaged()), threshold=0.0))
    assert [type(result) for result in results] == [Scene, InputError, Scene]
    assert str(results[1]) == "frame 1 is damaged"
    with pytest.raises(InputError, match="frame 1 is damaged"):
        list(model.predict(iter(Damaged()), on_error="raise"))


def test_a_frame_brings_its_camera_and_its_moment(model: SceneModel, path: Path) -> None:
    camera, moment = sk.Camera.pinhole(70.0, 48, 64), sk.Moment(1.5, 3, torch.eye(4))
    frame = sk.VideoFrame(sample().image, moment, camera, source="walk.mp4")
    scene = model.predict(frame, threshold=0.0)
    assert equal(scene, model.predict(path, threshold=0.0))
    assert scene.moment is moment and scene.camera is camera and scene.path == "walk.mp4"
    other = model.predict(frame, camera=sk.Camera.pinhole(90.0, 48, 64)).camera
    assert other is not None and float(other.matrix[0, 0]) == 90.0
    (of_list,) = model.predict([frame])
    assert of_list.moment is moment


def test_external_regions_that_do_not_fit_are_an_error_in_their_place(model: SceneModel) -> None:
    image, boxes = sample().image, torch.tensor([[2.0, 2.0, 20.0, 20.0]])
    given = [{OBJECTS: boxes}, {OBJECTS: boxes + 500}, None, {OBJECTS: boxes}]
    results = list(model.predict(iter([image] * 4), threshold=0.0, given=given, batch_size=4))
    assert [type(result) for result in results] == [Scene, InputError, Scene, Scene]
    assert torch.allclose(results[0].objects.boxes, boxes, atol=1e-3) and equal(results[3], results[0])


def test_numbers_of_numpy_are_numbers(model: SceneModel) -> None:
    images = [sample(0).image, sample(1).image]
    assert len(model.predict(images, threshold=np.float32(0.5), batch_size=np.int64(2))) == 2


def test_two_threads_predict_as_one_does(model: SceneModel) -> None:
    """Also a model in training mode, which goes back to it when the last thread is done."""
    images = [sample(number).image for number in range(6)]
    expected = [model.predict(image, threshold=0.0) for image in images]
    model.train()
    try:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda image: model.predict(image, threshold=0.0), images))
        assert all(module.training for module in model.modules())
    finally:
        model.eval()
    assert all(equal(scene, alone) for scene, alone in zip(found, expected, strict=True))


def test_copies_predict_the_same(model: SceneModel) -> None:
    expected = model.predict(sample().image, threshold=0.0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.requires_grad_(False)
        assert not any(module.training for module in other.modules())
        assert equal(other.predict(sample().image, threshold=0.0), expected)
    other.stages["backbone"].load_state_dict(sk.build(config(), VOCABULARY).stages["backbone"].state_dict())
    assert equal(model.predict(sample().image, threshold=0.0), expected)


def test_a_model_without_weights_says_so(model: SceneModel) -> None:
    with pytest.raises(InputError, match="on the meta device, without weights"):
        copy.deepcopy(model).to("meta").predict(sample().image)


COMPILED = """
import torch
import scenekit as sk
from tests.tiny import VOCABULARY, config, sample

torch.manual_seed(0)
model = sk.build(config(), VOCABULARY).eval()
image = sample().image
expected = model.predict(image, threshold=0.0)
compiled = torch.compile(model, backend="eager")
with torch.no_grad():
    (scene,) = model.scenes(compiled(model.preprocess([image])))
assert torch.equal(scene.objects.boxes, expected.objects.boxes) and len(scene.objects)
assert torch.equal(compiled.predict(image, threshold=0.0).objects.boxes, expected.objects.boxes)
model.compile(backend="eager")
assert torch.equal(model.predict(image, threshold=0.0).objects.boxes, expected.objects.boxes)
for name, head in list(model.heads.items()):
    model.heads[name] = torch.compile(head, backend="eager", disable=True)  # wrapped, as a compiled head is
assert torch.equal(model.predict(image, threshold=0.0).objects.boxes, expected.objects.boxes)
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""


def test_a_compiled_model_predicts_the_same() -> None:
    """In a process of its own, as the types of arguments are not checked there; the trunks are one graph each."""
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["2"]
