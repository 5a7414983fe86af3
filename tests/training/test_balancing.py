"""Weights of losses: defaults, replacements and factors of whole tasks."""

import pytest
import torch

from scenekit.errors import InputError
from scenekit.training.balancing import LossWeights, static, total
from scenekit.training.loop import make_balancer


def test_weights_by_loss_and_by_task():
    weights = LossWeights({"a.x": 2.0, "a.y": 3.0}, {"a.x": 5.0, "a": 10.0, "b": 0.5})
    losses = {name: torch.tensor(1.0) for name in ("a.x", "a.y", "a.z", "b.x", "c.x")}
    weighted = {name: value.item() for name, value in weights(losses).items()}
    assert weighted == {"a.x": 50.0, "a.y": 30.0, "a.z": 10.0, "b.x": 0.5, "c.x": 1.0}
    assert total(weights(losses)).item() == pytest.approx(91.5)


def test_the_default_is_the_sum():
    assert make_balancer("static", {})({"a.x": torch.tensor(2.0), "b.y": torch.tensor(3.0)}).item() == 5.0
    assert static() is total


def test_weights_of_nothing_are_refused():
    with pytest.raises(InputError, match="has no 'mask'; did you mean 'masks'"):
        LossWeights({}, {"mask.mask": 2.0}).check(["masks", "semantic"])


def test_unknown_balancer():
    with pytest.raises(InputError, match="unknown balancer 'statik'; did you mean 'static'"):
        make_balancer("statik", {})
    with pytest.raises(InputError, match="do not fit 'static'"):
        make_balancer("static", {"temperature": 2})
