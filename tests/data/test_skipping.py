"""Samples that cannot be used when they are read: what stands in for them, and where they are named."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from scenekit.data.sample import Sample
from scenekit.data.scenes import spread_scenes
from scenekit.data.skipping import Skipped, SkippedSamples, candidates, usable
from scenekit.errors import InputError, PluginError, SkippedSampleError

from .test_loader import Farm, load, same


@dataclass(frozen=True)
class Damaged(Farm):
    """A farm some of whose images are cut off."""

    lost: tuple[int, ...] = (3,)

    def __getitem__(self, index: int) -> Sample:
        if index in self.lost:
            raise SkippedSampleError(f"{index}.png is cut off")
        return super().__getitem__(index)


def test_another_sample_stands_in_whatever_the_number_of_workers() -> None:
    batches, whole = load(Damaged(), stop=5), load(Farm(), stop=5)
    assert same(batches, load(Damaged(), stop=5, workers=2))
    assert same(batches[2:], load(Damaged(), start=2, stop=5))
    differing = [n for n, (a, b) in enumerate(zip(batches, whole, strict=True)) if not same([a], [b])]
    assert len(differing) == 1, "only the batch with the damaged sample has changed"


def test_the_order_in_which_others_are_tried_depends_on_the_draw_alone() -> None:
    tried = list(candidates(3, 10, seed=5, epoch=0, source=0))
    assert tried[0] == 3 and sorted(tried) == list(range(10))
    assert tried == list(candidates(3, 10, seed=5, epoch=0, source=0))
    assert tried != list(candidates(3, 10, seed=5, epoch=1, source=0))


def test_skipped_samples_are_listed_once_with_their_reasons(caplog: pytest.LogCaptureFixture) -> None:
    skipped = SkippedSamples(total=10)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            skipped.add(Skipped("farm/train", 3, "3.png is cut off"))
        skipped.report()
    assert caplog.messages[-1].splitlines() == [
        "1 of 10 samples were skipped (1 of farm/train):",
        "  sample 3 of farm/train: 3.png is cut off",
    ]


def test_a_long_list_has_a_line_per_sample(caplog: pytest.LogCaptureFixture) -> None:
    skipped = SkippedSamples(total=100)
    for number in range(12):
        skipped.add(Skipped("coco/train" if number < 9 else "kitti/train", number, "cut off"))
    skipped.report()
    first, *lines = caplog.messages[-1].splitlines()
    assert first == "12 of 100 samples were skipped (9 of coco/train, 3 of kitti/train):"
    assert lines[9:] == ["  sample 9 of kitti/train: cut off", " and 2 more"]


def test_a_run_ends_when_more_samples_are_lost_than_its_limit() -> None:
    assert load(Damaged(lost=(1, 2, 3, 4, 5)), stop=5)
    with pytest.raises(InputError, match=r"6 of 10 samples cannot be used, more than the limit of 50%.*is cut off"):
        load(Damaged(lost=(1, 2, 3, 4, 5, 6)), stop=5)


def test_a_data_set_without_a_usable_sample() -> None:
    with pytest.raises(InputError, match="cannot be used"):
        load(Damaged(count=2, lost=(0, 1)), stop=1)


def test_other_readers_leave_them_out() -> None:
    skipped = SkippedSamples(total=10)
    assert len(list(usable(Damaged(), skipped))) == 9 and list(skipped.samples) == [("the data set", 3)]
    assert len(list(spread_scenes(Damaged(), 10))) == 9


@dataclass(frozen=True)
class Broken(Farm):
    """A farm whose code fails at one image."""

    error: type[Exception] = InputError

    def __getitem__(self, index: int) -> Sample:
        if index == 3:
            raise self.error("3.png is cut off")
        return super().__getitem__(index)


@pytest.mark.parametrize("error", [InputError, OSError, KeyError])
def test_whatever_reading_a_sample_raises_ends_no_run(error: type[Exception]) -> None:
    assert same(load(Broken(error=error), stop=5), load(Damaged(), stop=5))
    skipped = SkippedSamples(total=10)
    assert len(list(usable(Broken(error=error), skipped))) == 9
    assert "3.png is cut off" in skipped.samples["the data set", 3].reason


def test_strict_runs_end_at_the_first_such_sample() -> None:
    with pytest.raises(InputError, match=r"3\.png is cut off"):
        load(Broken(), stop=5, strict=True)
    with pytest.raises(InputError, match=r"3\.png is cut off"):
        list(usable(Broken(), SkippedSamples(total=10), strict=True))


def test_a_plugin_that_would_end_the_program_is_named() -> None:
    with pytest.raises(PluginError, match="SystemExit"):
        load(Broken(error=SystemExit), stop=5)  # type: ignore[arg-type]
