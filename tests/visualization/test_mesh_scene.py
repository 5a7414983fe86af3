"""Files of solids, read back by trimesh: metres, axes, names, colors, counts."""

import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import scenekit as sk
from scenekit.keys import BOXES3D, MESHES, OBJECTS
from scenekit.visualization import object_color
from scenekit.visualization.palette import linear_from_srgb
from tests.visualization.spatial_scenes import CAMERA, ahead, cuboids, triangles

LEFT_AND_HIGH = [[-2.0, -1.0, 4.0], [-1.0, -1.0, 4.0], [-2.0, -1.5, 5.0]]
"""In the camera frame: left of it, above it, before it."""

RIGHT_AND_LOW = [[1.0, 0.5, 3.0], [2.0, 0.5, 3.0], [1.0, 1.0, 3.0]]


def read(path: Path) -> trimesh.Scene:
    found = trimesh.load(path, process=False)
    return found if isinstance(found, trimesh.Scene) else trimesh.Scene(found)


def header(path: Path) -> dict[str, object]:
    """The JSON chunk of a GLB file."""
    content = path.read_bytes()
    magic, version, length, size, kind = struct.unpack("<4sIII4s", content[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
    tree: dict[str, object] = json.loads(content[20 : 20 + size])
    return tree


def world(scene: trimesh.Scene, name: str) -> np.ndarray:
    """Vertices with their node's transformation."""
    matrix, geometry = scene.graph[name]
    return trimesh.transform_points(scene.geometry[geometry].vertices, matrix)


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_vertices_are_in_metres_with_y_up_and_left_left(suffix: str, tmp_path: Path) -> None:
    scene = triangles([LEFT_AND_HIGH, RIGHT_AND_LOW])
    sk.save_mesh(scene, tmp_path / f"out{suffix}")
    found = read(tmp_path / f"out{suffix}")
    assert set(found.geometry) == {"crate_0", "traffic_cone_1"}
    for name, corners in (("crate_0", LEFT_AND_HIGH), ("traffic_cone_1", RIGHT_AND_LOW)):
        np.testing.assert_allclose(found.geometry[name].vertices, np.array(corners) * (1, -1, -1), atol=1e-6)
        np.testing.assert_array_equal(found.geometry[name].faces, [[0, 1, 2]])
    left = found.geometry["crate_0"].vertices
    assert (left[:, 0] < 0).all() and (left[:, 1] > 0).all() and (left[:, 2] < 0).all()


def test_ground_truth_comes_back_whole(tmp_path: Path) -> None:
    scene = sk.dataset("synthetic", split="test", cache=False, keys=["boxes3d", "meshes"])[0].scene
    sk.save_mesh(scene, tmp_path / "scene.glb")
    found, meshes = read(tmp_path / "scene.glb"), scene[MESHES]
    assert len(found.geometry) == len(scene.objects)
    for row, name in enumerate(scene.names()):
        solid = found.geometry[f"{name}_{row}"]
        np.testing.assert_allclose(world(found, f"{name}_{row}") * (1, -1, -1), meshes.verts_of(row), atol=1e-6)
        np.testing.assert_array_equal(solid.faces, meshes.faces_of(row))
        assert solid.metadata["row"] == row and solid.metadata["label"] == name
        volume = meshes.to_trimesh(row).volume
        assert solid.volume == pytest.approx(volume, rel=1e-3), "inside stays inside"


def test_colors_are_those_of_drawings(tmp_path: Path) -> None:
    scene = triangles([LEFT_AND_HIGH, RIGHT_AND_LOW])
    sk.save_mesh(scene, tmp_path / "out.glb")
    sk.save_mesh(scene, tmp_path / "out.obj")
    for row, name in enumerate(("crate_0", "traffic_cone_1")):
        color = np.array(object_color(row, row))
        linear = read(tmp_path / "out.glb").geometry[name].visual.material.baseColorFactor[:3]
        np.testing.assert_allclose(linear, 255 * linear_from_srgb(color / 255), atol=1.01)
        assert f"newmtl {name}\n" in (tmp_path / "out.mtl").read_text()
        np.testing.assert_array_equal(read(tmp_path / "out.obj").geometry[name].visual.material.diffuse[:3], color)


def test_box_stands_for_what_has_no_mesh(tmp_path: Path) -> None:
    made = cuboids([ahead(5.0, x=-1.0), [1, 0.5, 4, 0.6, 1.0, 2.0, 0.1, -0.2, 0.7]])
    nothing = (torch.zeros(0, 3), torch.zeros(0, 3).long())
    one = (torch.tensor(RIGHT_AND_LOW), torch.tensor([[0, 1, 2]]))
    meshes = sk.Meshes.from_lists([nothing[0], one[0]], [nothing[1], one[1]])
    scene = replace(made, values={**made.values, MESHES: meshes})
    sk.save_mesh(scene, tmp_path / "out.glb")
    found = read(tmp_path / "out.glb")
    assert len(found.geometry["crate_1"].vertices) == 3
    frame = found.geometry["crate_0"]
    np.testing.assert_allclose(frame.bounds, [[-2, -1, -6], [0, 1, -4]], atol=1e-6)
    assert 0 < frame.volume < 0.1 * 8, "thin"
    sk.save_mesh(made, tmp_path / "boxes.glb")
    corners = made[BOXES3D].corners[1].numpy() * (1, -1, -1)
    verts = read(tmp_path / "boxes.glb").geometry["crate_1"].vertices
    distance = np.linalg.norm(verts[:, None] - corners, axis=2).min(axis=0)
    np.testing.assert_allclose(distance, 0, atol=1e-5, err_msg="each corner of the box is a corner of its frame")


def test_what_cannot_be_is_left_out(tmp_path: Path) -> None:
    broken = [[0.0, 0.0, math.nan], *LEFT_AND_HIGH[1:]]
    sk.save_mesh(triangles([broken, RIGHT_AND_LOW]), tmp_path / "out.glb")
    assert set(read(tmp_path / "out.glb").geometry) == {"traffic_cone_1"}
    sk.save_mesh(cuboids([[0, 0, 5, 0, 1, 1, 0, 0, 0], ahead()]), tmp_path / "out.glb")
    assert set(read(tmp_path / "out.glb").geometry) == {"crate_1"}


@pytest.mark.parametrize(
    "made", [cuboids([]), triangles([]), cuboids([[math.nan] * 9])], ids=("boxes", "meshes", "nan")
)
def test_scene_without_solids_is_a_valid_file(made: sk.Scene, tmp_path: Path) -> None:
    sk.save_mesh(made, tmp_path / "out.glb")
    tree = header(tmp_path / "out.glb")
    assert "meshes" not in tree and [node["name"] for node in tree["nodes"]] == ["camera"]  # type: ignore[attr-defined]
    assert len(read(tmp_path / "out.glb").geometry) == 0
    sk.save_mesh(made, tmp_path / "out.obj")
    assert (tmp_path / "out.obj").read_text() == "mtllib out.mtl\n" and (tmp_path / "out.mtl").read_text() == ""


def test_camera_is_in_the_file(tmp_path: Path) -> None:
    for camera, assumed in ((CAMERA, False), (None, True)):
        sk.save_mesh(replace(triangles([LEFT_AND_HIGH]), camera=camera), tmp_path / "out.glb")
        (entry,) = header(tmp_path / "out.glb")["cameras"]  # type: ignore[misc]
        assert entry["extras"]["assumed"] is assumed and entry["extras"]["width"] == 200
    sk.save_mesh(triangles([LEFT_AND_HIGH]), tmp_path / "out.glb")
    (entry,) = header(tmp_path / "out.glb")["cameras"]  # type: ignore[misc]
    assert entry["perspective"]["yfov"] == pytest.approx(math.pi / 2) and entry["perspective"]["aspectRatio"] == 1
    np.testing.assert_array_equal(entry["extras"]["matrix"], CAMERA.matrix)


def test_scores_and_identities_go_along(tmp_path: Path) -> None:
    scene = triangles([LEFT_AND_HIGH, RIGHT_AND_LOW])
    objects = replace(scene.objects, scores=torch.tensor([0.5, math.nan]), ids=torch.tensor([7, 9]))
    sk.save_mesh(replace(scene, streams={OBJECTS: objects}), tmp_path / "out.glb")
    found = read(tmp_path / "out.glb").geometry
    assert (found["crate_0"].metadata["score"], found["crate_0"].metadata["identity"]) == (0.5, 7)
    assert "score" not in found["traffic_cone_1"].metadata


def test_refusals(tmp_path: Path) -> None:
    scene = triangles([LEFT_AND_HIGH])
    with pytest.raises(sk.InputError, match=r"ends in \.glb or \.obj"):
        sk.save_mesh(scene, tmp_path / "out.stl")
    with pytest.raises(sk.InputError, match="no meshes, 3D boxes or other shapes"):
        sk.save_mesh(replace(scene, values={}), tmp_path / "out.glb")
    with pytest.raises(sk.InputError, match="cannot write"):
        sk.save_mesh(scene, tmp_path / "none" / "out.glb")
    assert list(tmp_path.iterdir()) == []
