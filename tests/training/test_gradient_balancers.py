"""Balancers of gradients, against two conflicting gradients worked out by hand: (1, 0) and (-1, 1)."""

import sys

import pytest
import torch
from torch import nn

from scenekit.errors import InputError
from scenekit.training.balancing import make_balancer
from scenekit.training.gradients import TrunkGradients

CONFLICT = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
ORTHOGONAL = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
ROOT = 2**0.5

needs_torchjd = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('torchjd')", reason="torchjd")


def combined(name, rows, losses=(1.0, 1.0), **options):
    """The balancer's weights of the two gradients, and their sum."""
    balancer = make_balancer(name, options)
    balancer.start(["a", "b"])
    weights = balancer.weigh(rows @ rows.T, torch.tensor(losses), ["a", "b"])
    return weights.tolist(), (weights @ rows).tolist()


@needs_torchjd
@pytest.mark.parametrize("name", ["pcgrad", "upgrad"])
def test_conflicting_parts_are_removed(name):
    # (1, 0) becomes (1/2, 1/2) and (-1, 1) becomes (0, 1); with two tasks both methods agree.
    weights, direction = combined(name, CONFLICT)
    assert weights == pytest.approx([2.0, 1.5], abs=1e-4) and direction == pytest.approx([0.5, 1.5], abs=1e-4)
    assert combined(name, ORTHOGONAL)[0] == pytest.approx([1.0, 1.0], abs=1e-4)  # the sum, without a conflict


@needs_torchjd
def test_upgrad_of_equal_and_opposite_gradients_stands_still():
    assert combined("upgrad", torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))[1] == pytest.approx([0.0, 0.0], abs=1e-5)


@needs_torchjd
def test_upgrad_of_three_hurts_no_task():
    rows = torch.tensor([[1.0, 0.2, 0.0], [-1.0, 1.0, 0.3], [0.1, -1.0, 1.0]])
    balancer = make_balancer("upgrad", {})
    weights = balancer.weigh(rows @ rows.T, torch.ones(3), ["a", "b", "c"])
    assert (rows @ (weights @ rows)).min() >= -1e-5


@needs_torchjd
def test_imtl_has_equal_projections():
    weights, direction = combined("imtl", CONFLICT)
    expected = [2 * (2 + ROOT) / (3 + 2 * ROOT), 2 * (1 + ROOT) / (3 + 2 * ROOT)]
    assert weights == pytest.approx(expected, abs=1e-4)
    first, second = (float(torch.tensor(direction) @ row / row.norm()) for row in CONFLICT)
    assert first == pytest.approx(second, abs=1e-4)


@needs_torchjd
def test_mgda_is_the_point_of_the_segment_nearest_to_zero():
    weights, direction = combined("mgda", CONFLICT)
    assert weights == pytest.approx([1.2, 0.8], abs=1e-2) and direction == pytest.approx([0.4, 0.8], abs=2e-2)


@needs_torchjd
def test_aligned_mtl_gives_one_norm():
    assert combined("aligned_mtl", ORTHOGONAL)[1] == pytest.approx([1.0, 1.0], abs=1e-4)


@needs_torchjd
def test_cagrad_is_the_sum_without_a_radius_and_helps_the_worst_with_one():
    pytest.importorskip("cvxpy")
    assert combined("cagrad", CONFLICT, c=0.0)[0] == pytest.approx([1.0, 1.0], abs=1e-3)
    direction = torch.tensor(combined("cagrad", CONFLICT, c=0.9)[1])
    plain = CONFLICT.sum(0)
    assert (CONFLICT @ direction).min() > (CONFLICT @ plain).min()


def test_gradnorm_moves_weights_towards_equal_norms():
    balancer = make_balancer("gradnorm", {"alpha": 0.0, "lr": 0.1})
    balancer.start(["a", "b"])
    gramian = torch.diag(torch.tensor([1.0, 9.0]))  # norms 1 and 3, mean 2
    weights = balancer.weigh(gramian, torch.tensor([1.0, 1.0]), ["a", "b"])
    a, b = 1 + 0.1 * 1 / 2, 1 - 0.1 * 3 / 2
    assert weights.tolist() == pytest.approx([2 * a / (a + b), 2 * b / (a + b)])
    for _ in range(200):
        weights = balancer.weigh(gramian, torch.tensor([1.0, 1.0]), ["a", "b"])
    assert weights.tolist() == pytest.approx([1.5, 0.5], abs=0.15)


def test_gradnorm_favors_the_task_that_has_fallen_less():
    balancer = make_balancer("gradnorm", {"alpha": 1.0})
    balancer.start(["a", "b"])
    gramian = torch.eye(2)
    balancer.weigh(gramian, torch.tensor([4.0, 1.0]), ["a", "b"])
    a, b = balancer.weigh(gramian, torch.tensor([1.0, 1.0]), ["a", "b"]).tolist()
    assert a < 1 < b


def test_gradnorm_of_a_batch_with_one_task_keeps_what_was_learned():
    balancer = make_balancer("gradnorm", {})
    balancer.start(["a", "b"])
    balancer.weights = torch.tensor([1.6, 0.4])
    assert balancer.weigh(torch.ones(1, 1), torch.ones(1), ["b"]).tolist() == pytest.approx([0.4])
    assert balancer.weights.tolist() == pytest.approx([1.6, 0.4])


def test_gradnorm_takes_the_first_loss_above_0():
    balancer = make_balancer("gradnorm", {"alpha": 1.0})
    balancer.start(["a", "b"])
    for first in (0.0, 2.0):
        assert balancer.weigh(torch.eye(2), torch.tensor([first, 1.0]), ["a", "b"]).tolist() == [1.0, 1.0]
    assert balancer.first.tolist() == [2.0, 1.0]


def test_without_torchjd_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(InputError, match=r"'pcgrad' needs packages .*pip install 'scenekit\[train\]'"):
        make_balancer("pcgrad", {})


class Halves(nn.Module):
    """A trunk of two numbers, whose gradients are those of `CONFLICT`, and a head per task."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(2, 1, bias=False)
        self.heads = nn.ParameterList([nn.Parameter(torch.ones(())) for _ in range(2)])

    def losses(self):
        return {f"{task}.x": (self.trunk.weight @ CONFLICT[n])[0] * self.heads[n] for n, task in enumerate("ab")}


@needs_torchjd
def test_the_trunk_has_the_combined_gradient_and_heads_that_of_the_sum():
    net = Halves()
    balancer = make_balancer("pcgrad", {})
    balancer.start(["a", "b"])
    trunk = TrunkGradients(net.trunk, balancer, "no")
    for _ in range(2):  # two parts of one step
        losses = net.losses()
        trunk.add(losses, 0.5)
        (balancer(losses) / 2).backward()
    trunk.assign(losses, "seed")
    assert net.trunk.weight.grad.tolist() == [pytest.approx([0.5, 1.5])]
    for head, row in zip(net.heads, CONFLICT, strict=True):
        assert head.grad.item() == pytest.approx(float(net.trunk.weight[0].detach() @ row), rel=1e-5)
    assert trunk.rows == {}


@needs_torchjd
def test_a_task_without_gradient_is_none():
    net = Halves()
    balancer = make_balancer("mgda", {})  # which would stand still
    balancer.start(["a", "b"])
    trunk = TrunkGradients(net.trunk, balancer, "no")
    losses = {"a.x": net.losses()["a.x"], "b.unlabelled": 0 * net.heads[1]}
    trunk.add(losses, 1.0)
    balancer(losses).backward()
    trunk.assign(losses, "seed")
    assert net.trunk.weight.grad.tolist() == [[1.0, 0.0]]


def test_what_cannot_be_balanced_is_refused_before_the_run():
    balancer = make_balancer("gradnorm", {})
    with pytest.raises(InputError, match="nothing of the trunk is trained"):
        TrunkGradients(nn.Linear(2, 1).requires_grad_(False), balancer, "no")
    with pytest.raises(InputError, match="fp16"):
        TrunkGradients(nn.Linear(2, 1), balancer, "fp16")
