"""Events as a kind of value: JSON, flips, checks and tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.fields.events import EventField
from scenekit.fields.frame import Frame
from scenekit.structures.geometry import Geometry
from scenekit.testing.compare import difference

FIELD, SIZE = EventField(), (8, 8)
VOCABULARY = sk.Vocabulary(("cup",), mirror_words=(("left", "right"),))
FRAME = Frame(SIZE, VOCABULARY)


def events(*texts: tuple[str, ...], scores: list[float] | None = None) -> sk.Events:
    spans = torch.tensor([[float(row), row + 1.5] for row in range(len(texts))]).reshape(-1, 2)
    return sk.Events(spans, sk.Captions(texts), None if scores is None else torch.tensor(scores))


@pytest.mark.parametrize("value", [events(("a cup", "one"), ("b",)), events(("a",), scores=[0.5]), events()])
def test_json_round_trip(value: sk.Events) -> None:
    assert difference(value, FIELD.decode(FIELD.encode(value, VOCABULARY), SIZE, VOCABULARY)) is None


@pytest.mark.parametrize("data", [{"span": [0, 1]}, "text"])
def test_other_json_is_refused(data: Any) -> None:
    with pytest.raises(InputError, match="events are a list of objects with span, score and caption"):
        FIELD.decode(data, SIZE, VOCABULARY)


def test_a_scene_file_with_a_reversed_span_is_refused() -> None:
    scene = sk.Scene(SIZE, VOCABULARY, values={sk.EVENTS: events(("a",))})
    data = scene.to_json()
    data["events"][0]["span"] = [2.0, 1.0]
    with pytest.raises(InputError, match="events: the spans of events must be finite, start before end"):
        sk.Scene.from_json(data)


def test_a_flip_exchanges_words() -> None:
    flipped = FIELD.transform(events(("a cup on the left",)), Geometry.flip(SIZE), VOCABULARY)
    assert flipped.captions.texts == (("a cup on the right",),)
    resized = FIELD.transform(events(("a cup on the left",)), Geometry.resize(SIZE, (4, 4)), VOCABULARY)
    assert resized.captions.texts == (("a cup on the left",),)
    assert list(FIELD.one_sided(events(("the left-handed one",), ("a leftmost cup",)), FRAME)) == list(
        sk.CAPTIONS.field.one_sided(events(("the left-handed one",), ("a leftmost cup",)).captions, FRAME)
    )


def test_events_without_a_description_are_dropped() -> None:
    result = FIELD.validate(events(("a cup",), ("...",), ("b", "")), FRAME)
    assert result.value.captions.texts == (("a cup",), ("b",)) and result.value.spans[:, 0].tolist() == [0, 2]
    assert [(issue.entry, issue.row) for issue in result.issues] == [(1, None), (2, None)]
    whole = events(("a",))
    assert FIELD.validate(whole, FRAME).value is whole


def test_points_of_time_are_suspicious() -> None:
    point = sk.Events(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), sk.Captions((("a",), ("небо",))))
    kinds = [(issue.kind.split(" ")[0], issue.entry) for issue in FIELD.warnings(point, FRAME)]
    assert kinds == [("events", 0), ("texts", 1)]


def test_tables_and_numbers() -> None:
    value = events(("a cup", "c"), ("b",), scores=[0.5, 0.25])
    assert FIELD.columns(value, FRAME) == {
        "start, s": ["0.00", "1.00"],
        "end, s": ["1.50", "2.50"],
        "description": ["a cup", "b"],
        "score": ["0.50", "0.25"],
    }
    numbers = {name: values.tolist() for name, values in FIELD.statistics(value, FRAME)}
    assert numbers["events a clip"] == [2] and numbers["length, s"] == [1.5, 1.5]
    assert FIELD.summary(value, FRAME) == "a cup" and FIELD.summary(events(), FRAME) == ""
