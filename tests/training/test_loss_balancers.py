"""Balancers of losses, against two tasks worked out by hand."""

import math

import pytest
import torch

from scenekit.errors import InputError
from scenekit.training.balancing import make_balancer


def started(name, **options):
    balancer = make_balancer(name, options)
    balancer.start(["a", "b"])
    return balancer


def losses(a=None, b=None):
    """Losses of two tasks; one without labels contributes the zero of its head."""
    values = {"a": a, "b": b}
    return {
        f"{task}.unlabelled" if value is None else f"{task}.x": torch.tensor(value or 0.0, requires_grad=True)
        for task, value in values.items()
    }


def weights(balancer, **values):
    """The gradient of the balanced loss with respect to each loss."""
    found = losses(**values)
    balancer(found).backward()
    return [loss.grad.item() for loss in found.values()]


def test_uncertainty_starts_as_the_sum_and_learns_inverse_losses():
    balancer = started("uncertainty")
    assert balancer(losses(2.0, 0.5)).item() == 2.5
    assert weights(balancer, a=2.0, b=0.5) == [1.0, 1.0]
    assert balancer.log_variance.grad.tolist() == [1 - 2.0, 1 - 0.5]  # of exp(-s) L + s at 0
    balancer.log_variance.data = torch.tensor([2.0, 0.5]).log()  # where the gradient is 0
    assert weights(balancer, a=2.0, b=0.5) == pytest.approx([0.5, 2.0])


def test_uncertainty_of_a_task_without_labels_stays():
    balancer = started("uncertainty")
    assert balancer(losses(2.0)).item() == 2.0
    balancer(losses(2.0)).backward()
    assert balancer.log_variance.grad.tolist() == [-1.0, 0.0]


def test_uncertainty_does_not_grow_on_a_loss_below_0():
    balancer = started("uncertainty")
    balancer.log_variance.data = torch.tensor([0.5, 0.0])
    assert balancer(losses(-1.0, 2.0)).item() == pytest.approx(-math.exp(-0.5) + 0.5 + 2.0)
    assert weights(balancer, a=-1.0, b=2.0) == [pytest.approx(math.exp(-0.5)), 1.0]
    assert balancer.log_variance.grad.tolist() == [0.0, 1 - 2.0]  # exp(-s) L + s has no minimum for L < 0


def test_dwa_favors_the_loss_that_fell_less():
    balancer = started("dwa", temperature=2.0, window=1)
    assert weights(balancer, a=4.0, b=1.0) == weights(balancer, a=2.0, b=1.0) == [1.0, 1.0]
    slow, fast = math.exp(1 / 2), math.exp(0.5 / 2)  # the last two windows: 4 to 2, and 1 to 1
    assert weights(balancer, a=2.0, b=1.0) == pytest.approx([2 * fast / (fast + slow), 2 * slow / (fast + slow)])


def test_dwa_compares_means_of_windows_and_shares_among_those_with_labels():
    balancer = started("dwa", temperature=1.0, window=2)
    for a, b in ((3.0, 2.0), (5.0, None), (1.0, 2.0), (3.0, 2.0)):  # means 4 and 2 of a, 2 and 2 of b
        balancer(losses(a, b))
    assert balancer.weights(["a"]) == {"a": 1.0}
    slow, fast = math.exp(1.0), math.exp(0.5)
    assert balancer.weights(["a", "b"])["b"] == pytest.approx(2 * slow / (fast + slow))


def test_dwa_has_no_ratio_of_losses_that_are_not_above_0():
    balancer = started("dwa", window=1)
    for a in (0.1, -0.2, -0.9):
        balancer(losses(a, 1.0))
        assert balancer.weights(["a", "b"]) == {"a": 1.0, "b": 1.0}


def test_famo_weights_by_the_inverse_loss_and_then_by_what_a_step_changed():
    balancer = started("famo", lr=0.1, decay=0.0)
    assert weights(balancer, a=2.0, b=0.5) == pytest.approx([0.4, 1.6])  # 1/2 : 1/(1/2), with the mean 1
    balancer.after_step(lambda: losses(1.0, 0.5))  # a halved, b stayed
    assert balancer.logits.tolist() == pytest.approx([-0.1, 0.1], abs=1e-5)  # Adam's first step is lr
    assert weights(balancer, b=3.0) == [0.0, pytest.approx(1.0)]


def test_famo_keeps_the_state_of_its_optimizer():
    first, second = started("famo"), started("famo")
    for balancer in (first, second):
        balancer(losses(2.0, 0.5))
        balancer.after_step(lambda: losses(1.0, 0.5))
    third = started("famo")
    third.load_state_dict(first.state_dict())
    for balancer in (second, third):
        balancer(losses(1.0, 0.5))
        balancer.after_step(lambda: losses(0.9, 0.2))
    assert torch.equal(second.logits, third.logits)


def test_a_loss_of_0_is_none_for_famo():
    """Such as that of a map without annotated pixels."""
    balancer = started("famo")
    found = {"a.x": torch.tensor(0.0, requires_grad=True), "b.x": torch.tensor(3.0, requires_grad=True)}
    balancer(found).backward()
    assert [loss.grad.item() for loss in found.values()] == [0.0, pytest.approx(1.0)]
    balancer.after_step(lambda: found)
    assert balancer.logits.isfinite().all()


def test_famo_refuses_losses_whose_logarithm_does_not_exist():
    with pytest.raises(InputError, match="'famo' needs losses above 0, but that of b is -1"):
        started("famo")(losses(2.0, -1.0))


def test_invalid_options_are_named():
    with pytest.raises(InputError, match="temperature"):
        make_balancer("dwa", {"temperature": 0})
    with pytest.raises(InputError, match="window"):
        make_balancer("dwa", {"window": 0})
