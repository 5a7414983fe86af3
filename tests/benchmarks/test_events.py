"""The benchmark of events: what it adds to a model changes nothing else, and cells of clips are what the head reads."""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional as F

import scenekit as sk
from scenekit.testing.compare import difference
from scenekit.weights import save_model
from scenekit_plugins.events.config import EventConfig

SMALL = {"width": 16, "layers": 1, "lstm": {"width": 16, "features": 16}}


@pytest.fixture(scope="module")
def benchmark(repository: Path) -> ModuleType:
    """The module, which imports its neighbors as a script does."""
    sys.path.insert(0, str(repository / "benchmarks"))
    try:
        import events
    finally:
        sys.path.pop(0)
    return events


@pytest.fixture(scope="module")
def small() -> sk.SceneModel:
    """The shipped model."""
    return sk.load("small")


@pytest.fixture(scope="module")
def clip() -> sk.Clip:
    """The beginning of a clip."""
    whole = sk.clips("synthetic_clips", split="test", frames=6, rate=2, size=(120, 160))[0]
    return replace(whole, frames=whole.frames[:3], scenes=whole.scenes[:3])


def test_a_head_beside_the_others_changes_nothing_else(
    benchmark: ModuleType, small: sk.SceneModel, clip: sk.Clip
) -> None:
    """Weights and predictions stay the same to the bit."""
    fresh = benchmark.with_head(small, SMALL)
    own = fresh.state_dict()
    kept = {name: value for name, value in small.state_dict().items() if not name.startswith("heads.events.")}
    assert all(torch.equal(own[name], value) for name, value in kept.items())
    assert {name for name in own if name not in kept} == {
        f"heads.events.{n}" for n in fresh.heads["events"].state_dict()
    }
    image = clip.frames[0].image
    assert difference(small.predict(image), fresh.predict(image)) is None


def test_a_head_is_put_on_another_model(benchmark: ModuleType, small: sk.SceneModel, tmp_path: Path) -> None:
    """The other weights are those of the other model."""
    head, base = benchmark.with_head(small, SMALL), benchmark.with_head(small, {})
    with torch.no_grad():
        base.heads["masks"].get_parameter("predictor.bias").add_(1)
    names = {name: tmp_path / name for name in ("head", "base")}
    save_model(head, names["head"])
    save_model(base, names["base"])
    merged = benchmark.merged(base, argparse.Namespace(model=names["base"], merge=names["head"])).state_dict()
    sources = {name: head if name.startswith("heads.events.") else base for name in merged}
    assert all(torch.equal(value, sources[name].state_dict()[name]) for name, value in merged.items())
    assert merged.keys() == head.state_dict().keys()


def test_events_are_those_of_predict_clip(benchmark: ModuleType, small: sk.SceneModel, clip: sk.Clip) -> None:
    """So are sentences for true spans, where these are the predicted ones."""
    model = benchmark.with_head(small, {**SMALL, "score_threshold": 0.0, "nms_threshold": 1.0})
    predicted = sk.predict_clip(model, clip)[sk.EVENTS]
    found, described = benchmark.both_ways(model, replace(clip, events=predicted))
    assert len(predicted) and difference(found, predicted, tolerance=1e-4) is None
    assert described.spans.equal(predicted.spans) and len(described.captions.texts) == len(predicted)


def test_a_flipped_clip_has_flipped_sentences(
    benchmark: ModuleType, small: sk.SceneModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells are computed once; sides are exchanged in the sentences of the flipped clip alone."""
    monkeypatch.setattr(benchmark, "FRAMES", 6)
    monkeypatch.setattr(benchmark, "RATE", 2)
    data = sk.clips("synthetic_clips", split="test", frames=6, rate=2, size=(120, 160))
    model = benchmark.with_head(small, SMALL)
    plain, flipped = benchmark.both(model, data, 0, tmp_path)
    assert not torch.equal(plain.cells, flipped.cells)
    exchanged = plain.events.captions.texts, flipped.events.captions.texts
    assert exchanged[0] == data[0].events.captions.texts
    assert exchanged[1] == tuple(tuple(map(data.vocabulary.mirror_text, texts)) for texts in exchanged[0])
    monkeypatch.setattr(benchmark, "cells_of", None)
    again = benchmark.both(model, data, 0, tmp_path)
    assert torch.equal(again[1].cells, flipped.cells)


def test_cells_of_another_trunk_are_kept_elsewhere(benchmark: ModuleType, small: sk.SceneModel, tmp_path: Path) -> None:
    """Those of another head on the same trunk are the same."""
    folder = benchmark.cells_folder(small, tmp_path)
    assert folder.parent == tmp_path and benchmark.cells_folder(benchmark.with_head(small, SMALL), tmp_path) == folder
    other = benchmark.with_head(small, {"rows": 5, **SMALL})
    with torch.no_grad():
        trunk = benchmark.with_head(small, {})
        next(trunk.stages["backbone"].parameters()).view(-1)[0] += 0.5
    assert len({folder, *(benchmark.cells_folder(model, tmp_path) for model in (other, trunk))}) == 3


def test_shifted_cells_are_those_of_shifted_images(benchmark: ModuleType) -> None:
    """One number that counts the columns of parts, and one that counts rows."""
    config = EventConfig(rows=3, columns=4, parts=2)
    columns, rows = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="xy")
    cells = F.pixel_unshuffle(torch.stack((columns, rows))[None], 2).flatten(2).transpose(1, 2).repeat(10, 1, 1)
    example = benchmark.Example(cells, tuple(range(10)), sk.Events.empty())
    seen = set()
    for seed in range(30):
        made = benchmark.augmented(example, config, random.Random(seed))
        fine = F.pixel_shuffle(made.cells.transpose(1, 2).unflatten(2, (3, 4)), 2)
        x, y = int(fine[0, 0, 0, 4]) - 4, int(fine[0, 1, 3, 0]) - 3
        assert torch.equal(fine[0, 0], (columns + x).clamp(0, 7)) and torch.equal(fine[0, 1], (rows + y).clamp(0, 5))
        assert len(made.times) == len(made.cells) >= 7 and list(made.times) == sorted({*made.times})
        seen |= {(x, y, len(made.times))}
    assert len({x for x, _, _ in seen}) == 7 and len({y for _, y, _ in seen}) == 5 and {n for *_, n in seen} > {10}


def test_it_learns_from_cells(benchmark: ModuleType, small: sk.SceneModel) -> None:
    """A few steps on one clip lower its losses."""
    config = sk.Recipe.load(benchmark.RECIPE).train.model_copy(update={"steps": 40, "warmup": 2, "ema": 0.5})
    spec = benchmark.registry().get("task", "events")
    events = sk.Events(torch.tensor([[0.2, 1.0]]), sk.Captions((("a ball rolls",),)))
    scene = sk.Scene((8, 8), small.vocabulary, values={sk.EVENTS: events})
    prepared = spec.prepare(spec.config.model_validate(SMALL), [scene])
    model = benchmark.with_head(small, {**SMALL, "tokenizer": prepared.tokenizer.model_dump(mode="json")})
    example = benchmark.Example(torch.randn(6, 48, 292), tuple(number / 4 for number in range(6)), events)
    benchmark.learn(model.heads["events"], [example], config, spec.loss_weights)
    model.eval()
    with torch.no_grad():
        _, sight = model.heads["events"](benchmark.board_of([example]))
        assert model.heads["events"].texts_of(sight, 0, events.spans).texts == (("a ball rolls",),)
