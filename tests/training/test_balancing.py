"""Weights of losses: defaults, replacements and factors of whole tasks."""

import pytest
import torch

from scenekit.errors import InputError
from scenekit.hooks import BalancerSpec, Origin, registry
from scenekit.training.balancers import static
from scenekit.training.balancing import LossWeights, by_task, make_balancer, total, weighted_sum


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


def test_weights_of_unknown_losses_are_refused_once_the_task_has_losses():
    weights = LossWeights({"masks.edge": 2.0}, {"masks.maks": 9.0})
    assert weights.check_losses(["masks.maks"], ["semantic.pixel", "masks.unlabelled"]) == {"masks.maks"}
    with pytest.raises(InputError, match=r"has no loss 'masks\.maks'; did you mean 'masks\.mask'"):
        weights.check_losses(["masks.maks"], ["semantic.pixel", "masks.mask"])
    names = ["masks.mask", "masks.edge", "depth.l1"]  # of which `edge` is declared, but not a part of every step
    assert weights.check_losses(names, ["masks.mask"]) == {"depth.l1"}


def test_unknown_balancer():
    with pytest.raises(InputError, match="unknown balancer 'statik'; did you mean 'static'"):
        make_balancer("statik", {})
    with pytest.raises(InputError, match="balancer 'static' has no option 'temperature'"):
        make_balancer("static", {"temperature": 2})


def test_a_fault_inside_a_balancer_is_not_taken_for_wrong_options(monkeypatch):
    def broken(rate: float) -> None:
        raise TypeError("a fault of its own")

    spec = BalancerSpec("broken", "fails", broken)
    monkeypatch.setitem(registry().records["balancer"], "broken", [(spec, Origin("broken", "tests", "0"))])
    with pytest.raises(InputError, match="balancer 'broken' needs the option 'rate'"):
        make_balancer("broken", {})
    with pytest.raises(TypeError, match="a fault of its own"):
        make_balancer("broken", {"rate": 2.0})


def test_tasks_without_labels_have_no_loss_but_take_part():
    losses = {"a.x": torch.tensor(2.0), "a.y": torch.tensor(1.0), "b.unlabelled": torch.tensor(0.0)}
    assert {task: loss.item() for task, loss in by_task(losses).items()} == {"a": 3.0}
    leaf = torch.zeros((), requires_grad=True)
    assert weighted_sum({"a.x": torch.tensor(2.0), "b.unlabelled": leaf}, {"a": 0.5}).requires_grad
    assert weighted_sum(losses, {"a": 0.5}).item() == 1.5
