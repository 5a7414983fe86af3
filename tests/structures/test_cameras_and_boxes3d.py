"""Projection and rotations, held against cases worked by hand and scipy."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from scenekit.errors import InputError
from scenekit.scene import Scene
from scenekit.structures import Boxes3D, Camera, Vocabulary
from tests.structures import worlds


def test_projection_by_hand() -> None:
    camera = Camera(torch.tensor([[100.0, 0.0, 50.0], [0.0, 200.0, 40.0], [0.0, 0.0, 1.0]]))
    points = torch.tensor([[0.0, 0.0, 3.0], [1.0, 0.0, 2.0], [0.0, -1.0, 4.0]])
    assert camera.project(points).tolist() == [[50.0, 40.0], [100.0, 40.0], [50.0, -10.0]]
    assert camera.project(torch.zeros(0, 3)).shape == (0, 2)
    torch.testing.assert_close(camera.unproject(camera.project(points), points[:, 2]), points)


def test_the_assumed_camera_says_so() -> None:
    camera = Camera.default(30, 40)
    assert camera.assumed
    assert camera.matrix.tolist() == [[40.0, 0.0, 20.0], [0.0, 40.0, 15.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("focal", [0.0, -3.0, float("nan")])
def test_impossible_cameras_are_refused(focal: float) -> None:
    with pytest.raises(InputError, match="focal lengths above 0"):
        Camera(torch.tensor([[focal, 0.0, 5.0], [0.0, 9.0, 5.0], [0.0, 0.0, 1.0]]))


K = [[100.0, 0.0, 50.0], [0.0, 200.0, 40.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("matrix", [K, torch.tensor(K), np.array(K), np.array(K, dtype=int), Camera(torch.tensor(K))])
def test_a_camera_of_whatever_says_what_it_is(matrix: object) -> None:
    camera = Camera.of(matrix)
    assert camera.matrix.tolist() == K and not camera.assumed
    assert Camera.pinhole(30.0, 20, 40).matrix.tolist() == [[30.0, 0, 20], [0, 30, 10], [0, 0, 1]]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 4)), r"its matrix K \[3, 3\], got shape \[3, 4\]"),
        ([[1.0, 2.0], [3.0]], r"expected a Camera or its matrix K \[3, 3\], got list"),
        ("f=3", "got str"),
        (None, "got NoneType"),
        (
            np.array(K).T,
            r"the last row of a camera matrix must be 0 0 1, got \[50.0, 40.0, 1.0\]; is the matrix transposed",
        ),
        (-np.array(K), "focal lengths above 0, got fx, fy = \\(-100.0, -200.0\\)"),
    ],
)
def test_what_is_no_camera_is_refused(matrix: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Camera.of(matrix)


def test_corners_of_an_unrotated_box() -> None:
    box = Boxes3D(torch.tensor([[1.0, 2.0, 10.0]]), torch.tensor([[2.0, 4.0, 6.0]]), torch.eye(3)[None])
    corners = box.corners[0]
    # Length lies along x, height along y, width along z.
    assert corners.amin(0).tolist() == [-2.0, 0.0, 9.0]
    assert corners.amax(0).tolist() == [4.0, 4.0, 11.0]
    assert len(set(map(tuple, corners.tolist()))) == 8
    assert corners[:4, 2].tolist() == [9.0] * 4


def test_angles_rebuild_the_rotation() -> None:
    rotation = worlds.rotations(50)
    boxes = Boxes3D(torch.zeros(50, 3), torch.ones(50, 3), rotation)
    roll, pitch, yaw = boxes.roll_pitch_yaw.unbind(1)
    # Intrinsic y, then z, then x: R = Ry(yaw) Rz(pitch) Rx(roll).
    rebuilt = Rotation.from_euler("YZX", torch.stack((yaw, pitch, roll), dim=1).numpy()).as_matrix()
    assert torch.allclose(torch.from_numpy(rebuilt).float(), rotation, atol=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_straight_up_and_down_has_no_roll(sign: float) -> None:
    rotation = torch.tensor(Rotation.from_euler("YZ", [[0.7, sign * torch.pi / 2]]).as_matrix(), dtype=torch.float32)
    roll, pitch, yaw = Boxes3D(torch.zeros(1, 3), torch.ones(1, 3), rotation).roll_pitch_yaw[0].tolist()
    assert roll == 0
    assert pitch == pytest.approx(sign * torch.pi / 2, abs=1e-3)
    assert yaw == pytest.approx(0.7, abs=1e-5)


def test_nine_parameters() -> None:
    center, size = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[4.0, 5.0, 6.0]])
    boxes = Boxes3D(center, size, torch.eye(3)[None])
    assert boxes.parameters.tolist() == [[1, 2, 3, 4, 5, 6, 0, 0, 0]]
    empty = Boxes3D(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 3, 3))
    assert (empty.corners.shape, empty.parameters.shape, len(empty.mirrored())) == ((0, 8, 3), (0, 9), 0)


def test_points_of_a_depth_map_project_to_the_middles_of_its_pixels() -> None:
    camera = Camera(torch.tensor([[100.0, 0.0, 2.0], [0.0, 200.0, 1.0], [0.0, 0.0, 1.0]]))
    depth = torch.tensor([[1.0, 2.0, 3.0], [4.0, float("nan"), 6.0]])
    points = camera.points(depth)
    assert points[1, 1].isnan().all()
    expected = torch.tensor([[[0.5, 0.5], [1.5, 0.5], [2.5, 0.5]], [[0.5, 1.5], [torch.nan] * 2, [2.5, 1.5]]])
    torch.testing.assert_close(camera.project(points), expected, equal_nan=True)


def test_nine_parameters_make_the_box() -> None:
    boxes = Boxes3D(torch.randn(20, 3), torch.rand(20, 3) + 0.1, worlds.rotations(20), torch.rand(20))
    again = Boxes3D.from_parameters(boxes.parameters, boxes.scores)
    torch.testing.assert_close(again.corners, boxes.corners, atol=1e-5, rtol=0)
    assert again.scores is boxes.scores


@pytest.mark.parametrize(
    "angles, front, top",
    [
        ((0.0, 0.0, 0.0), (1, 0, 0), (0, -1, 0)),
        ((0.0, 0.0, torch.pi / 2), (0, 0, -1), (0, -1, 0)),  # yaw: towards the camera
        ((0.0, torch.pi / 2, 0.0), (0, 1, 0), (1, 0, 0)),  # pitch: the front goes down
        ((torch.pi / 2, 0.0, 0.0), (1, 0, 0), (0, 0, -1)),  # roll: the top leans to the camera
    ],
)
def test_what_the_angles_mean(angles: tuple[float, ...], front: tuple[int, ...], top: tuple[int, ...]) -> None:
    box = Boxes3D.from_parameters(torch.tensor([[0, 0, 5.0, 1, 1, 1, *angles]]))
    axes = box.rotation[0]
    torch.testing.assert_close(axes[:, 0], torch.tensor(front).float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(-axes[:, 1], torch.tensor(top).float(), atol=1e-6, rtol=0)


def test_footprints_are_the_corners_of_upright_boxes_from_above() -> None:
    parameters = torch.tensor([[1.0, 2.0, 10.0, 2.0, 1.5, 4.0, 0.0, 0.0, yaw] for yaw in (0.0, 0.3, 2.0, -1.0)])
    boxes = Boxes3D.from_parameters(parameters)
    corners = boxes.corners[:, [0, 1, 5, 4]][:, :, [0, 2]]  # the two edges of the lower length, z low, then high
    torch.testing.assert_close(boxes.footprints, corners, atol=1e-5, rtol=0)
    assert boxes.volume.tolist() == [12.0] * 4


def test_boxes_that_cannot_be() -> None:
    parameters = torch.tensor([[0, 0, 5.0, 1, 1, 1, 0, 0, 0]]).repeat(5, 1)
    parameters[1, 3], parameters[2, 4], parameters[3, 0] = 0, -1, torch.nan
    boxes = Boxes3D.from_parameters(parameters)
    boxes.rotation[4] = torch.diag(torch.tensor([1.0, 1.0, -1.0]))  # left-handed
    assert boxes.valid.tolist() == [True, False, False, False, False]


NORMALISED = [[1.2, 0.0, 0.5], [0.0, 1.6, 0.5], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("matrix", "size"),
    [
        (NORMALISED, (480, 640)),
        (NORMALISED, (32, 32)),
        ([[2.4, 0.0, 0.0], [0.0, 2.4, -0.1], [0.0, 0.0, 1.0]], (480, 640)),
    ],
)
def test_intrinsics_relative_to_the_image(matrix: list[list[float]], size: tuple[int, int]) -> None:
    """Of normalised coordinates from 0 to 1, and from -1 to 1."""
    camera = Camera.of(matrix)
    with pytest.raises(InputError, match=rf"are relative to the size of the image; expected pixels of {size[1]} x "):
        camera.check(size)
    with pytest.raises(InputError, match="relative to the size"):
        Scene(size, Vocabulary(("car",)), camera=camera)


@pytest.mark.parametrize(
    "matrix", [[[640.0, 0, 320], [0, 640, 240]], [[640.0, 0, 0], [0, 640, -50]], [[30.0, 0, 3], [0, 30, 2]]]
)
def test_intrinsics_in_pixels(matrix: list[list[float]]) -> None:
    """Also of a crop beside the principal point, and of a tiny image."""
    camera = Camera.of([*matrix, [0, 0, 1]])
    camera.check((480, 640))
    Camera.of([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]).check((2, 2))
