"""Texts, relations and attributes that cannot be right cross no run; `--strict` refuses them with one line."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.skipping import SkippedSamples
from scenekit.errors import InputError, SkippedSampleError
from scenekit.hooks import DatasetSpec, Origin, hookimpl, registry
from scenekit.keys import ATTRIBUTES, CAPTIONS, OBJECTS, PHRASE_CAPTIONS, PHRASES, RELATIONS, Key
from scenekit.recipe import Recipe
from scenekit.structures import Captions, Relations
from scenekit.training.log import read_log
from tests.cli.conftest import refused, run  # noqa: F401
from tests.training import toy

VOCABULARY = replace(toy.VOCABULARY, predicates=("on", "near"), attributes=("red", "small"))

FAULTS: tuple[str, ...] = (
    "missing object",
    "itself",
    "twice",
    "unknown predicate",
    "no objects",
    "empty text",
    "dots",
    "long text",
    "scripts",
    "width",
    "beyond one",
    "unknown",
)


@dataclass(frozen=True)
class Spoiled:
    """Squares and discs; image i has the i-th kind of fault, and everything else is labelled soundly."""

    faults: tuple[str, ...] = FAULTS
    vocabulary: sk.Vocabulary = VOCABULARY

    def __len__(self) -> int:
        return len(self.faults)

    def __getitem__(self, index: int) -> sk.Sample:
        sample, fault = images()[index], self.faults[index]
        objects = sk.Objects.empty() if fault == "no objects" else sample.scene.objects
        values = labels(fault, len(objects))
        streams = {OBJECTS: objects, PHRASES: objects}
        scene = sk.Scene(sample.scene.size, VOCABULARY, streams, values)
        claims = sk.Supervision(frozenset(values), streams=frozenset(streams), exhaustive=frozenset(streams))
        return sk.Sample(sample.image, scene, claims, index)


@functools.cache
def images() -> list[sk.Sample]:
    """Toys with two objects at least."""
    toys = toy.Toys(labelled=())
    return [sample for sample in map(toys.__getitem__, range(len(toys))) if len(sample.scene.objects) > 1]


def labels(fault: str, count: int) -> dict[Key[Any, Any], Any]:
    rows = {
        "missing object": [(0, 0, 9)],
        "itself": [(0, 0, 0)],
        "twice": [(0, 0, 1), (0, 0, 1)],
        "unknown predicate": [(0, 7, 1)],
    }
    subject, predicate, target = torch.tensor(rows.get(fault, [(0, 1, 1)])).unbind(1)
    text = {"empty text": "", "dots": "...", "long text": "so " * 1000, "scripts": "狗 🐕 собака"}.get(fault, "a toy")
    captions = Captions(((text,),) * count)
    attributes = torch.tensor([0.0, 1]).repeat(count, 1)
    if fault == "width":
        attributes = torch.zeros(count, 5)
    elif fault in ("beyond one", "unknown"):
        attributes[:, 0] = 3.0 if fault == "beyond one" else float("nan")
    relations = Relations(subject, target, predicate)
    return {RELATIONS: relations, CAPTIONS: captions, PHRASE_CAPTIONS: captions, ATTRIBUTES: attributes}


@hookimpl
def scenekit_datasets() -> list[DatasetSpec]:
    """`spoiled`."""
    return [DatasetSpec("spoiled", "bad labels", lambda split: Spoiled())]


@pytest.fixture(autouse=True)
def data() -> None:
    toy.register()
    if "spoiled" not in registry().names("dataset"):
        registry().add(sys.modules[__name__], Origin("spoiled", "tests", "0"))


def recipe(**train: Any) -> Recipe:
    content = toy.recipe(steps=3, batch_size=4, save_every=100, **train).model_dump(mode="json")
    content["model"]["tasks"] = {
        "attributes": {"channels": 8, "hidden": 8, "picture_channels": 4},
        "captions": {"lstm": {"width": 16, "features": 16}},
        "relations": {"predictor": "imp", "imp": {"hidden": 16, "features": 16}},
    }
    content["data"] = {"train": [{"name": "spoiled"}]}
    return Recipe.parse(content)


def test_no_fault_crosses_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = sk.train(recipe(), out=tmp_path / "run", device="cpu", progress=False)
    records = read_log(tmp_path / "run" / "log.jsonl")
    assert len(records) == 3 and all(torch.tensor([*record["losses"].values()]).isfinite().all() for record in records)
    told = "\n".join(caplog.messages)
    for text in (
        "image 0 of spoiled/train: relations 0: it names object 9",
        "image 5 of spoiled/train: ",
        "text 0 is empty",
    ):
        assert text in told
    assert "image 8 " not in told and "image 11 " not in told
    results = sk.evaluate(model, Spoiled(), tasks=["attributes", "captions", "relations"])
    assert set(results) >= {"attributes", "captions", "relations"}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("scripts", "unknown")])
def test_strict_refuses_each(fault: str) -> None:
    from scenekit.data.checks import checked

    with pytest.raises(InputError, match="image 0 of spoiled: ") as caught:
        checked(Spoiled((fault,))[0], origin="spoiled", strict=True)
    assert "\n" not in str(caught.value)


def test_strict_training_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image \d+ of spoiled/train: "):
        sk.train(recipe(), out=tmp_path / "run", device="cpu", progress=False, strict=True)


def test_doctor_tells_and_refuses(run: Callable[..., Any]) -> None:  # noqa: F811
    found = run("doctor", "data", "spoiled")
    assert found.status == 0 and "--strict refuses 10 of these samples" in found.out
    for kind in ("relations to missing objects", "texts of punctuation alone", "attributes of another width"):
        assert kind in found.out
    strict = run("doctor", "data", "spoiled", "--strict")
    assert strict.status == 2 and strict.err.count("\n") == 1
    assert "image 0 of the data set: relations 0: it names object 9" in strict.err and "10 samples in all" in strict.err


def test_checkpoints_keep_the_list_of_skipped_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed, and so reports nothing, is resumed with the samples that it skipped."""
    toy.register()
    sample_of, saved, save = toy.Toys.__getitem__, [], SkippedSamples.save

    def damaged(self: toy.Toys, index: int) -> Any:
        if index == 0:
            raise SkippedSampleError("0.png is cut off")
        return sample_of(self, index)

    def recorded(self: SkippedSamples, path: Path) -> None:
        saved.append(len(self.samples))
        save(self, path)

    monkeypatch.setattr(toy.Toys, "__getitem__", damaged)
    monkeypatch.setattr(SkippedSamples, "save", recorded)
    content = toy.recipe(steps=2, save_every=1).model_dump(mode="json")
    content["data"]["train"] = [{"name": "toys", "options": {"count": 2}}]
    sk.train(Recipe.parse(content), out=tmp_path / "run", device="cpu")
    assert len(saved) == 3 and saved[-2:] == [1, 1], "with each checkpoint, and at the end"
