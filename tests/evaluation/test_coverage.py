"""Which images count as annotated."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.evaluation.coverage import _holds

TONE: sk.Key[Any, Any] = sk.Key("tests.coverage.tone", doc="a value of the image")


@pytest.mark.parametrize(
    ("value", "held"),
    [(torch.tensor(2), True), (torch.zeros(3), True), (torch.zeros(0), False), ((), False), ("dark", True)],
)
def test_a_number_of_the_image_is_a_value(value: Any, held: bool) -> None:
    scene = sk.Scene((8, 8), sk.Vocabulary(things=("cup",)), values={TONE: value})
    assert _holds(scene, TONE) is held
