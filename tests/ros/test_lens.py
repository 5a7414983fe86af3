"""Cameras of CameraInfo against cases worked by hand, and rectified images against OpenCV's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.ros.definitions import typestore
from scenekit.ros.lens import Lens, distort, lens_of
from scenekit.ros.values import rosbags_message
from tests.ros.recording import INFO, info

SIZE = (40, 60)
K = (50.0, 52.0, 29.0, 20.5)


def lens(size: tuple[int, int] = SIZE, **more: Any) -> Lens | str:
    return lens_of(rosbags_message(typestore(), INFO, {**info(0, SIZE, K), **more}), size, "/info")


def test_principal_points_move_by_half_a_pixel() -> None:
    found = lens()
    assert isinstance(found, Lens) and not found.distorts
    assert found.camera(rectified=False).matrix.tolist() == [[50.0, 0.0, 29.5], [0.0, 52.0, 21.0], [0.0, 0.0, 1.0]]


def test_rectified_images_have_the_camera_of_p() -> None:
    found = lens(p=[40, 0, 30, -4.5, 0, 41, 20, 0, 0, 0, 1, 0], d=[0.1, 0, 0, 0, 0])
    assert isinstance(found, Lens) and found.distorts
    assert found.camera(rectified=True).matrix.tolist() == [[40.0, 0.0, 30.5], [0.0, 41.0, 20.5], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("model", "coefficients", "expected"),
    [
        # r^2 = 0.25: radial 1 + 0.1 / 4 = 1.025; tangential 2 * 0.02 * 0.4 * 0.3, 0.02 * (0.25 + 2 * 0.09)
        ("plumb_bob", (0.1, 0.0, 0.02, 0.0, 0.0), (0.3 * 1.025 + 0.0048, 0.4 * 1.025 + 0.02 * (0.25 + 2 * 0.16))),
        ("rational_polynomial", (0.1, 0, 0, 0, 0, 0.4, 0, 0), (0.3 * 1.025 / 1.1, 0.4 * 1.025 / 1.1)),
        ("rational_polynomial", (0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0, 0, 0.2), (0.3 + 0.025, 0.4 + 0.2 / 16)),
        ("equidistant", (0.1,), (0.6, 0.8)),  # times theta (1 + 0.1 theta^2)
    ],
)
def test_distortion_by_hand(model: str, coefficients: tuple[float, ...], expected: tuple[float, float]) -> None:
    if model == "equidistant":
        theta = math.atan(0.5)
        expected = tuple(value * theta * (1 + 0.1 * theta**2) for value in expected)  # type: ignore[assignment]
    np.testing.assert_allclose(
        distort(np.array([0.3, 0.4]), model, tuple(map(float, coefficients))), expected, rtol=1e-12
    )


def scenery() -> np.ndarray:
    """Smooth waves: what interpolation differs in is small."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = (np.sin(x / 4), np.cos(y / 5), np.sin((x + y) / 6))
    return (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", [-0.3, 0.1, 0.01, -0.005, 0.02]),
        ("rational_polynomial", [0.2, -0.1, 0.001, 0.002, 0.05, 0.4, -0.05, 0.01]),
        ("equidistant", [0.05, -0.01, 0.002, 0.0]),
    ],
)
def test_rectified_as_opencv_does(model: str, d: list[float]) -> None:
    cv2 = pytest.importorskip("cv2")
    turn = [math.cos(0.02), 0, math.sin(0.02), 0, 1, 0, -math.sin(0.02), 0, math.cos(0.02)]
    found = lens(distortion_model=model, d=d, r=turn, p=[45, 0, 30, 0, 0, 46, 19, 0, 0, 0, 1, 0])
    assert isinstance(found, Lens)
    init = cv2.fisheye.initUndistortRectifyMap if model == "equidistant" else cv2.initUndistortRectifyMap
    maps = init(found.raw, np.array(d), found.rotation, found.rectified, SIZE[::-1], cv2.CV_32FC1)
    np.testing.assert_allclose(found.sources(), np.stack(maps, axis=-1), atol=2e-4)
    expected = cv2.remap(scenery(), *maps, cv2.INTER_LINEAR)
    difference = np.abs(found.rectify(scenery()).astype(int) - expected.astype(int))
    assert difference.max() <= 4 and difference.mean() < 0.5  # OpenCV interpolates in steps of 1/32 pixel


def test_straight_lines_become_straight() -> None:
    """The edge of a half plane x < 0.1 z, seen through a lens with barrel distortion, is upright once rectified."""
    found = lens(d=[-0.25, 0.05, 0.0, 0.0, 0.0])
    assert isinstance(found, Lens)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    seen = np.stack([(x - K[2]) / K[0], (y - K[3]) / K[1]], axis=-1)
    ideal = seen.copy()
    for _ in range(50):  # inverts the distortion by iteration
        ideal -= distort(ideal, "plumb_bob", found.coefficients) - seen
    raw = np.where(ideal[..., 0] < 0.1, 255, 0).astype(np.uint8)
    edges = (found.rectify(raw) > 127).sum(axis=1)[4:-4]
    assert set(edges.tolist()) <= {34, 35}  # 0.1 * 50 + 29 = 34: pixels 0 to 33, or 34 too
    assert len(set((raw > 127).sum(axis=1)[4:-4].tolist())) >= 1


def test_windows_and_binning() -> None:
    window = {"x_offset": 10, "y_offset": 4, "height": 32, "width": 40}
    found = lens((16, 20), roi=window, binning_x=2, binning_y=2)
    assert isinstance(found, Lens)
    np.testing.assert_allclose(found.raw, [[25, 0, 9.5], [0, 26, 8.25], [0, 0, 1]])


def test_what_is_no_camera_is_noted_in_a_line() -> None:
    assert lens(k=[0] * 9) == "/info: K is not calibrated (fx 0, fy 0); images have no camera"
    other = "/info: it is of images of 60 x 40 pixels, those of the topic have 30 x 20; images have no camera"
    assert lens((20, 30)) == other
    with pytest.raises(InputError, match="the distortion 'double_sphere' with 2 coefficients is unknown"):
        lens(distortion_model="double_sphere", d=[0.1, 0.2])
    assert isinstance(lens(distortion_model="double_sphere", d=[0.0, 0.0]), Lens)
