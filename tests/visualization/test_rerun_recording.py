"""Recordings for rerun's viewer, read back by rerun: entities, numbers, one timeline for several images."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.keys import MASKS
from scenekit.ops.rotations import quaternion_to_matrix
from scenekit.structures import Masks
from scenekit.visualization import recording
from tests.visualization.scenes import gray_image
from tests.visualization.spatial_scenes import CAMERA, ahead, cuboids, triangles

CORNERS = [[1.0, 0.5, 3.0], [2.0, 0.5, 3.0], [1.0, 1.0, 3.0]]
TURNED = [1, 0.5, 4, 0.6, 1.0, 2.0, 0.1, -0.2, 0.7]


def read(path: Path) -> dict[str, dict[int | None, dict[str, Any]]]:
    """Columns by entity and number of the image; None for what is there throughout."""
    chunks = pytest.importorskip("rerun.chunk")
    found: dict[str, dict[int | None, dict[str, Any]]] = {}
    for chunk in chunks.RrdReader(path).stream():
        for row in chunk.to_record_batch().to_pylist():
            found.setdefault(chunk.entity_path, {}).setdefault(row.get("image"), {}).update(row)
    return found


@pytest.fixture
def written(tmp_path: Path) -> dict[str, dict[int | None, dict[str, Any]]]:
    """Two images: 3D boxes and a mask, then a mesh whose camera nobody knows."""
    pytest.importorskip("rerun")
    first, second = cuboids([ahead(), TURNED]), replace(triangles([CORNERS]), camera=None)
    dense = torch.zeros(2, 200, 200, dtype=torch.bool)
    dense[1, 20:40, 30:60] = True
    first = replace(first, values={**first.values, MASKS: Masks.from_dense(dense)})
    with recording(tmp_path / "out.rrd") as record:
        record.add(first, gray_image(first))
        record.add(second, gray_image(second))
    assert [path.name for path in tmp_path.iterdir()] == ["out.rrd"]
    return read(tmp_path / "out.rrd")


def test_entities_stand_at_their_images(written: Any) -> None:
    both = ("/world/camera", "/world/camera/image", "/world/camera/image/boxes", "/name")
    assert all(set(written[path]) == {0, 1} for path in both)
    assert set(written["/world/camera/image/masks"]) == set(written["/world/boxes3d"]) == {0}
    assert set(written["/world/meshes/crate_0"]) == {1}
    assert written["/world"][None]["ViewCoordinates:xyz"] == [[3, 2, 5]], "right, down, forward"


def test_boxes_in_metres(written: Any) -> None:
    boxes, expected = written["/world/boxes3d"][0], cuboids([ahead(), TURNED])[sk.BOXES3D]
    np.testing.assert_allclose(boxes["Boxes3D:centers"], expected.center, atol=1e-6)
    halves = torch.tensor(boxes["Boxes3D:half_sizes"])
    turns = quaternion_to_matrix(torch.tensor(boxes["Boxes3D:quaternions"])[:, [3, 0, 1, 2]])
    signs = torch.tensor([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)]).float()
    corners = (signs * halves[:, None]) @ turns.mT + expected.center[:, None]
    distance = torch.cdist(expected.corners, corners).min(dim=2).values
    np.testing.assert_allclose(distance, 0, atol=1e-4)
    assert boxes["Boxes3D:labels"] == ["crate · 5.0 m", "crate · 4.2 m"]


def test_camera_image_and_what_is_in_it(written: Any) -> None:
    lens = written["/world/camera"][0]
    np.testing.assert_allclose(np.array(lens["Pinhole:image_from_camera"]).reshape(3, 3).T, CAMERA.matrix)
    assert lens["Pinhole:resolution"] == [[200, 200]]
    flat = written["/world/camera/image/boxes"][0]
    np.testing.assert_allclose(flat["Boxes2D:centers"], [[100, 100], [100, 100]])
    ids = np.array(written["/world/camera/image/masks"][0]["SegmentationImage:buffer"][0], dtype=np.uint8)
    ids = ids.view(np.uint16).reshape(200, 200)
    assert (ids[20:40, 30:60] == 2).all() and (ids > 0).sum() == 600
    names = [written["/name"][n]["TextDocument:text"][0] for n in (0, 1)]
    assert names == ["image 0 (camera known)", "image 1 (camera assumed)"]


def test_meshes_in_metres(written: Any) -> None:
    mesh = written["/world/meshes/crate_0"][1]
    np.testing.assert_allclose(mesh["Mesh3D:vertex_positions"], CORNERS, atol=1e-6)
    assert mesh["Mesh3D:triangle_indices"] == [[0, 1, 2]]


def test_file_of_the_image_is_read(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    scene = cuboids([])
    Image.new("RGB", (200, 200)).save(tmp_path / "photo.png")
    with recording(tmp_path / "out.rrd") as record:
        record.add(replace(scene, path=str(tmp_path / "photo.png")))
    assert "photo.png (camera known)" in read(tmp_path / "out.rrd")["/name"][0]["TextDocument:text"][0]


def test_nothing_is_left_where_something_fails(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    with pytest.raises(sk.InputError, match="pass the image as"), recording(tmp_path / "out.rrd") as record:
        record.add(cuboids([]))
    with pytest.raises(sk.InputError, match="cannot write"), recording(tmp_path / "none" / "out.rrd"):
        pass
    with pytest.raises(sk.InputError, match=r"ends in \.rrd"), recording(tmp_path / "out.bin"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_absent_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(sk.InputError, match=r"pip install 'scenekit\[viz\]'"), recording(tmp_path / "out.rrd"):
        pass
