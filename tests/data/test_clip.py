"""Clips, and the events in them."""

from __future__ import annotations

import pytest
import torch

import scenekit as sk


def events(*spans: tuple[float, float]) -> sk.Events:
    texts = tuple((f"event {number}",) for number in range(len(spans)))
    return sk.Events(torch.tensor(spans).reshape(-1, 2), sk.Captions(texts))


def test_rows_of_events_stay_together() -> None:
    chosen = events((0.0, 1.0), (0.5, 2.0), (3.0, 3.0))[torch.tensor([2, 0])]
    assert chosen.spans.tolist() == [[3.0, 3.0], [0.0, 1.0]]
    assert chosen.captions.texts == (("event 2",), ("event 0",))


@pytest.mark.parametrize("spans", [[[1.0, 0.5]], [[0.0, float("nan")]]])
def test_spans_are_checked(spans: list[list[float]]) -> None:
    with pytest.raises(sk.InputError, match="start before end"):
        sk.Events(torch.tensor(spans), sk.Captions((("a",),)))


def test_every_event_has_its_captions() -> None:
    with pytest.raises(sk.InputError, match="1 spans need as many captions, got 2"):
        sk.Events(torch.tensor([[0.0, 1.0]]), sk.Captions((("a",), ("b",))))


def test_a_clip_has_a_scene_per_frame() -> None:
    with pytest.raises(sk.InputError, match="one scene per frame, got 0 for 1 frames"):
        sk.Clip([sk.VideoFrame(torch.zeros(3, 4, 4))], [], sk.Vocabulary(("cat",)))
