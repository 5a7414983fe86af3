"""The learning rate over a run, at points worked by hand."""

import pytest

from scenekit.recipe import TrainConfig
from scenekit.training.schedules import lr_factor


def rates(**values):
    config = TrainConfig(**{"steps": 90, "warmup": 10, **values})
    return [lr_factor(config, step) for step in range(config.steps)]


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "constant"])
def test_warm_up_rises_to_the_peak(schedule):
    first = rates(schedule=schedule)[:11]
    assert first[0] == pytest.approx(0.04) and first[10] == pytest.approx(1.0)
    assert first == sorted(first)


def test_linear_warm_up():
    assert rates(schedule="cosine")[5] == pytest.approx(0.04 + 0.96 / 2)


def test_cosine_falls_to_nothing():
    values = rates(schedule="cosine")
    assert values[50] == pytest.approx(0.5) and values[-1] == pytest.approx(0.0, abs=1e-3)
    assert values[10:] == sorted(values[10:], reverse=True)


def test_one_cycle_ends_just_above_nothing():
    config = TrainConfig(steps=90, warmup=10)
    assert lr_factor(config, 50) == pytest.approx(0.5, abs=1e-3)
    assert lr_factor(config, 90) == pytest.approx(1e-4)


def test_step_falls_tenfold_twice():
    values = rates(schedule="step")
    assert values[10:60] == pytest.approx([1.0] * 50)
    assert values[60:80] == pytest.approx([0.1] * 20)
    assert values[80:] == pytest.approx([0.01] * 10)


def test_constant():
    assert rates(schedule="constant", warmup=0) == [1.0] * 90


def test_warm_up_longer_than_the_run():
    assert max(rates(warmup=1000)) < 1.0
