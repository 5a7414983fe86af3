"""What objects look like: vectors, and their form in JSON."""

from __future__ import annotations

import base64
import json

import pytest
import torch
from torch.nn import functional as F

import scenekit as sk
from scenekit.errors import InputError
from scenekit.fields.appearance import unit_vectors
from scenekit.structures import Vocabulary
from tests import tiny
from tests.tracking.streams import box, scene

VOCABULARY = Vocabulary(("cup",))


def test_it_is_the_mean_of_the_features_that_others_pool() -> None:
    torch.manual_seed(0)
    model = sk.with_task(sk.build(tiny.config(("masks",)), tiny.VOCABULARY).eval(), "appearance")
    batch, _ = tiny.batch(model, [tiny.sample()])
    with torch.no_grad():
        board = model(batch).board
    mean = F.normalize(board.pool(sk.OBJECTS, size=7).mean(dim=(2, 3)), dim=1)
    assert len(mean) > 0
    assert torch.allclose((board[sk.APPEARANCE] * mean).sum(dim=1), torch.ones(len(mean)), atol=2e-3)


def test_cosines_are_exact_enough() -> None:
    vectors = torch.randn(50, 256, generator=torch.Generator().manual_seed(0))
    exact, found = F.normalize(vectors, dim=1), unit_vectors(vectors)
    assert torch.allclose(found @ found.T, exact @ exact.T, atol=3e-3)
    assert torch.equal(unit_vectors(torch.zeros(1, 3)), torch.zeros(1, 3))


def test_json_is_small_and_exact() -> None:
    vectors = unit_vectors(torch.randn(2, 256, generator=torch.Generator().manual_seed(0)))
    given = scene([box(0), box(50)], 0, values={sk.APPEARANCE: vectors})
    entries = given.to_json()["appearance"]
    assert len(json.dumps(entries)) < 2 * 350
    assert torch.equal(sk.Scene.from_json(given.to_json())[sk.APPEARANCE], vectors)
    object.__setattr__(given, "valid", {sk.APPEARANCE: torch.tensor([True, False])})
    read = sk.Scene.from_json(given.to_json())
    assert torch.equal(read[sk.APPEARANCE][0], vectors[0]) and read.rows_with(sk.APPEARANCE).tolist() == [True, False]


def test_json_by_hand() -> None:
    """The largest channel is 127 steps; -64 of them are half of it."""
    (text,) = sk.APPEARANCE.field.encode(torch.tensor([[1.0, -0.504, 0.0]]), VOCABULARY)
    assert list(base64.b64decode(text)) == [127, 256 - 64, 0]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["!"], "expected bytes in base 64, got '!'"),
        ([[1, 2]], "expected bytes"),
        (["AAAA", "AA=="], "as many channels"),
    ],
)
def test_json_that_is_wrong(entries: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.APPEARANCE.field.decode(entries, (4, 4), VOCABULARY)


def test_graph_and_report_leave_the_numbers_out() -> None:
    given = scene([box(0)], 0, values={sk.APPEARANCE: unit_vectors(torch.ones(1, 256))})
    assert given.graph().nodes[0]["appearance"] == {"shape": [256]}
    assert sk.APPEARANCE.field.columns(given[sk.APPEARANCE], given.frame(sk.APPEARANCE)) == {}
