"""Seconds of steps, by the clock."""

import time

import pytest
import torch

from scenekit.model.timing import StepTimer


def test_steps_are_timed_in_order() -> None:
    timer = StepTimer(torch.device("cpu"))
    for name, seconds in (("short", 0.01), ("long", 0.03)):
        with timer.step(name):
            time.sleep(seconds)
    assert list(timer.seconds) == ["short", "long"]
    assert 0.01 <= timer.seconds["short"] < timer.seconds["long"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_work_that_a_gpu_has_only_queued_is_counted() -> None:
    device = torch.device("cuda")
    timer = StepTimer(device)
    with timer.step("wait"):
        torch.cuda._sleep(100_000_000)  # type: ignore[no-untyped-call]  # some tens of milliseconds, queued in microseconds
    assert timer.seconds["wait"] > 0.005
