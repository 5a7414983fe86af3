"""Depth and points: what is read from memory and files, what is refused, how maps are resized."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError
from scenekit.hooks import InputImage, registry
from scenekit.model.modalities import InputValues
from scenekit.structures import Camera, Geometry
from scenekit_plugins.depth.maps import DepthOptions, read_depth, resized_depth
from scenekit_plugins.depth.points import PointOptions, read_points

SIZE = (4, 6)
IMAGE = InputImage(SIZE, Camera.pinhole(4.0, *SIZE), "photo.png")
METRES = np.linspace(0.5, 3.0, 24, dtype=np.float32).reshape(SIZE)


def depth(value: Any, image: InputImage = IMAGE, **options: Any) -> Tensor:
    return read_depth(value, DepthOptions(**options), image)


def points(value: Any, image: InputImage = IMAGE, **options: Any) -> Tensor:
    return read_points(value, PointOptions(**options), image)


@pytest.mark.parametrize(
    "value",
    [METRES, METRES.astype(np.float64), torch.from_numpy(METRES), METRES[None], torch.from_numpy(METRES)[..., None]],
    ids=["array", "double", "tensor", "one channel", "channel last"],
)
def test_arrays_of_metres(value: Any) -> None:
    assert torch.equal(depth(value), torch.from_numpy(METRES)[None])


def test_holes_are_nan() -> None:
    holes = METRES.copy()
    holes[0, 0], holes[1, 1] = 0.0, np.nan
    assert depth(holes).isnan().nonzero().tolist() == [[0, 0, 0], [0, 1, 1]]


def test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "depth.npy", METRES)
    Image.fromarray((METRES * 1000).round().astype(np.uint16)).save(tmp_path / "depth.png")
    Image.fromarray((METRES * 5000).round().astype(np.uint16)).save(tmp_path / "depth.tiff")
    expected = torch.from_numpy(METRES)[None]
    assert torch.equal(depth(tmp_path / "depth.npy"), expected)
    for name, unit in (("depth.png", 1000), ("depth.tiff", 5000)):
        read = depth(str(tmp_path / name), scale=1 / unit)
        assert torch.allclose(read, expected, atol=0.5 / unit + 1e-6)
    with Image.open(tmp_path / "depth.png") as image:
        assert torch.allclose(depth(image, scale=0.001), expected, atol=6e-4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (METRES[:2], "depth has 2 x 6 pixels and the image 4 x 6; align depth with the image, or resize it"),
        (METRES[None].repeat(3, 0), "depth has 3 x 4 x 6 pixels and the image 4 x 6"),
        (METRES * 1000, "a median of 1696 and should be metres; it looks like millimetres, pass depth_scale=0.001"),
        ((METRES * 1000).astype(np.uint16), "it looks like millimetres, pass depth_scale=0.001"),
        ((METRES * 100).astype(np.int32), r"in whole numbers \(median 169\) needs its unit; pass depth_scale"),
        (METRES - 1.0, "depth is negative at 5 of 24 pixels"),
        (np.where(METRES > 2.9, np.inf, METRES), "depth is infinite at 1 of 24 pixels"),
        ("nowhere.png", "depth nowhere.png: no such file"),
        ([[1.0]], "depth: expected an array or tensor, or the path of a file, got list"),
        (METRES.astype(str), "expected numbers, got an array of <U"),
    ],
    ids=["size", "channels", "float mm", "integer mm", "integers", "negative", "infinite", "no file", "list", "text"],
)
def test_refused(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        depth(value)
    assert "\n" not in str(caught.value)


def test_a_wrong_scale_is_noticed() -> None:
    with pytest.raises(InputError, match=r"looks like millimetres, pass depth_scale=0\.001"):
        depth((METRES * 1000).astype(np.uint16), scale=1.0)


def test_files_that_are_no_depth(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(tmp_path / "rgb.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "rgb.png").read_bytes()[:20])
    with pytest.raises(InputError, match=r"rgb.png: cannot be read \(it is an image of 3 channels"):
        depth(tmp_path / "rgb.png")
    with pytest.raises(InputError, match=r"cut\.png: cannot be read"):
        depth(tmp_path / "cut.png")


def test_nothing_is_a_note(caplog: pytest.LogCaptureFixture) -> None:
    assert depth(np.zeros(SIZE)).isnan().all()
    assert "photo.png: depth has no value at any pixel; the prediction is that without depth" in caplog.text


def test_points_by_hand(caplog: pytest.LogCaptureFixture) -> None:
    """Focal length 4, principal point (3, 2): of two points at a pixel the nearer one counts."""
    cloud = np.array(
        [
            [0.1, 0.1, 2.0, 9.0],  # pixel (3.2, 2.2)
            [0.2, 0.2, 1.9, 9.0],  # pixel (3.4, 2.4): nearer
            [-1.0, 0.0, 2.0, 9.0],  # pixel (1, 2)
            [0.0, 0.0, -2.0, 9.0],  # behind
            [9.0, 0.0, 2.0, 9.0],  # outside
            [np.nan, 0.0, 2.0, 9.0],
        ]
    )
    with caplog.at_level(logging.INFO):
        found = points(cloud)
    expected = torch.full((1, *SIZE), torch.nan)
    expected[0, 2, 3], expected[0, 2, 1] = 1.9, 2.0
    assert torch.allclose(found, expected, equal_nan=True)
    assert "3 of 6 points are outside of the image, and ignored" in caplog.text


def test_points_of_a_scanner() -> None:
    """x forward, y left, z up, half a metre above the camera."""
    to_camera = [[0, -1, 0, 0], [0, 0, -1, -0.5], [1, 0, 0, 0]]
    found = points(torch.tensor([[2.0, 0.1, -0.6]]), to_camera=to_camera)  # camera frame: (-0.1, 0.1, 2)
    assert found.isfinite().nonzero().tolist() == [[0, 2, 2]] and found[0, 2, 2] == 2.0
    homogeneous = np.array([*to_camera, [0, 0, 0, 1]])
    again = points(torch.tensor([[2.0, 0.1, -0.6]]), to_camera=homogeneous)
    assert torch.equal(again.nan_to_num(), found.nan_to_num())


def test_points_of_files(tmp_path: Path) -> None:
    cloud = np.array([[0.1, 0.1, 2.0, 9.0]], dtype=np.float32)
    np.save(tmp_path / "scan.npy", cloud)
    cloud.tofile(tmp_path / "scan.bin")
    assert [float(points(tmp_path / name)[0, 2, 3]) for name in ("scan.npy", "scan.bin")] == [2.0, 2.0]


def test_points_that_cannot_be(caplog: pytest.LogCaptureFixture) -> None:
    cloud = torch.tensor([[0.1, 0.1, 2.0]])
    for camera in (None, Camera.default(*SIZE)):
        with pytest.raises(InputError, match="points need the camera of the image; pass its K as camera="):
            points(cloud, InputImage(SIZE, camera, "photo.png"))
    with pytest.raises(InputError, match=r"points are \[P, 3\] or wider \(x, y, z, ...\), got \[1, 2\]"):
        points(cloud[:, :2])
    assert points(-cloud).isnan().all()
    assert "none of 1 points is in view; the prediction is that without them" in caplog.text


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), r"points_to_camera: expected a transform \[3 4\] or \[4 4\]"),
        (np.diag([3.0, 3.0, 3.0, 1.0]), "of points_to_camera must be a rotation .* determinant 27"),
        (np.eye(4) * 3, "the last row of points_to_camera must be 0 0 0 1"),
        (np.diag([1.0, -1.0, 1.0, 1.0])[:3], "of points_to_camera must be a rotation .* determinant -1"),
        (
            np.array([[1, 0, 0, 0], [0, 1, 0, np.nan], [0, 0, 1, 0]]),
            r"points: 'to_camera\.1\.3': input should be a finite number",
        ),
    ],
    ids=["shape", "scale", "last row", "mirror", "nan"],
)
def test_transforms_of_points_are_rigid(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        InputValues.of({"points": np.ones((5, 3)), "points_to_camera": matrix})
    assert "\n" not in str(caught.value)


def test_points_that_are_not_finite_are_a_note(caplog: pytest.LogCaptureFixture) -> None:
    assert points(np.full((5, 3), np.nan)).isnan().all()
    assert "photo.png: none of 5 points is finite; the prediction is that without them" in caplog.text
    assert "in view" not in caplog.text


def test_points_and_maps_are_one_input() -> None:
    assert registry().get("modality", "points").input == registry().get("modality", "depth").input == "depth"


def test_scattered_depth_survives_reduction() -> None:
    """Of a map with one value in each cell of 4 x 4, not in its middle, a quarter of the size keeps all."""
    sparse = torch.full((1, 16, 16), torch.nan)
    sparse[0, ::4, ::4] = torch.arange(1.0, 17.0).reshape(4, 4)
    geometry = Geometry.resize((16, 16), (4, 4))
    assert torch.equal(resized_depth(sparse, geometry)[0], torch.arange(1.0, 17.0).reshape(4, 4))
    mirrored = Geometry((16, 16), (0, 0, 16, 16), (4, 4), mirrored=True)
    assert torch.equal(resized_depth(sparse, mirrored)[0], torch.arange(1.0, 17.0).reshape(4, 4).flip(1))


def test_dense_depth_is_never_mixed() -> None:
    """An edge between 1 and 9 metres has no pixel of 5 metres."""
    dense = torch.ones(1, 8, 8)
    dense[..., 3:] = 9.0
    assert set(resized_depth(dense, Geometry.resize((8, 8), (3, 3))).flatten().tolist()) == {1.0, 9.0}
