"""Boxes as corners and as a camera sees them, held against Omni3D's own numbers."""

from pathlib import Path

import numpy as np
import torch

from scenekit.ops.boxes3d import CUBOID_EDGES, footprints, project_cuboids
from scenekit.structures.boxes3d import Boxes3D

OMNI3D = np.load(Path(__file__).parent.parent / "reference" / "mesh3d" / "omni3d_decode.npz")


def reference(name: str) -> torch.Tensor:
    return torch.from_numpy(OMNI3D[f"cuboid/{name}"])


def boxes() -> Boxes3D:
    box = reference("box")
    return Boxes3D(box[:, :3], box[:, 3:], reference("R"))


def test_corners_are_those_of_omni3d() -> None:
    torch.testing.assert_close(boxes().corners, reference("corners"), rtol=1e-5, atol=1e-4)


def test_edges_are_the_sides_of_two_faces_each() -> None:
    corners = Boxes3D(torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 3.0]]), torch.eye(3)[None]).corners[0]
    lengths = (corners[CUBOID_EDGES[:, 0]] - corners[CUBOID_EDGES[:, 1]]).norm(dim=1)
    assert sorted(lengths.tolist()) == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_projected_boxes_are_those_of_omni3d() -> None:
    height, width = reference("hw").tolist()
    found = project_cuboids(boxes().corners, reference("K"), (height, width))
    torch.testing.assert_close(found.boxes, reference("box2d"), rtol=1e-5, atol=1e-2)
    assert torch.equal(found.behind, reference("behind"))
    assert torch.equal(found.fully_behind, reference("fully_behind"))


def test_a_corner_behind_the_camera_reaches_to_the_edge_of_the_image() -> None:
    """A box from 1 m behind the camera to 3 m in front, to the right of the axis and below it."""
    box = Boxes3D(torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[4.0, 1.0, 1.0]]), torch.eye(3)[None])
    K = torch.tensor([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    found = project_cuboids(box.corners, K, (80, 100))
    # The far end spans 0.5 to 1.5 m at 3 m; the near end stands at the lower right corner of the image.
    torch.testing.assert_close(found.boxes, torch.tensor([[50 + 50 / 3, 40 + 50 / 3, 100.0, 90.0]]))
    assert found.behind.tolist() == [True] and found.fully_behind.tolist() == [False]


def test_one_camera_for_each_box() -> None:
    two = boxes()[[2, 3]]
    cameras = torch.stack((reference("K"), torch.tensor([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])))
    together = project_cuboids(two.corners, cameras, (480, 640)).boxes
    for row in range(2):
        torch.testing.assert_close(together[[row]], project_cuboids(two[[row]].corners, cameras[row], (480, 640)).boxes)


def test_footprints_of_corners_are_those_of_the_boxes() -> None:
    torch.testing.assert_close(footprints(boxes().corners), boxes().footprints, rtol=1e-5, atol=1e-4)


def test_no_boxes() -> None:
    found = project_cuboids(torch.zeros(0, 8, 3), torch.eye(3), (4, 4))
    assert found.boxes.shape == (0, 4) and found.behind.shape == (0,)
