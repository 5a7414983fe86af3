"""k-means of base boxes against cases worked by hand."""

from __future__ import annotations

import pytest
import torch

from scenekit.detection import kmeans_priors
from scenekit.detection.one_stage.priors import check_priors, shape_iou
from scenekit.errors import InputError


def test_iou_of_boxes_that_share_their_center() -> None:
    sizes, priors = torch.tensor([[4.0, 2.0]]), torch.tensor([[2.0, 4.0], [4.0, 2.0], [8.0, 4.0]])
    assert shape_iou(sizes, priors).tolist() == [pytest.approx([4 / 12, 1.0, 0.25])]


def test_two_clusters_have_their_means() -> None:
    sizes = torch.tensor([[10.0, 10], [40, 20], [12, 12], [44, 24], [11, 11]])
    assert kmeans_priors(sizes, 2).tolist() == [[11.0, 11.0], [42.0, 22.0]]


def test_it_improves_on_its_start() -> None:
    torch.manual_seed(0)
    sizes = torch.rand(500, 2) * 90 + 10
    by_area = sizes[sizes.prod(dim=1).argsort()]
    start = by_area[((torch.arange(5) + 0.5) * 100).long()]
    fitted = kmeans_priors(sizes, 5)
    assert shape_iou(sizes, fitted).amax(dim=1).mean() > shape_iou(sizes, start).amax(dim=1).mean() + 0.01
    assert torch.equal(fitted, kmeans_priors(sizes, 5)) and bool((fitted.prod(dim=1).diff() > 0).all())


def test_too_few_boxes() -> None:
    with pytest.raises(InputError, match="1 ground-truth boxes for 2 priors"):
        kmeans_priors(torch.tensor([[3.0, 3.0], [0.0, 4.0]]), 2)


def test_nothing_to_check_without_boxes() -> None:
    check_priors(torch.tensor([[3.0, 3.0]]), torch.zeros(0, 2))
