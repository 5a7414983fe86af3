"""Meshes from and to trimesh and pytorch3d, and from files; as values of a scene."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from scenekit.errors import InputError
from scenekit.io.mesh_files import load_mesh, load_meshes
from scenekit.keys import MESHES
from scenekit.structures import Meshes
from scenekit.structures.geometry import Geometry
from scenekit.structures.vocabulary import Vocabulary

WORDS = Vocabulary(things=("chair",))
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def boxes(count: int) -> Meshes:
    """Boxes of 1, 2, ... metres, each to the right of the one before and below it."""
    shapes = [trimesh.creation.box((n + 1.0,) * 3) for n in range(count)]
    return Meshes.from_trimesh([shape.apply_translation([3 * n, n, 9]) for n, shape in enumerate(shapes)])


def same(one: Meshes, two: Meshes) -> bool:
    """As surfaces: the same triangles of the same places in the same order, up to rounding in files."""
    return len(one) == len(two) and all(
        torch.allclose(one.verts_of(i)[one.faces_of(i)], two.verts_of(i)[two.faces_of(i)], atol=1e-5)
        for i in range(len(one))
    )


def test_trimesh_and_back() -> None:
    shape = trimesh.creation.icosphere(1)
    back = Meshes.from_trimesh([shape, shape]).to_trimesh(1)
    assert np.allclose(back.vertices, shape.vertices) and (back.faces == shape.faces).all() and back.is_watertight
    assert len(Meshes.from_trimesh([])) == 0


def test_pytorch3d_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its constructor takes lists of vertices and of faces and gives them back by `verts_list` and `faces_list`."""
    theirs = types.ModuleType("pytorch3d.structures")
    theirs.Meshes = Meshes.from_lists  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch3d", types.ModuleType("pytorch3d"))
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", theirs)
    meshes = boxes(3)
    assert same(Meshes.from_pytorch3d(meshes.to_pytorch3d()), meshes)
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", None)
    with pytest.raises(InputError, match="needs pytorch3d, which cannot be imported"):
        meshes.to_pytorch3d()


def test_the_real_pytorch3d() -> None:
    pytest.importorskip("pytorch3d", reason="pytorch3d is not installed")
    assert same(Meshes.from_pytorch3d(boxes(2).to_pytorch3d()), boxes(2))


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_files_hold_all_meshes_in_order(tmp_path: Path, suffix: str) -> None:
    meshes, written = boxes(5), trimesh.Scene()
    for index in range(len(meshes)):
        written.add_geometry(meshes.to_trimesh(index), node_name=f"box_{index}", geom_name=f"box_{index}")
    written.export(tmp_path / f"five{suffix}")
    back = load_meshes(tmp_path / f"five{suffix}")
    assert same(back, meshes)
    assert back.num_verts_per_mesh().tolist() == [8] * 5, "corners that coincide are one vertex"
    assert same(load_mesh(tmp_path / f"five{suffix}"), one_of(back))


def one_of(meshes: Meshes) -> Meshes:
    return Meshes.from_lists([meshes.verts], [meshes.faces_packed()])


def test_polygons_become_triangles_and_objects_stay_apart(samples: Path) -> None:
    chair = load_meshes(samples / "meshes" / "armchair.obj")
    text = (samples / "meshes" / "armchair.obj").read_text().splitlines()
    corners = [len(line.split()) - 1 for line in text if line.startswith("f ")]
    assert {4} < set(corners) | {3, 4} and len(chair) == sum(line.startswith("o ") for line in text) == 3
    assert len(chair.faces) == sum(count - 2 for count in corners)
    cow = load_mesh(samples / "meshes" / "cow.obj")
    assert (len(cow.verts), len(cow.faces)) == (2930, 5856) and cow.to_trimesh(0).is_watertight


ABOVE = "v 0 0 5\nv 1 0 5\nv 0 1 5\n"


@pytest.mark.parametrize(
    "text",
    [
        TRIANGLE + "f -3 -2 -1\n" + ABOVE + "f -3 -2 -1\n",
        TRIANGLE + "vn 0 0 1\nf -3//-1 -2//-1 -1//-1\n" + ABOVE + "f -3//-1 -2//-1 -1//-1\n",
        TRIANGLE + "vt 0 0\nf 1/1 2/1 3/1\n" + ABOVE + "f -3/-1 5/-1 -1/1\n",
        TRIANGLE + ABOVE + "f\t1\t2\t3\n  f 4 5 6  # the upper one\n",
        TRIANGLE.replace("v ", "v\t") + ABOVE + "f 1 2 \\\n 3\nf 4 5 6\n",
        "mtllib x.mtl\n" + TRIANGLE + "usemtl a\nf -3 -2 -1\n" + ABOVE + "usemtl b\ns off\nf -3 -2 -1\n",
    ],
)
def test_every_way_to_name_vertices(tmp_path: Path, text: str) -> None:
    """Two triangles above each other, by hand; negative numbers count back from the latest vertex."""
    (tmp_path / "a.obj").write_text(text)
    mesh = load_mesh(tmp_path / "a.obj")
    corners = mesh.verts[mesh.faces_packed()]
    assert corners.tolist() == [[[0, 0, z], [1, 0, z], [0, 1, z]] for z in (0, 5)]


def test_relative_vertices_of_several_objects(tmp_path: Path) -> None:
    quad = "v 0 0 5\nv 2 0 5\nv 2 2 5\nv 0 2 5\nf -4 -3 -2 -1\n"
    (tmp_path / "a.obj").write_text(f"o a\n{TRIANGLE}f -3 -2 -1\no b\ng c\n{quad}")
    first, second = load_meshes(tmp_path / "a.obj").to_trimesh(0), load_meshes(tmp_path / "a.obj").to_trimesh(1)
    assert (len(first.faces), first.area) == (1, pytest.approx(0.5))
    assert (len(second.faces), second.area) == (2, pytest.approx(4)) and second.bounds[:, 2].tolist() == [5, 5]


def test_other_formats(tmp_path: Path) -> None:
    shape = trimesh.creation.box()
    for suffix in ("ply", "off", "stl"):
        shape.export(tmp_path / f"box.{suffix}")
        back = load_mesh(tmp_path / f"box.{suffix}")
        assert (len(back.verts), len(back.faces)) == (8, 12) and back.to_trimesh(0).volume == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.obj", "", r"a\.obj is empty \(0 bytes\); expected a mesh with vertices and faces"),
        ("a.obj", TRIANGLE, r"a\.obj has no faces; expected a mesh of triangles or polygons"),
        ("a.obj", "this is no mesh\n", r"a\.obj has no faces"),
        ("a.obj", TRIANGLE + "f 1 2 3\nf 1 2\n", r"a\.obj: line 5: a face of 2 corners; expected 3 or more"),
        ("a.obj", TRIANGLE + "f 0 1 2\n", r"a\.obj: line 4: a face names vertex 0; expected 1, 2, ..."),
        ("a.obj", TRIANGLE + "f -1 -2 -4\n", r"a\.obj: line 4: a face names vertex -4; .* of 3 before it"),
        ("a.obj", TRIANGLE + "f 1.0 2 3\n", r"a\.obj: line 4: a face names vertex '1\.0'; expected a whole number"),
        ("a.obj", "v 0 0\n" + TRIANGLE + "f 2 3 4\n", r"a\.obj: line 1: a vertex of 2 coordinates; expected x y z"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", r"a\.off"),
        ("a.obj", TRIANGLE + "f 1 2 9\n", r"a\.obj: its faces refer to vertices that do not exist"),
        (
            "a.obj",
            TRIANGLE.replace("v 1", "v nan") + "f 1 2 3\n",
            r"a\.obj: 1 of 1 faces have a vertex that is not fin",
        ),
        ("a.glb", "glTF, or so it says", r"a\.glb cannot be read as GLB: "),
        ("a.ply", "ply\n", r"a\.ply cannot be read as PLY: "),
        ("a.txt", TRIANGLE, r"a\.txt is not a mesh file; expected one of \.obj, \.glb"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    for read in (load_mesh, load_meshes):
        with pytest.raises(InputError, match=message):
            read(tmp_path / name)


def test_faces_of_other_formats_are_checked(tmp_path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    faces = "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n"
    (tmp_path / "a.ply").write_text(header + faces + "3 0 1 7\n")
    with pytest.raises(InputError, match=r"a\.ply: .*vert"):
        load_mesh(tmp_path / "a.ply")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone\.obj: No such file"):
        load_mesh(tmp_path / "gone.obj")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_scenes_bring_the_same_meshes_back(count: int) -> None:
    empty = Meshes.from_lists([torch.zeros(0, 3)], [torch.zeros(0, 3, dtype=torch.int64)])
    meshes = Meshes.cat([boxes(count), empty])
    text = json.dumps(MESHES.field.encode(meshes, WORDS))
    back = MESHES.field.decode(json.loads(text), (8, 12), WORDS)
    assert len(back) == count + 1 and back.faces.dtype == torch.int64
    for name in ("verts", "faces", "verts_offset", "faces_offset"):
        assert torch.equal(getattr(back, name), getattr(meshes, name)), name


def test_mirroring_reflects_and_resizing_leaves_meshes() -> None:
    meshes = boxes(2)
    mirrored = MESHES.field.transform(meshes, Geometry.flip((8, 12)), WORDS)
    assert torch.equal(mirrored.verts[:, 0], -meshes.verts[:, 0])
    assert [mirrored.to_trimesh(i).volume for i in range(2)] == pytest.approx([1, 8]), "not inside out"
    for geometry in (Geometry.resize((8, 12), (4, 6)), Geometry.crop((8, 12), (1, 1, 5, 5))):
        assert MESHES.field.transform(meshes, geometry, WORDS) is meshes


def test_batches_and_gaps() -> None:
    meshes = boxes(3)
    packed = MESHES.field.collate([meshes[[0]], meshes[[]], meshes[[1, 2]]], (8, 12))
    assert same(packed, meshes)
    spread = MESHES.field.scatter(meshes[[1]], torch.tensor([2]), 4)
    assert spread.num_faces_per_mesh().tolist() == [0, 0, 12, 0]
    assert len(MESHES.field.collate([meshes[[]]], (8, 12))) == 0
