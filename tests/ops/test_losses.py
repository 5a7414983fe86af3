"""Losses that only learn from what is labelled."""

import torch
from torch.nn import functional as F

from scenekit.ops.losses import covered_cross_entropy, safe_mean


def test_safe_mean() -> None:
    assert float(safe_mean(torch.tensor([1.0, 2.0, 6.0]))) == 3
    assert float(safe_mean(torch.tensor([1.0, 2.0, 6.0]), count=18)) == 0.5
    nothing = torch.zeros(3, requires_grad=True)
    loss = safe_mean(nothing[:0])
    loss.backward()
    assert float(loss.detach()) == 0
    assert nothing.grad is not None and nothing.grad.tolist() == [0, 0, 0]


def test_with_full_coverage_it_is_plain_cross_entropy() -> None:
    logits, labels = torch.randn(50, 6), torch.randint(-1, 5, (50,))
    found = covered_cross_entropy(logits, labels, torch.ones(50, 5, dtype=torch.bool))
    expected = F.cross_entropy(logits, labels.where(labels >= 0, 5), reduction="none")
    torch.testing.assert_close(found, expected)


def test_by_hand() -> None:
    """Three classes and background, p = (1, 2, 3, 4) / 10; class 1 is not covered."""
    logits = torch.tensor([1.0, 2.0, 3.0, 4.0]).log().expand(3, 4)
    covered = torch.tensor([True, False, True]).expand(3, 3)
    found = covered_cross_entropy(logits, torch.tensor([0, 2, -1]), covered)
    torch.testing.assert_close(found, -torch.tensor([1 / 8, 3 / 8, 4 / 8]).log())


def test_uncovered_classes_get_exactly_no_gradient() -> None:
    logits = torch.randn(20, 6, requires_grad=True)
    covered = torch.tensor([True, False, True, False, True]).expand(20, 5)
    covered_cross_entropy(logits, torch.tensor([0, 2, 4, -1]).repeat(5), covered).sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[:, [1, 3]], torch.zeros(20, 2))
    assert bool((logits.grad[:, [0, 2, 4, 5]] != 0).all())


def test_background_without_covered_classes_teaches_nothing() -> None:
    """Else the class that no data set covers would become what all background is."""
    logits = torch.zeros(1, 4, requires_grad=True)
    covered_cross_entropy(logits, torch.tensor([-1]), torch.zeros(1, 3, dtype=torch.bool)).sum().backward()
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros(1, 4))


def test_gradient_is_right_for_any_coverage() -> None:
    logits = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    covered, labels = torch.rand(8, 4) > 0.5, torch.randint(-1, 4, (8,))
    assert torch.autograd.gradcheck(lambda x: covered_cross_entropy(x, labels, covered), (logits,))


def test_nothing_covered_and_an_uncovered_label_stay_finite() -> None:
    logits = (torch.randn(2, 4) * 100).requires_grad_()
    loss = covered_cross_entropy(logits, torch.tensor([-1, 1]), torch.zeros(2, 3, dtype=torch.bool))
    loss.sum().backward()
    assert float(loss[0].detach()) == 0
    assert logits.grad is not None and bool(logits.grad.isfinite().all())


def test_no_rows() -> None:
    assert covered_cross_entropy(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 3).bool()).shape == (0,)
