"""Which task has ground truth in which data set: against counts of the toys, and in bounded time."""

import io
import json
import logging
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from scenekit.data.loader import Source
from scenekit.io.text_tables import text_table
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, SEMANTIC
from scenekit.recipe import Recipe
from scenekit.training import label_counts
from scenekit.training.coverage import (
    COLUMNS,
    MIXTURE_COLUMNS,
    MIXTURE_TITLE,
    TITLE,
    RunCoverage,
    SetCoverage,
    coverage_of,
)
from scenekit.training.label_counts import KeyCount, counted, scattered
from scenekit.training.loop import train

from . import toy


@pytest.fixture(autouse=True)
def toys():
    toy.register()


def mixed(**train) -> Recipe:
    """Twelve fully labelled toys, and four with masks alone that are drawn three times as often."""
    content = toy.recipe(steps=2, **train).model_dump(mode="json")
    content["data"]["train"] = [
        {"name": "toys", "options": {"count": 12}},
        {"name": "toys", "options": {"count": 4, "labelled": ["masks"]}, "weight": 3},
    ]
    return Recipe.parse(content)


def test_numbers_are_those_of_the_data_sets():
    found = coverage_of(mixed()).to_json()
    scenes = [toy.Toys()[index].scene for index in range(12)]
    names = Counter(name for scene in scenes for name in scene.names())
    boxes = found["tasks"]["detection"]["boxes"]["toys/train"]
    assert boxes == {"images": 12, "instances": names.total(), "classes": sorted(names), "estimated_from": None}
    own = found["tasks"]["keypoints"]["keypoints"]
    squares = sum("square" in scene.names() for scene in scenes)
    assert (own["toys/train"]["images"], own["toys/train"]["instances"]) == (squares, names["square"])
    assert own["toys/train"]["classes"] == ["square"]
    assert own["toys/train (2)"] == {"images": 0, "instances": None, "classes": [], "estimated_from": None}
    semantic = found["tasks"]["semantic"]["semantic"]["toys/train"]
    assert (semantic["images"], semantic["instances"]) == (12, None)
    assert semantic["classes"] == ["disc", "floor", "square"]
    assert [(each["share"], each["drawn"]) for each in found["data"]] == [(0.25, 1), (0.75, 3)]
    assert found["warnings"] == []


def test_a_part_of_the_images_gives_estimates_that_say_so():
    found = coverage_of(mixed(), limit=3)
    count = found.sets[0].counts["detection", OBJECTS]
    read = [toy.Toys()[index].scene for index in (0, 4, 8)]
    assert count.instances == sum(len(scene.objects) for scene in read)
    data = found.to_json()["tasks"]["detection"]["boxes"]["toys/train"]
    assert (data["instances"], data["estimated_from"]) == (4 * count.instances, 3)
    row = next(found.rows())
    assert row == ("detection: boxes", "toys/train", "≈ 12", f"≈ {4 * count.instances}", "2")
    assert next(found.mixture())[:3] == ("toys/train", "12", "3")


def test_the_time_is_bounded(monkeypatch):
    monkeypatch.setattr(label_counts, "LEAST", 2)
    assert counted(Source(toy.Toys(500)), {("masks", MASKS): None}, None, 0.0)[0] == 2
    assert counted(Source(toy.Toys(30)), {("masks", MASKS): None}, None, math.inf)[0] == 30


def test_images_that_cannot_be_read_are_left_out():
    class Broken(toy.Toys):
        def __getitem__(self, index):
            if index % 2:
                raise ValueError("not an image")
            return super().__getitem__(index)

    lesson = ("semantic", SEMANTIC)
    read, unreadable, counts = counted(Source(Broken(6)), {lesson: None}, None, math.inf)
    assert (read, unreadable, counts[lesson].images) == (3, 3, 3)
    found = SetCoverage("toys", 6, 1.0, 4, read, unreadable, counts)
    assert not found.estimated and found.whole(3) == 3, "nothing is expected of those that cannot be read"
    assert next(RunCoverage({}, {}, [found]).mixture())[2] == "3 of 6"


def test_any_first_part_is_spread_over_all():
    assert list(scattered(range(8))) == [0, 4, 2, 6, 1, 3, 5, 7]
    for length in range(20):
        assert sorted(scattered(range(length))) == list(range(length))


def test_equal_names_are_numbered():
    """Names are those of the recipe: the section of the label file where an entry names one."""
    content = mixed().model_dump(mode="json")
    entry = content["data"]["train"][0]
    content["data"]["train"] = [entry, {**entry, "labels": "mine"}, entry, entry]
    name = f"{entry['name']}/{entry['split']}"
    found = [each.name for each in coverage_of(Recipe.parse(content)).sets]
    assert found == [name, f"mine/{entry['split']}", f"{name} (2)", f"{name} (3)"]


def test_a_run_writes_and_shows_it_and_warns(tmp_path, caplog, capsys):
    content = mixed().model_dump(mode="json")
    content["data"]["train"] = content["data"]["train"][1:]
    with caplog.at_level(logging.WARNING):
        train(Recipe.parse(content), out=tmp_path, device="cpu")
    found = json.loads((tmp_path / "coverage.json").read_text())
    assert [warning.split(":")[0] for warning in found["warnings"]] == [
        "nothing supervises the task semantic",
        "nothing supervises the task keypoints",
    ]
    assert all(warning in caplog.messages for warning in found["warnings"])
    assert "of 4 images none has semantic" in found["warnings"][0]
    shown = capsys.readouterr().err
    assert "ground truth by task and data set" in shown and "toys/train" in shown


def test_parts_that_are_not_trained_are_left_out():
    only = mixed().model_copy(update={"train": mixed().train.model_copy(update={"only": ("masks",)})})
    assert list(coverage_of(only).learns_from) == ["masks"]
    frozen = mixed().model_copy(update={"train": mixed().train.model_copy(update={"freeze": ("detection", "masks")})})
    assert list(coverage_of(frozen).learns_from) == ["semantic", "keypoints"]


def test_objects_of_other_classes_do_not_count(monkeypatch):
    """A data set may have a value for each object; keypoints are learned at those with a skeleton."""
    scenes = [toy.Toys()[index].scene for index in range(12)]
    squares = Counter(name for scene in scenes for name in scene.names())["square"]
    sample_of = toy.Toys.__getitem__

    def everywhere(self, index):
        sample = sample_of(self, index)
        valid = {**sample.scene.valid, KEYPOINTS: torch.ones(len(sample.scene.objects), dtype=torch.bool)}
        return replace(sample, scene=replace(sample.scene, valid=valid))

    monkeypatch.setattr(toy.Toys, "__getitem__", everywhere)
    found = coverage_of(mixed()).to_json()["tasks"]["keypoints"]["keypoints"]["toys/train"]
    assert (found["instances"], found["classes"]) == (squares, ["square"])
    assert found["images"] == sum("square" in scene.names() for scene in scenes)


def test_ignored_regions_do_not_count():
    """No task learns from a region without labels or from a crowd, of which KITTI and COCO have some."""
    scene = toy.Toys()[0].scene
    count, whole = KeyCount(), KeyCount()
    whole.add(scene, MASKS)
    first = torch.arange(len(scene.objects)) == 0
    objects = replace(scene.objects, ignore=first)
    count.add(replace(scene, streams={**scene.streams, OBJECTS: objects}), MASKS)
    assert count.instances == whole.instances - 1


def test_the_table_is_readable_on_a_narrow_terminal():
    counts = {lesson: KeyCount(118_287, 860_001, {"person"}) for lesson in [("captions", OBJECTS), ("masks", MASKS)]}
    sets = [SetCoverage(f"{name}/train", 118_287, 0.5, 1000, 2000, 0, counts) for name in ("coco", "visual_genome")]
    lessons = {"captions": (OBJECTS,), "masks": (MASKS,)}
    console = Console(width=80, file=io.StringIO())
    found = RunCoverage(lessons, lessons, sets)
    console.print(text_table(TITLE, COLUMNS, found.rows()))
    console.print(text_table(MIXTURE_TITLE, MIXTURE_COLUMNS, found.mixture()))
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    for word in (
        "captions: boxes",
        "masks",
        "coco/train",
        "visual_genome/train",
        sets[0].count_text(860_001),
        "118,287",
        "50.0%",
    ):
        assert word in shown
