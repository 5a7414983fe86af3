"""Flips know sides: names change places with the image, or the image is not flipped."""

import logging
import random
from dataclasses import replace
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.inspection import inspect
from scenekit.data.transforms import RandomFlip
from scenekit.errors import warn_once
from scenekit.fields.base import Field
from scenekit.fields.labels import ImageLabelField, LabelField
from scenekit.fields.pairs import PairField
from scenekit.fields.semantic import SemanticField
from scenekit.keys import Key
from scenekit.structures import Panoptic, Segment

SIZE = (8, 12)
VOCABULARY = sk.Vocabulary(
    things=("left_shoe", "ball", "right_shoe", "left_turn_sign"),
    stuff=("lane (left)", "sky", "lane (right)", "right verge"),
    predicates=("on", "to the left of", "to the right of", "facing left"),
    attributes=("leftHanded", "red", "rightHanded", "looks left"),
    skeletons={"ball": sk.Skeleton(("L", "top", "R", "left foot"))},
    lists={"tests.turns": ("turn-left", "ahead", "turn-right", "U-turn left")},
)
TURN: Key[Any, Any] = Key("tests.flips.turn", of=sk.OBJECTS, field=LabelField("tests.turns"))
WAY: Key[Any, Any] = Key("tests.flips.way", field=ImageLabelField("tests.turns"))
LANES: Key[Any, Any] = Key("tests.flips.lanes", field=SemanticField("tests.turns"))
TIES: Key[Any, Any] = Key("tests.flips.ties", field=PairField("tests.turns"))


class Untouched(Field[Any, Any]):
    """Indices whose transform leaves them alone."""

    lists = ("tests.turns",)


FOREIGN: Key[Any, Any] = Key("tests.flips.foreign", of=sk.OBJECTS, field=Untouched())
ONE, TWO = torch.tensor([0]), torch.tensor([1])


def sample(values: dict[Any, Any], labels: tuple[int, ...] = (1, 1), **supervision: Any) -> sk.Sample:
    boxes = torch.tensor([[1.0, 1, 4, 5], [6, 2, 11, 7]])
    objects = sk.Objects(boxes, torch.tensor(labels))
    scene = sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: objects}, values)
    return sk.Sample(
        torch.zeros((3, *SIZE), dtype=torch.uint8), scene, sk.Supervision(frozenset(values), **supervision), 7
    )


def flipped(given: sk.Sample) -> sk.Sample:
    return RandomFlip(1.0)(given, random.Random(0))


def columns(*held: int) -> torch.Tensor:
    row = torch.zeros(2, 4)
    row[0, list(held)] = 1
    return row


def points(*present: int) -> sk.Keypoints:
    visibility = torch.zeros(2, 4, dtype=torch.int64)
    visibility[0, list(present)] = 2
    xy = torch.arange(1.0, 5)[None, :, None].expand(2, 4, 2).contiguous()
    return sk.Keypoints(xy, visibility)


def segments(label: int) -> Panoptic:
    return Panoptic(torch.ones(SIZE, dtype=torch.int64), (Segment(1, label, is_thing=label < 4),))


def label_map(label: int) -> torch.Tensor:
    return torch.full(SIZE, label)


def test_classes_change_places() -> None:
    result = flipped(sample({}, (0, 2), classes=frozenset({"left_shoe", "ball"})))
    assert result.scene.names() == ["right_shoe", "left_shoe"]
    assert result.scene.objects.boxes.tolist() == [[8, 1, 11, 5], [1, 2, 6, 7]]
    assert result.supervision.classes == {"right_shoe", "ball"}
    assert flipped(result).scene.names() == ["left_shoe", "right_shoe"]


def test_classes_that_are_covered_in_part_change_places() -> None:
    """Where some left shoes are labelled, some right ones are in the flipped image."""
    result = flipped(sample({}, (0, 1), partial=frozenset({"left_shoe"}))).supervision
    assert result.partial == {"right_shoe"}
    assert result.covers("left_shoe") and not result.covers("right_shoe")


@pytest.mark.parametrize("classes", [None, frozenset(VOCABULARY.things)])
def test_a_class_without_a_counterpart_is_not_covered_in_the_flipped_image(classes: frozenset[str] | None) -> None:
    """An image without left turn signs may have right ones, which no class says; flipped they are left ones."""
    assert flipped(sample({}, (0, 1), classes=classes)).supervision.classes == {"left_shoe", "ball", "right_shoe"}
    of_maps = flipped(sample({}, (0, 1), map_classes=frozenset({"left_shoe", "sky", "right verge"})))
    assert of_maps.supervision.map_classes == {"right_shoe", "sky"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (sk.SEMANTIC, label_map(4), label_map(6)),
        (sk.SEMANTIC, label_map(0), label_map(2)),
        (sk.SEMANTIC, label_map(-1), label_map(-1)),
        (LANES, label_map(0), label_map(2)),
        (TURN, torch.tensor([0, -1]), torch.tensor([2, -1])),
        (WAY, torch.tensor(2), torch.tensor(0)),
    ],
)
def test_labels_of_every_kind(key: Any, value: Any, expected: Any) -> None:
    assert torch.equal(flipped(sample({key: value})).scene[key], expected)


def test_records_of_every_kind() -> None:
    values = {
        sk.PANOPTIC: segments(6),
        sk.RELATIONS: sk.Relations(ONE, TWO, torch.tensor([1]), probabilities=torch.tensor([[0.1, 0.2, 0.3, 0.4]])),
        TIES: sk.Pairs(ONE, TWO, torch.tensor([2])),
        sk.KEYPOINTS: points(0),
    }
    scene = flipped(sample(values)).scene
    assert scene[sk.PANOPTIC].segments[0].label == 4
    assert scene[sk.RELATIONS].predicate.tolist() == [2]
    assert scene[sk.RELATIONS].probabilities[0].tolist() == pytest.approx([0.1, 0.3, 0.2, 0.4])
    assert scene[TIES].label.tolist() == [0]
    assert scene[sk.KEYPOINTS].visibility[0].tolist() == [0, 0, 2, 0]
    assert scene[sk.KEYPOINTS].xy[0, 2].tolist() == [11, 1]


def test_attributes_without_a_counterpart_are_unknown_then() -> None:
    """Whether an object that does not look left looks right is not annotated."""
    row = flipped(sample({sk.ATTRIBUTES: columns(0, 1)})).scene[sk.ATTRIBUTES][0]
    assert row[:3].tolist() == [0, 1, 1] and row[3].isnan()


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("right verge", sk.SEMANTIC, label_map(7)),
        ("right verge", sk.PANOPTIC, segments(7)),
        ("looks left", sk.ATTRIBUTES, columns(3)),
        ("facing left", sk.RELATIONS, sk.Relations(ONE, TWO, torch.tensor([3]))),
        ("left foot", sk.KEYPOINTS, points(3)),
        ("U-turn left", TURN, torch.tensor([3, -1])),
        ("U-turn left", WAY, torch.tensor(3)),
        ("U-turn left", LANES, label_map(3)),
        ("U-turn left", TIES, sk.Pairs(ONE, TWO, torch.tensor([3]))),
        ("turn-left", FOREIGN, torch.tensor([1, 1])),
        ("left", sk.CAPTIONS, sk.Captions((("on the LEFT",), ()))),
    ],
)
def test_without_a_counterpart_an_image_is_not_flipped(caplog: Any, name: str, key: Any, value: Any) -> None:
    warn_once.cache_clear()
    given = sample({key: value})
    with caplog.at_level(logging.WARNING):
        assert flipped(given) is given and flipped(given) is given
    (message,) = caplog.messages
    assert f"images whose {key.name} have {name!r} are not flipped" in message


def test_a_class_without_a_counterpart(caplog: Any) -> None:
    warn_once.cache_clear()
    given = sample({}, (1, 3))
    assert flipped(given) is given
    assert "images whose objects have 'left_turn_sign' are not flipped" in caplog.text
    words = replace(VOCABULARY, mirror_words=(("left_turn_sign", "left_turn_sign"),))
    looks_alike = replace(given, scene=replace(given.scene, vocabulary=words))
    assert flipped(looks_alike).scene.names() == ["ball", "left_turn_sign"]


def test_texts_whose_words_the_vocabulary_pairs() -> None:
    given = sample({sk.CAPTIONS: sk.Captions((("on the LEFT",), ("a left_shoe",)))})
    words = replace(VOCABULARY, mirror_words=(("left", "right"),))
    scene = flipped(replace(given, scene=replace(given.scene, vocabulary=words))).scene
    assert scene[sk.CAPTIONS].texts == (("on the RIGHT",), ("a right_shoe",))


def test_the_inspection_shows_what_a_flip_exchanges() -> None:
    class Data(list[sk.Sample]):
        vocabulary = VOCABULARY

    report = inspect(Data([sample({}, (0, 3))])).to_json()  # type: ignore[arg-type]
    assert report["flip_pairs"] == {
        "things": [["left_shoe", "right_shoe"]],
        "stuff": [["lane (left)", "lane (right)"]],
        "predicates": [["to the left of", "to the right of"]],
        "attributes": [["leftHanded", "rightHanded"]],
        "tests.turns": [["turn-left", "turn-right"]],
        "points of the skeleton": [["L", "R"]],
    }
    (note,) = report["notes"].values()
    assert note == {"count": 1, "places": ["image 7, 'left_turn_sign' in objects"]}
