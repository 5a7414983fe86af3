"""What fields show of values, the examples that they make up, and where they say a value is out of place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.fields.base import Field
from scenekit.fields.frame import Frame, Swatch
from scenekit.fields.labels import ImageLabelField, LabelField
from scenekit.fields.pairs import PairField
from scenekit.fields.semantic import SemanticField
from scenekit.keys import key_named
from scenekit.structures import Boxes3D, Captions, Keypoints, Masks, Meshes, Panoptic, Relations, Segment
from scenekit.structures.objects import Objects
from scenekit.testing import VOCABULARY, example

SIZE = (4, 6)
FRAME = Frame(SIZE, VOCABULARY, Objects(torch.tensor([[0.0, 0, 2, 2], [3, 1, 6, 4]]), torch.tensor([0, 2])))
"""A cup and a table."""

TETRAHEDRON = torch.tensor([[0.0, 0, 2], [1, 0, 2], [0, 1, 2], [0, 0, 3]])


def test_boxes_in_metres() -> None:
    """At (0, 3, 4) the distance is 5; a box with a side of 0 cannot be."""
    boxes = Boxes3D(
        torch.tensor([[0.0, 3, 4], [1, 1, 1]]), torch.tensor([[1.0, 2, 0.5], [0, 1, 1]]), torch.eye(3).repeat(2, 1, 1)
    )
    assert sk.BOXES3D.field.columns(boxes, FRAME) == {
        "x, y, z in m": ["0.00, 3.00, 4.00", ""],
        "w × h × l in m": ["1.00 × 2.00 × 0.50", ""],
        "distance in m": ["5.00", ""],
    }


def test_rows_of_other_kinds() -> None:
    dense = torch.zeros(2, *SIZE, dtype=torch.bool)
    dense[1, 1:3, :5] = True
    assert sk.MASKS.field.columns(Masks.from_dense(dense), FRAME) == {"mask px": ["0", "10"]}
    points = Keypoints(torch.zeros(2, 3, 2), torch.tensor([[2, 1, 0], [0, 0, 0]]))
    assert sk.KEYPOINTS.field.columns(points, FRAME) == {"keypoints visible": ["1 / 2", ""]}
    assert sk.ATTRIBUTES.field.columns(torch.tensor([[0.5, 1.0], [0.2, 0.75]]), FRAME) == {
        "": ["wooden, red 0.50", "wooden 0.75"]
    }
    assert sk.CAPTIONS.field.columns(Captions((("a cup", "one"), ())), FRAME) == {"description": ["a cup", ""]}
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    meshes = Meshes.from_lists([TETRAHEDRON, TETRAHEDRON[:0]], [faces, faces[:0]])
    assert sk.MESHES.field.columns(meshes, FRAME) == {"mesh": ["4 vertices, 4 faces", ""]}
    assert sk.VOXELS.field.columns(torch.arange(16).reshape(2, 2, 2, 2) > 5, FRAME) == {
        "voxels filled": ["25%", "100%"]
    }


def test_values_of_the_image() -> None:
    """18 of 24 pixels are floor (label 3), 6 belong to the cup; without a score relations stay in their order."""
    labels = torch.full(SIZE, 3)
    labels[:, 0] = 0
    labels[:2, 1] = 0
    expected = {
        "label": [Swatch("floor", 3), Swatch("cup", 0)],
        "kind": ["stuff", "thing"],
        "of image": ["75.0%", "25.0%"],
    }
    assert sk.SEMANTIC.field.columns(labels, FRAME) == expected
    panoptic = Panoptic(labels + 1, (Segment(1, 0, True, object=1), Segment(4, 3, False)))
    assert sk.PANOPTIC.field.columns(panoptic, FRAME) == {
        **expected,
        "label": [Swatch("floor", 3), Swatch("cup", 0, 1)],
    }
    relations = Relations(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([2, 0]))
    table = sk.RELATIONS.field.columns(relations, FRAME)
    assert table["predicate"] == ["on", "left of"] and table["subject"][0] == Swatch("cup 0", row=0)
    scored = sk.RELATIONS.field.columns(replace(relations, score=torch.tensor([0.25, 0.5])), FRAME)
    assert scored["predicate"] == ["left of", "on"] and scored["score"] == ["0.50", "0.25"]
    depth = torch.full(SIZE, torch.nan)
    assert sk.DEPTH.field.columns(depth, FRAME) == {"": ["unknown"]}
    depth[0, :2] = torch.tensor([1.5, 8.0])
    assert sk.DEPTH.field.columns(depth, FRAME) == {"": ["1.50 to 8.00 m"]}


def test_pairs_and_labels_of_plugins_show_their_own_names() -> None:
    frame = replace(FRAME, vocabulary=replace(VOCABULARY, lists={"acme.ways": ("above", "inside")}))
    pairs = sk.Pairs(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([1, 0]), score=torch.tensor([0.25, 0.75]))
    assert PairField("acme.ways").columns(pairs, frame) == {
        "subject": [Swatch("table 1", row=1), Swatch("cup 0", row=0)],
        "object": [Swatch("cup 0", row=0), Swatch("table 1", row=1)],
        "": ["above", "inside"],
        "score": ["0.75", "0.25"],
    }
    assert LabelField("acme.ways").columns(torch.tensor([1, -1]), frame) == {"": ["inside", ""]}
    assert LabelField("acme.ways").describe(torch.tensor([1, -1]), frame.vocabulary, 0.5) == [
        {"label": 1, "name": "inside"},
        None,
    ]
    assert ImageLabelField("acme.ways").columns(torch.tensor(0), frame) == {"": ["above"]}
    labels = torch.tensor([[1, 1, 1, -1], [1, 1, 1, 0]])
    shown = {"label": [Swatch("inside", 1), Swatch("above", 0)], "of image": ["75.0%", "12.5%"]}
    assert SemanticField("acme.ways").columns(labels, frame) == shown
    assert SemanticField("acme.ways").example(frame).unique().tolist() == [0, 1]


def test_a_kind_of_value_that_says_nothing_shows_its_numbers() -> None:
    field: Field[Any, Any] = Field(3)
    assert field.columns(torch.tensor([[[1.0, 2.5]], [[0.125, torch.nan]]]), FRAME) == {"": ["1, 2.5", "0.125, –"]}
    assert field.columns(torch.zeros(2, 4, 4), FRAME) == {"": ["[4 × 4]"] * 2}
    assert field.columns(torch.zeros(2, 10, 10), FRAME) == {"": ["shape 10, 10"] * 2}


@pytest.mark.parametrize("shape", [None, ("N",), ("N", 2, 3), ("N", "K", 2)], ids=str)
def test_examples_have_the_declared_shape(shape: tuple[str | int, ...] | None) -> None:
    made = Field(len(shape or "N")).example(FRAME, shape)
    sides = tuple(4 if isinstance(side, str) else side for side in (shape or ("N",))[1:])
    assert made.shape == (2, *sides) and bool(((made > 0) & (made < 1)).all())


def test_examples_of_images_have_the_declared_shape() -> None:
    scene = sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: FRAME.regions})
    assert example(sk.Key("test.shown_rain"), scene) == 0.5
    assert example(sk.Key("test.shown_sky", shape=("B", 3, "W")), scene).shape == (3, 4)
    count: sk.Key[Any, Any] = sk.Key("test.shown_count", example=lambda frame: len(frame.regions))
    assert example(count, scene) == 2, "the key's own example goes before that of its field"


KEYS = ("masks", "keypoints", "attributes", "captions", "boxes3d", "meshes", "voxels", "semantic", "depth", "panoptic")


@pytest.mark.parametrize("name", [*KEYS, "relations"])
def test_examples_are_sound_and_in_their_place(name: str) -> None:
    """They survive a file, lie in the image, and their tables have a cell per row."""
    key = key_named(name)
    assert key is not None
    scene = sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: FRAME.regions})
    value = example(key, scene)
    again = key.field.decode(key.field.encode(value, VOCABULARY), SIZE, VOCABULARY)
    assert key.field.encode(again, VOCABULARY) == key.field.encode(value, VOCABULARY)
    assert key.field.misplaced(value, scene.frame(key)) is None
    if key.of is not None:
        assert {len(cells) for cells in key.field.columns(value, FRAME).values()} == {2}


def test_values_out_of_place_are_named() -> None:
    small = (3, 6)
    other = Frame(small, VOCABULARY)
    assert (
        sk.MASKS.field.misplaced(Masks.from_dense(torch.zeros(1, *SIZE, dtype=torch.bool)), other) == "has 4 x 6 pixels"
    )
    for key, value in (
        (sk.SEMANTIC, torch.zeros(SIZE, dtype=torch.int64)),
        (sk.DEPTH, torch.zeros(SIZE)),
        (sk.PANOPTIC, Panoptic(torch.zeros(SIZE, dtype=torch.int64), ())),
    ):
        assert key.field.misplaced(value, other) == "has 4 x 6 pixels"
    points = Keypoints(torch.tensor([[[5.0, 3.5], [90, 90]]]), torch.tensor([[2, 0]]))
    assert sk.KEYPOINTS.field.misplaced(points, other) is None, "an absent point is nowhere"
    assert "outside, at [90.0, 90.0]" in str(
        sk.KEYPOINTS.field.misplaced(replace(points, visibility=torch.ones(1, 2).long()), other)
    )


def test_solids() -> None:
    """A box is a frame of twelve bars of twelve triangles; one that cannot be has none."""
    boxes = Boxes3D(
        torch.tensor([[0.0, 0, 4], [0, 0, 4]]), torch.tensor([[1.0, 2, 3], [0, 1, 1]]), torch.eye(3).repeat(2, 1, 1)
    )
    frames = sk.BOXES3D.field.solids(boxes)
    assert [len(frames.faces_of(row)) for row in range(2)] == [144, 0]
    low, high = frames.verts_of(0).amin(0), frames.verts_of(0).amax(0)
    torch.testing.assert_close(torch.stack((low, high)), torch.tensor([[-1.5, -1, 3.5], [1.5, 1, 4.5]]).double())
    assert sk.BOXES3D.field.stands_in and not sk.MESHES.field.stands_in
    assert sk.MASKS.field.solids(Masks((), SIZE)) is None
