"""Faulty texts, relations and attributes: each found, named, dropped or refused; what is merely strange is kept."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.checks import checked, valid_values, validated
from scenekit.data.inspection import inspect
from scenekit.data.issues import issues_of, notes_of
from scenekit.errors import InputError
from scenekit.fields.captions import MOST_WORDS
from scenekit.keys import ATTRIBUTES, BOXES3D, CAPTIONS, OBJECTS, RELATIONS
from scenekit.structures import Boxes3D, Captions, Relations
from scenekit.structures.tensors import repeats

VOCABULARY = sk.Vocabulary(things=("cat", "dog"), predicates=("on", "near"), attributes=("red", "small"))
SIZE = (40, 60)
BOXES = torch.tensor([[5.0, 6, 25, 36], [30, 10, 50, 30], [2, 2, 9, 9]])
NAN = float("nan")


def sample(values: dict[Any, Any], valid: dict[Any, Any] | None = None, id: int = 7, rows: int = 3) -> sk.Sample:
    objects = sk.Objects(BOXES[:rows], torch.zeros(rows, dtype=torch.int64))
    scene = sk.Scene(SIZE, VOCABULARY, {OBJECTS: objects}, values, valid or {})
    image = torch.arange(3 * SIZE[0] * SIZE[1]).reshape(3, *SIZE).to(torch.uint8)
    return sk.Sample(image, scene, sk.Supervision(frozenset(values)), id)


def related(*rows: tuple[int, int, int]) -> Relations:
    """Rows are (subject, predicate, object)."""
    subject, predicate, target = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return Relations(subject, target, predicate)


def triples(relations: Relations) -> list[tuple[int, ...]]:
    columns = (relations.subject, relations.predicate, relations.object)
    return list(zip(*(column.tolist() for column in columns), strict=True))


GOOD = (0, 1, 2)

RELATION_FAULTS = {
    "relations to missing objects": ((0, 0, 3), "relations 1: it names object 3; there are 3"),
    "relations with unknown predicates": ((0, 2, 1), "relations 1: its label is 2; the vocabulary has 2 predicates"),
    "relations of an object to itself": ((1, 0, 1), "relations 1: it is of object 1 to itself"),
    "relations that repeat another one": (GOOD, "relations 1: it repeats number 0"),
}


@pytest.mark.parametrize("kind", RELATION_FAULTS)
def test_faulty_relations(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    row, told = RELATION_FAULTS[kind]
    bad = sample({RELATIONS: related(GOOD, row, (1, 1, 2))}, id=100 + list(RELATION_FAULTS).index(kind))
    with caplog.at_level(logging.WARNING):
        kept = checked(bad, origin="farm")
    assert triples(kept.scene[RELATIONS]) == [GOOD, (1, 1, 2)]
    assert caplog.messages == [f"image {bad.id} of farm: {told}; dropped 1 of relations"]
    assert list(issues_of(bad)) == [(kind, "relations 1")]
    with pytest.raises(InputError, match=f"image {bad.id} of farm: {told}; fix the annotations") as caught:
        checked(bad, origin="farm", strict=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("subject", "target"), [(-1, 0), (0, -1), (9, 12)])
def test_missing_on_either_side(subject: int, target: int) -> None:
    kept = checked(sample({RELATIONS: related((subject, 0, target))}))
    assert len(kept.scene[RELATIONS]) == 0 and RELATIONS in kept.supervision.keys


def test_another_predicate_or_the_other_direction_is_no_repetition() -> None:
    fine = sample({RELATIONS: related((0, 0, 1), (0, 1, 1), (1, 0, 0))})
    assert checked(fine) is fine


def test_relations_of_unequal_columns_teach_nothing() -> None:
    uneven = related((0, 0, 1), (1, 0, 2))
    object.__setattr__(uneven, "object", torch.tensor([1]))  # past the annotations, which tests check
    kept = checked(sample({RELATIONS: uneven}))
    assert RELATIONS not in kept.scene and RELATIONS not in kept.supervision.keys


@pytest.mark.parametrize("rows", [0, 1])
def test_relations_with_too_few_objects(rows: int) -> None:
    kept = checked(sample({RELATIONS: related((0, 0, 1), (0, 1, 0))}, rows=rows))
    assert len(kept.scene[RELATIONS]) == 0 and len(kept.scene.objects) == rows


def test_relations_follow_when_boxes_go_as_well() -> None:
    """The first box is faulty: relations keep pointing to the right objects."""
    bad = sample({RELATIONS: related((1, 0, 2), (0, 0, 1), (2, 1, 7))})
    boxes = torch.cat((torch.tensor([[5.0, 6, 5, 36]]), BOXES[1:]))
    scene = replace(bad.scene, streams={OBJECTS: replace(bad.scene.objects, boxes=boxes)})
    assert triples(checked(replace(bad, scene=scene)).scene[RELATIONS]) == [(0, 0, 1)]


TEXT_FAULTS: dict[str, tuple[Any, str]] = {
    "empty texts": (" \n", "text 1 is empty"),
    "texts of punctuation alone": ("?!… «—»", "text 1 is '?!… «—»', punctuation alone"),
    f"texts of more than {MOST_WORDS} words": ("very " * 1000, "text 1 has 1,000 words, more than 500"),
    "texts that are not strings": (None, "text 1 is a NoneType; expected a string"),
}


def with_texts(*texts: tuple[Any, ...]) -> Captions:
    """Whatever stands in place of a text, past the annotations, which tests check."""
    captions = Captions((("",),) * len(texts))
    object.__setattr__(captions, "texts", texts)
    return captions


@pytest.mark.parametrize("kind", TEXT_FAULTS)
def test_faulty_texts(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    text, told = TEXT_FAULTS[kind]
    captions = with_texts(("a cat",), ("a dog", text, "the dog"), ("it",))
    bad = sample({CAPTIONS: captions}, id=200 + list(TEXT_FAULTS).index(kind))
    with caplog.at_level(logging.WARNING):
        kept = checked(bad, origin="farm")
    assert kept.scene[CAPTIONS].texts == (("a cat",), ("a dog", "the dog"), ("it",))
    assert kept.scene.rows_with(CAPTIONS).all()
    assert caplog.messages == [f"image {bad.id} of farm: captions of objects 1: {told}; dropped 1 of captions"]
    assert list(issues_of(bad)) == [(kind, "captions of objects 1")]
    with pytest.raises(InputError, match=f"image {bad.id} of farm: captions of objects 1: text 1"):
        checked(bad, origin="farm", strict=True)


def test_a_row_whose_texts_are_all_faulty_carries_nothing() -> None:
    kept = checked(sample({CAPTIONS: Captions((("a cat",), ("", "..."), ("it",)))}))
    assert kept.scene.rows_with(CAPTIONS).tolist() == [True, False, True]


def test_rows_that_carry_no_text_are_not_looked_at() -> None:
    fine = sample({CAPTIONS: Captions((("a cat",), ("",), ()))}, {CAPTIONS: torch.tensor([True, False, False])})
    assert checked(fine) is fine


STRANGE = ("🐕", "собака на траве", "狗", "كلب", "a dog 🐕‍🦺", "+", "42", "naïve café", "\u202ea dog")


@pytest.mark.parametrize("text", STRANGE)
def test_any_script_and_emoji_are_legal(text: str) -> None:
    fine = sample({CAPTIONS: Captions(((text,), ("a dog",), ("it",)))})
    assert checked(fine, strict=True) is fine and list(issues_of(fine)) == []


def test_what_a_tokenizer_may_not_spell_is_noted() -> None:
    fine = sample({CAPTIONS: Captions((("a dog 🐕",), ("собака",), ("naïve café – “so”",)))})
    (emoji, script) = notes_of(fine)
    assert "emoji" in emoji[0] and emoji[1] == "captions of objects 0"
    assert script == ("texts in other scripts than Latin", "captions of objects 1")


def test_attributes_of_another_width(caplog: pytest.LogCaptureFixture) -> None:
    bad = sample({ATTRIBUTES: torch.zeros(3, 5)}, id=300)
    with caplog.at_level(logging.WARNING):
        kept = checked(bad, origin="farm")
    assert ATTRIBUTES not in kept.scene and ATTRIBUTES not in kept.supervision.keys
    assert "image 300 of farm: attributes: the shape is [3, 5]; expected 2 columns" in caplog.text
    assert list(issues_of(bad)) == [("attributes of another width", "attributes")]


@pytest.mark.parametrize(("id", "value"), [(310, 1.5), (311, -0.1), (312, float("inf")), (313, float("-inf"))])
def test_attributes_that_are_no_probabilities(id: int, value: float, caplog: pytest.LogCaptureFixture) -> None:
    bad = sample({ATTRIBUTES: torch.tensor([[0.0, 1], [1, value], [NAN, NAN]])}, id=id)
    with caplog.at_level(logging.WARNING):
        kept = checked(bad, origin="farm")
    assert kept.scene.rows_with(ATTRIBUTES).tolist() == [True, False, True]
    assert f"attributes of objects 1: 'small' is {value:g}; expected 0 to 1" in caplog.text
    assert list(issues_of(bad)) == [("attributes that are not probabilities", "attributes of objects 1")]


def test_unknown_attributes_are_no_fault() -> None:
    fine = sample({ATTRIBUTES: torch.tensor([[0.0, 0.5], [1, NAN], [NAN, NAN]])})
    assert checked(fine, strict=True) is fine


def test_many_faults_fit_one_line(caplog: pytest.LogCaptureFixture) -> None:
    checked(sample({RELATIONS: related(*[(0, 0, 9)] * 8)}, id=320))
    assert "and 5 more; dropped 8 of relations" in caplog.messages[0]


def test_repeats() -> None:
    assert repeats(torch.tensor([[1, 2], [0, 0], [1, 2], [1, 2]])) == [(2, 0), (3, 0)]
    assert repeats(torch.zeros(0, 2)) == []


def test_values_of_other_kinds_are_taken_as_they_are() -> None:
    fine = sample({})
    assert valid_values(fine) is fine
    key: Any = sk.Key("tests.value_checks.page", doc="a text of the image")
    paged = replace(fine.scene, values={key: Captions((("",),))})
    assert validated(paged, key).issues == ()


class Spoiled:
    """A sample of each kind of fault, and a sound one."""

    vocabulary = VOCABULARY

    def __init__(self) -> None:
        self.values: list[dict[Any, Any]] = [{RELATIONS: related(GOOD, row)} for row, _ in RELATION_FAULTS.values()]
        self.values += [{CAPTIONS: with_texts(("a",), ("b", text), ("c",))} for text, _ in TEXT_FAULTS.values()]
        self.values += [{ATTRIBUTES: torch.zeros(3, 5)}, {ATTRIBUTES: torch.full((3, 2), 7.0)}]
        self.values.append({RELATIONS: related(GOOD), CAPTIONS: Captions((("🐕",), ("a",), ("b",)))})

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> sk.Sample:
        return sample(self.values[index], id=index)


def test_a_data_set_is_looked_at_whatever_it_holds() -> None:
    found = inspect(Spoiled()).to_json()
    kinds = {*RELATION_FAULTS, *TEXT_FAULTS, "attributes of another width", "attributes that are not probabilities"}
    assert {kind: each["count"] for kind, each in found["findings"].items() if kind != "classes without objects"} == {
        kind: 3 if kind == "attributes that are not probabilities" else 1 for kind in kinds
    }
    assert found["refused"]["count"] == len(Spoiled()) - 1
    assert found["refused"]["places"][0].startswith("image 0 of the data set: relations 1: it names object 3")
    assert found["names"] == {"predicates": {"near": 5}} and next(iter(found["notes"])).startswith("texts with emoji")


BOX3D_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "center [nan, 0, 4] and size [1, 1, 1] must be finite": ("volume", {"center": [NAN, 0.0, 4]}),
    "width, height and length must be above 0, got [1, 0, 1]": ("volume", {"size": [1.0, 0, 1]}),
    "its rotation is left-handed; expected": ("volume", {"rotation": torch.diag(torch.tensor([1.0, 1, -1])).tolist()}),
    "its rotation is not orthonormal": ("volume", {"rotation": torch.diag(torch.tensor([2.0, 1, 1])).tolist()}),
    "its center is -4 m along the optical axis": ("behind", {"center": [0.0, 0, -4]}),
}


@pytest.mark.parametrize("message", BOX3D_FAULTS)
def test_faulty_boxes3d(message: str, caplog: pytest.LogCaptureFixture) -> None:
    kind, changes = BOX3D_FAULTS[message]
    columns = {
        "center": torch.tensor([[0.0, 0, 4]] * 3),
        "size": torch.ones(3, 3),
        "rotation": torch.eye(3).repeat(3, 1, 1),
    }
    for name, value in changes.items():
        columns[name][1] = torch.tensor(value)
    bad = sample({BOXES3D: Boxes3D(**columns)}, {BOXES3D: torch.tensor([True, True, False])}, id=len(message))
    with caplog.at_level(logging.WARNING):
        kept = checked(bad, origin="farm")
    assert f"boxes3d of objects 1: {message}" in caplog.text
    assert len(kept.scene.objects) == 3 and kept.scene.rows_with(BOXES3D).tolist() == [True, False, False]
    assert [fault.kind.split()[3 if kind == "volume" else 2] for fault in validated(bad.scene, BOXES3D).issues] == [
        kind
    ]
    with pytest.raises(InputError, match="boxes3d of objects 1"):
        checked(bad, strict=True)


def test_a_row_that_carries_no_3d_box_is_no_fault() -> None:
    nothing = Boxes3D(torch.full((3, 3), NAN), torch.full((3, 3), NAN), torch.full((3, 3, 3), NAN))
    fine = sample({BOXES3D: nothing}, {BOXES3D: torch.zeros(3, dtype=torch.bool)})
    assert checked(fine, strict=True) is fine and list(issues_of(fine)) == []
