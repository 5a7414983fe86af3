"""Scenes without objects: values of every shared key, written and read again, twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit import keys
from scenekit.fields.frame import Frame
from scenekit.io.files import plain
from tests.tracking.streams import scene

VOCABULARY = sk.Vocabulary(
    things=("car",),
    stuff=("road",),
    predicates=("on",),
    attributes=("red",),
    lists={"image_classes": ("street",)},
)
SHARED = {key.name: key for key in vars(keys).values() if isinstance(key, sk.Key)}
IN_SCENES = [name for name, key in SHARED.items() if not key.of_clip and not isinstance(key, sk.Stream)]


def test_there_are_keys() -> None:
    assert {"masks", "boxes3d", "appearance", "attributes", "relations", "phrase_captions"} <= set(IN_SCENES)


@pytest.mark.parametrize("name", IN_SCENES)
def test_a_value_of_no_objects_is_read_again(name: str) -> None:
    key: sk.Key[Any, Any] = SHARED[name]
    bare = replace(scene([], 0), vocabulary=VOCABULARY)
    frame = Frame(bare.size, bare.vocabulary, bare.objects)
    value = key.example(frame) if key.example else key.field.example(frame, key.shape)
    streams = {**bare.streams, sk.PHRASES: sk.Objects.empty()}
    text = json.dumps(plain(replace(bare, streams=streams, values={key: value}).to_json()))
    read = sk.Scene.from_json(json.loads(text))
    assert key in read and len(read.objects) == 0
    assert key.of is None or len(read[key]) == 0
    assert json.dumps(plain(read.to_json())) == text


def test_an_appearance_of_no_objects_has_no_vectors() -> None:
    encoded = sk.APPEARANCE.field.encode(torch.zeros(0, 0), scene([], 0).vocabulary)
    assert encoded == []
