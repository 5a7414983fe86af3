"""Meshes and voxel grids that cannot be right, in samples with one sound object and a faulty one."""

from typing import Any

import pytest
import torch
import trimesh

import scenekit as sk
from scenekit.data.checks import valid_values, validated
from scenekit.data.issues import issues_of, notes_of
from scenekit.fields.frame import Issue
from scenekit.fields.meshes import open_meshes
from scenekit.keys import MESHES, OBJECTS, VOXELS
from scenekit.structures import Meshes

BOX = Meshes.from_trimesh([trimesh.creation.box()])
NAN = torch.nan


def mesh(verts: list[list[float]], faces: list[list[int]]) -> Meshes:
    return Meshes.from_lists(
        [torch.tensor(verts).reshape(-1, 3)], [torch.tensor(faces, dtype=torch.int64).reshape(-1, 3)]
    )


CORNERS = [[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]
FAULTY_MESHES = {
    "meshes without faces": (mesh(CORNERS, []), "it has no faces and 3 vertices"),
    "meshes with vertices that are not finite": (
        mesh([[NAN, 0, 0], *CORNERS[1:]], [[0, 1, 2]]),
        "1 of 3 vertices are not finite",
    ),
    "meshes whose faces name vertices that do not exist": (
        mesh(CORNERS, [[0, 1, 2], [0, 1, 3], [0, -1, 2]]),
        "2 of 3 faces name vertices beyond its 3",
    ),
}
FAULTY_GRIDS = {
    "empty voxel grids": (torch.zeros(1, 2, 2, 2), "none of its 8 cells is full"),
    "voxel grids with values that are not from 0 to 1": (
        torch.tensor([0, 1, NAN, 2, -1, 0.5, 0, 0]).reshape(1, 2, 2, 2),
        "3 of 8 cells do not hold a number from 0 to 1",
    ),
}


def sample(key: sk.Key[Any, Any], value: Any) -> sk.Sample:
    boxes = torch.tensor([[5.0, 6, 25, 36], [30, 10, 50, 30]])
    objects = sk.Objects(boxes, torch.tensor([0, 0]))
    scene = sk.Scene((40, 60), sk.Vocabulary(things=("cat",)), {OBJECTS: objects}, {key: value})
    image = torch.arange(3 * 40 * 60).reshape(3, 40, 60).to(torch.uint8)
    return sk.Sample(image, scene, sk.Supervision(frozenset({key})), 7)


@pytest.mark.parametrize("kind", FAULTY_MESHES)
def test_faulty_meshes(kind: str) -> None:
    wrong, told = FAULTY_MESHES[kind]
    found = sample(MESHES, Meshes.cat([BOX, wrong]))
    assert validated(found.scene, MESHES).issues == [Issue(kind, told, row=1)]
    assert list(issues_of(found)) == [(kind, "meshes of objects 1")]
    assert valid_values(found).scene.rows_with(MESHES).tolist() == [True, False]


@pytest.mark.parametrize("kind", FAULTY_GRIDS)
def test_faulty_grids(kind: str) -> None:
    wrong, told = FAULTY_GRIDS[kind]
    found = sample(VOXELS, torch.cat([torch.ones(1, 2, 2, 2), wrong]))
    assert validated(found.scene, VOXELS).issues == [Issue(kind, told, row=1)]
    assert list(issues_of(found)) == [(kind, "voxels of objects 1")]
    assert valid_values(found).scene.rows_with(VOXELS).tolist() == [True, False]


def test_rows_that_carry_nothing_have_no_fault() -> None:
    found = sample(MESHES, Meshes.cat([BOX, mesh([], [])]))
    scene = found.scene
    valid = {MESHES: torch.tensor([True, False])}
    bare = sk.Scene(scene.size, scene.vocabulary, scene.streams, scene.values, valid)
    assert not list(issues_of(sk.Sample(found.image, bare, found.supervision, 7)))


def test_sound_shapes() -> None:
    empty = sk.Scene(
        (40, 60), sk.Vocabulary(()), {}, {MESHES: Meshes.from_lists([], []), VOXELS: torch.zeros(0, 2, 2, 2)}
    )
    assert not validated(empty, MESHES).issues and not validated(empty, VOXELS).issues
    assert not list(issues_of(sample(VOXELS, torch.ones(2, 2, 2, 2, dtype=torch.bool))))
    assert not list(issues_of(sample(MESHES, Meshes.cat([BOX, BOX]))))


def test_open_meshes_are_worth_a_note() -> None:
    lid_off = Meshes.from_lists([BOX.verts], [BOX.faces[2:]])
    both = Meshes.cat([BOX, lid_off])
    assert open_meshes(both).tolist() == [False, True] and open_meshes(BOX[[]]).shape == (0,)
    assert list(notes_of(sample(MESHES, both))) == [("meshes that are not closed", "meshes of objects 1")]
    assert not list(issues_of(sample(MESHES, both)))


@pytest.mark.parametrize("kind", FAULTY_MESHES)
def test_a_faulty_mesh_hides_no_open_one(kind: str) -> None:
    wrong, _ = FAULTY_MESHES[kind]
    lid_off = Meshes.from_lists([BOX.verts], [BOX.faces[2:]])
    both = sample(MESHES, Meshes.cat([wrong, lid_off]))
    assert list(notes_of(both)) == [("meshes that are not closed", "meshes of objects 1")]
    assert not list(notes_of(sample(MESHES, Meshes.cat([wrong, BOX]))))
