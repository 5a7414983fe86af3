"""What packed meshes say of their edges, areas and normals, held against pytorch3d's answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scenekit.keys import MESHES
from scenekit.structures import Meshes, Vocabulary
from tests.plugins.mesh_ops.reference import load, meshes_of

REFERENCE = load("p3d_meshes")
SETS = ["ico1", "tetra", "patch", "torus", "fan3", "batch", "degenerate", "isolated_vertex"]


@pytest.mark.parametrize("name", SETS)
def test_edges_and_boxes_are_those_of_pytorch3d(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    assert torch.equal(meshes.edges_packed(), REFERENCE[f"{name}/edges_packed"])
    assert torch.equal(meshes.faces_packed(), REFERENCE[f"{name}/faces_packed"])
    assert torch.equal(meshes.faces_packed_to_edges_packed(), REFERENCE[f"{name}/faces_packed_to_edges_packed"])
    assert torch.equal(meshes.get_bounding_boxes(), REFERENCE[f"{name}/bboxes"])


@pytest.mark.parametrize("name", SETS)
def test_areas_and_normals_are_those_of_pytorch3d(name: str) -> None:
    meshes = meshes_of(REFERENCE, name)
    for found, expected in (
        (meshes.faces_areas_packed(), "face_areas"),
        (meshes.faces_normals_packed(), "face_normals"),
        (meshes.verts_normals_packed(), "vert_normals"),
    ):
        torch.testing.assert_close(found, REFERENCE[f"{name}/{expected}"], rtol=2e-5, atol=2e-6)


def test_vertices_moved_and_scaled_keep_their_edges() -> None:
    meshes = meshes_of(REFERENCE, "batch")
    moved = meshes.offset_verts(REFERENCE["offset/offsets"])
    torch.testing.assert_close(moved.verts, REFERENCE["offset/verts_after_offset"], rtol=2e-5, atol=2e-6)
    scaled = meshes.scale_verts(REFERENCE["offset/scales"])
    torch.testing.assert_close(scaled.verts, REFERENCE["offset/verts_after_scale"], rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(meshes.scale_verts(2.0).verts, meshes.verts * 2)
    assert moved.edges_packed() is meshes.edges_packed()


def test_counts_lists_and_padding() -> None:
    empty = (torch.zeros(0, 3), torch.zeros((0, 3), dtype=torch.int64))
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    meshes = Meshes.from_lists(
        [square[:3], empty[0], square], [torch.tensor([[0, 1, 2]]), empty[1], torch.tensor([[0, 1, 2], [0, 2, 3]])]
    )
    assert meshes.num_verts_per_mesh().tolist() == [3, 0, 4]
    assert meshes.num_faces_per_mesh().tolist() == [1, 0, 2]
    assert meshes.num_edges_per_mesh().tolist() == [3, 0, 5]
    assert meshes.verts_packed_to_mesh_idx().tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert meshes.faces_packed_to_mesh_idx().tolist() == [0, 2, 2]
    assert meshes.edges_packed_to_mesh_idx().tolist() == [0, 0, 0, 2, 2, 2, 2, 2]
    assert meshes.mesh_to_verts_packed_first_idx().tolist() == [0, 3, 3]
    assert meshes.mesh_to_faces_packed_first_idx().tolist() == [0, 1, 1]
    assert [len(part) for part in meshes.verts_list()] == [3, 0, 4]
    assert meshes.faces_list()[2].tolist() == [[0, 1, 2], [0, 2, 3]]
    assert meshes.verts_padded().shape == (3, 4, 3) and torch.equal(meshes.verts_padded()[2], square)
    assert not meshes.isempty() and meshes[[1]].isempty()
    assert meshes.get_bounding_boxes()[1].tolist() == [[torch.inf, -torch.inf]] * 3


def test_meshes_picked_by_number_slice_and_from_the_end() -> None:
    meshes = meshes_of(REFERENCE, "batch")
    last = len(meshes) - 1
    for rows in (last, -1, slice(last, None), [-1], torch.tensor([-1])):
        picked = meshes[rows]
        assert len(picked) == 1
        assert torch.equal(picked.verts, meshes.verts_of(last)) and torch.equal(picked.faces, meshes.faces_of(last))
    assert len(list(meshes)) == len(meshes) and len(meshes[1:]) == last
    with pytest.raises(IndexError):
        meshes[len(meshes)]


def test_no_meshes_at_all() -> None:
    none = Meshes.from_lists([], [])
    assert len(none.edges_packed()) == 0 and none.verts_padded().shape == (0, 0, 3) and none.verts_list() == []


def test_scores_follow_their_meshes_and_survive_json() -> None:
    verts, faces = torch.rand(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])
    meshes = replace(Meshes.from_lists([verts] * 3, [faces] * 3), scores=torch.tensor([0.25, 0.625, 0.75]))
    assert meshes[[2, 0, 2]].scores.tolist() == [0.75, 0.25, 0.75] and meshes[1].scores.tolist() == [0.625]
    assert meshes.mirrored().scores is meshes.offset_verts(torch.ones(3)).scores is meshes.scores
    assert Meshes.cat([meshes, meshes[:1]]).scores.tolist() == [0.25, 0.625, 0.75, 0.25]
    assert Meshes.cat([meshes, Meshes.from_lists([verts], [faces])]).scores is None
    field, vocabulary = MESHES.field, Vocabulary(("cup",))
    entries = field.encode(meshes, vocabulary)
    assert [entry["score"] for entry in entries] == [0.25, 0.625, 0.75]
    assert field.decode(entries, (4, 4), vocabulary).scores.tolist() == [0.25, 0.625, 0.75]
    older = [{name: entry[name] for name in ("verts", "faces")} for entry in entries]
    assert field.decode(older, (4, 4), vocabulary).scores is None
    spread = field.scatter(meshes, torch.tensor([3, 0, 1]), 4)
    assert spread.scores.nan_to_num(-1).tolist() == [0.625, 0.75, -1, 0.25]
    assert field.solids(meshes).num_faces_per_mesh().tolist() == [0, 2, 2], "what scores too little is not shown"
    assert [row["score"] for row in field.describe(meshes, vocabulary, 0.5)] == [0.25, 0.625, 0.75]
