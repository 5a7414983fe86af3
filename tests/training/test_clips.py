"""Clips in training: whole ones teach tasks of clips, beside images that teach the others."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.clips import ClipSamples
from scenekit.data.datasets import SampleSet
from scenekit.data.transforms import ColorJitter, RandomCrop, RandomFlip, Resize, apply_all
from scenekit.errors import InputError, SkippedSampleError
from scenekit.hooks import DatasetSpec, Origin, hookimpl, registry
from scenekit.recipe import InputConfig, Recipe
from scenekit.training.log import read_log
from scenekit.training.loop import train
from scenekit.weights import load

from . import toy

VOCABULARY = sk.Vocabulary(toy.VOCABULARY.things, toy.VOCABULARY.stuff, mirror_words=(("left", "right"),))
SMALL = {"rows": 2, "columns": 2, "width": 16, "layers": 1, "lstm": {"width": 16, "features": 16}}


@dataclass(frozen=True)
class ToyClips:
    """Clips of six frames in which a square is there for a while, at the left or the right."""

    count: int = 8
    vocabulary: sk.Vocabulary = VOCABULARY

    @property
    def samples(self) -> SampleSet:
        return toy.Toys(self.count)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> sk.Clip:
        rng = random.Random(f"toy clips/{index}")
        first, side = rng.randrange(3), rng.randrange(2)
        frames = []
        for number in range(6):
            image = torch.full((3, 48, 64), 40, dtype=torch.uint8)
            if first <= number <= first + 2:
                image[0, 20:30, 5 + 40 * side : 15 + 40 * side] = 230
            frames.append(sk.VideoFrame(image, sk.Moment(10 + number / 2, number)))
        text = f"a square is there at the {'right' if side else 'left'}"
        spans = torch.tensor([[10 + first / 2, 11 + first / 2]])
        events = sk.Events(spans, sk.Captions(((text,),)))
        return sk.Clip(frames, [sk.Scene((48, 64), VOCABULARY)] * 6, VOCABULARY, events, f"clip {index}")


def _build(split: str, count: int = 8) -> Any:
    return ToyClips(count)


@hookimpl
def scenekit_datasets() -> list[DatasetSpec]:
    """`toy_clips`."""
    return [DatasetSpec("toy_clips", "squares that are there for a while", _build)]


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    toy.register()
    if "toy_clips" not in registry().names("dataset"):
        registry().add(sys.modules[__name__], Origin("toy_clips", "tests", "0"))
    yield


def recipe(*data: dict[str, Any], **train_options: Any) -> Recipe:
    content = toy.recipe().model_dump(mode="json")
    content["train"] |= train_options
    content["model"]["tasks"] = {"semantic": content["model"]["tasks"]["semantic"], "events": SMALL}
    content["data"] = {"train": list(data), "val": {"name": "toy_clips", "clip_frames": 6}}
    return Recipe.parse(content)


CLIPS = {"name": "toy_clips", "clip_frames": 6}


def test_images_and_clips_train_one_model(tmp_path: Path) -> None:
    """Losses of both kinds are there, the run is evaluated on clips, and its model reads a clip."""
    mixed = recipe({"name": "toys"}, CLIPS, steps=8, evaluate_every=8)
    train(mixed, out=tmp_path, device="cpu", progress=False)
    seen = {name for record in read_log(tmp_path / "log.jsonl") for name in record["losses"]}
    assert {"events.score", "events.span", "events.text", "semantic.pixel"} <= seen
    (line,) = read_log(tmp_path / "evaluations.jsonl")
    assert "recall at 0.5" in line["results"]["events"] and "semantic" not in line["results"]
    model = load(tmp_path / "model")
    assert model.clip_tasks == ("events",)
    clip = sk.predict_clip(model, ToyClips()[0])
    assert isinstance(clip[sk.EVENTS], sk.Events)


def test_samples_of_clips_are_evaluated_as_such(tmp_path: Path) -> None:
    model = train(recipe(CLIPS, steps=1), out=tmp_path, device="cpu", progress=False)
    results = sk.evaluate(model, ClipSamples(ToyClips(3)))
    assert set(results) == {"events"} and 0 <= results["events"]["recall"] <= 1
    assert "events" not in sk.evaluate(model, toy.Toys(2), limit=2)
    assert sk.evaluate(model, ClipSamples(ToyClips(3)), tasks=["events"], limit=1).keys() == {"events"}


def test_a_sample_has_frames_evenly_spread() -> None:
    sample = ClipSamples(ToyClips(), most_frames=3)[1]
    assert sample.times == (10.0, 11.0, 12.0) and len(sample.frames) == 3
    assert sample.scene[sk.EVENTS].captions.texts == ToyClips()[1].events.captions.texts
    assert sample.supervision.keys == {sk.EVENTS} and not sample.supervision.streams
    assert ClipSamples(ToyClips()).scene(1)[sk.EVENTS].spans.tolist() == sample.scene[sk.EVENTS].spans.tolist()


def test_frames_of_a_clip_move_alike() -> None:
    """Crop, flip, size and colors are the same for all frames, and a flip exchanges the words."""
    sample = ClipSamples(ToyClips())[0]
    same = sk.Sample(
        sample.image, sample.scene, sample.supervision, 0, frames=(sample.frames[0],) * 3, times=(0.0, 1.0, 2.0)
    )
    config = InputConfig(min_size=32, max_size=64)
    transforms = [RandomCrop(1.0, 0.5), Resize(config, (0.5, 1.5)), RandomFlip(1.0), ColorJitter(0.5)]
    moved = apply_all(transforms, same, random.Random(1))
    assert all(torch.equal(frame.image, moved.image) for frame in moved.frames) and len(moved.frames) == 3
    before, after = (one.scene[sk.EVENTS].captions.texts[0][0] for one in (same, moved))
    assert after == VOCABULARY.mirror_text(before) != before


def test_clips_without_times_or_frames_are_refused() -> None:
    class Odd(ToyClips):
        def __getitem__(self, index: int) -> sk.Clip:
            frames = [sk.VideoFrame(torch.zeros(3, 8, 8))] * index
            return sk.Clip(frames, [sk.Scene((8, 8), VOCABULARY)] * index, VOCABULARY)

    with pytest.raises(SkippedSampleError, match="clip 0 has no frame"):
        ClipSamples(Odd())[0]
    with pytest.raises(InputError, match="clip 1 has a frame without a moment"):
        ClipSamples(Odd())[1]


def test_single_images_have_no_clips() -> None:
    with pytest.raises(InputError, match="data set 'toys' has single images, no clips"):
        train(recipe({"name": "toys", "clip_frames": 4}), out="unused", device="cpu", progress=False)
