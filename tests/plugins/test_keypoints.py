"""Keypoint head: cells, loss and decoding against torchvision, formulas and hand-worked cases."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints, keypoints_to_heatmap

from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, OBJECTS
from scenekit.model.head import Core
from scenekit.scene import Objects, Scene
from scenekit.structures import Geometry, Keypoints, Vocabulary
from scenekit_plugins.keypoints import KeypointConfig, KeypointHead, gaussians, heatmap_cells
from tests.plugins.kit import CORE, PERSON, SKELETON, VOCABULARY, board, finite_gradients, pyramid, regions, targets

K = len(SKELETON.points)
SIDE = 28


def head(**options: Any) -> KeypointHead:
    return KeypointHead(CORE, KeypointConfig(channels=8, convs=2, pooled=7, **options))


def random_boxes(count: int) -> Tensor:
    corner = torch.rand(count, 2) * 30
    return torch.cat((corner, corner + 2 + torch.rand(count, 2) * 30), dim=1)


def test_cells_are_those_of_torchvision() -> None:
    boxes = random_boxes(40)
    boxes[:20] = boxes[:20].round()
    xy, visibility = torch.rand(40, K, 2) * 70, torch.randint(3, (40, K))
    xy[:10, 0] = boxes[:10, :2]
    xy[:20, 1] = boxes[:20, 2:]
    cells, inside = heatmap_cells(Keypoints(xy, visibility), boxes, SIDE, hidden=True)
    expected, valid = keypoints_to_heatmap(torch.cat((xy, visibility[..., None].float()), dim=-1), boxes, SIDE)
    assert torch.equal(inside.long(), valid) and 0 < inside.sum() < inside.numel()
    assert torch.equal(cells[inside], expected[inside])


def test_cells_by_hand() -> None:
    """A box of 14 x 28 pixels at (10, 20): cells of half a pixel by one pixel."""
    points = Keypoints(torch.tensor([[[10.0, 20.0], [13.2, 21.9], [24.0, 48.0]]]), torch.tensor([[2, 1, 2]]))
    cells, inside = heatmap_cells(points, torch.tensor([[10.0, 20.0, 24.0, 48.0]]), SIDE, hidden=True)
    assert cells.tolist() == [[0, 1 * SIDE + 6, SIDE * SIDE - 1]] and inside.all()
    _, visible = heatmap_cells(points, torch.tensor([[10.0, 20.0, 24.0, 48.0]]), SIDE, hidden=False)
    assert visible.tolist() == [[True, False, True]]


def test_unlabelled_points_may_be_anywhere() -> None:
    points = Keypoints(torch.full((1, K, 2), torch.nan), torch.zeros(1, K, dtype=torch.int64))
    cells, inside = heatmap_cells(points, torch.tensor([[0.0, 0.0, 5.0, 5.0]]), SIDE, hidden=True)
    assert not inside.any() and ((cells >= 0) & (cells < SIDE * SIDE)).all()


def test_loss_is_cross_entropy_over_the_cells_of_labelled_points_inside() -> None:
    objects = regions([[0, 0, 28, 28], [0, 0, 14, 14]], [PERSON, PERSON], matched=[1, 0])
    truth = Keypoints(
        torch.tensor([[[3.5, 7.0], [5.0, 5.0], [30.0, 2.0]], [[1.5, 2.5], [9.0, 9.0], [27.0, 0.0]]]),
        torch.tensor([[2, 0, 2], [2, 1, 0]]),
    )
    logits = torch.randn(2, K, SIDE, SIDE)
    loss = head().loss(logits, board(pyramid(64, 64), objects), targets({KEYPOINTS: truth}, objects))
    log_p = logits.flatten(2).log_softmax(-1).unflatten(2, (SIDE, SIDE))
    # Region 0 is one pixel a cell and has the second row; region 1 half a pixel a cell, its third point lies outside.
    expected = [log_p[0, 0, 2, 1], log_p[0, 1, 9, 9], log_p[1, 0, 14, 7]]
    torch.testing.assert_close(loss["keypoint"], -torch.stack(expected).mean())


def test_gaussian_targets() -> None:
    """Around cell (2, 1) of a map of 5 x 5: exp(-d^2 / 2) of the distance in cells, normalized over the map."""
    (target,) = gaussians(torch.tensor([2 * 5 + 1]), 5, sigma=1.0).unflatten(1, (5, 5))
    expected = torch.tensor([[math.exp(-((y - 2) ** 2 + (x - 1) ** 2) / 2) for x in range(5)] for y in range(5)])
    torch.testing.assert_close(target, expected / expected.sum())


def test_loss_with_gaussian_targets_is_least_where_the_map_is_the_gaussian() -> None:
    objects = regions([[0, 0, 28, 28]], [PERSON])
    truth = Keypoints(torch.tensor([[[3.5, 7.0], [5.0, 5.0], [20.0, 2.0]]]), torch.tensor([[2, 2, 2]]))
    view, found = board(pyramid(64, 64), objects), targets({KEYPOINTS: truth}, objects)
    cells, _ = heatmap_cells(truth, objects.boxes, SIDE, hidden=True)
    best = gaussians(cells[0], SIDE, 2.0).clamp(min=1e-30)
    least = head(sigma=2.0).loss(best.log().view(1, K, SIDE, SIDE), view, found)["keypoint"]
    torch.testing.assert_close(least, -(best * best.log()).sum(dim=1).mean())
    assert head(sigma=2.0).loss(torch.randn(1, K, SIDE, SIDE), view, found)["keypoint"] > least


def test_no_labelled_point_gives_zero_and_no_gradient() -> None:
    ours, objects = head(), regions([[4, 4, 40, 30]], [PERSON])
    view = board(pyramid(64, 64), objects)
    truth = Keypoints(torch.zeros(1, K, 2), torch.zeros(1, K, dtype=torch.int64))
    loss = ours.loss(ours(view), view, targets({KEYPOINTS: truth}, objects))["keypoint"]
    assert loss == 0 and finite_gradients(loss, ours)


def test_network_learns_and_stands_no_regions() -> None:
    ours, objects = head(), regions([[4, 4, 40, 30], [10, 20, 30, 60]], [PERSON, PERSON])
    view = board(pyramid(64, 64), objects)
    raw = ours(view)
    assert raw.shape == (2, K, SIDE, SIDE)
    truth = Keypoints(torch.full((2, K, 2), 25.0), torch.full((2, K), 2))
    assert finite_gradients(ours.loss(raw, view, targets({KEYPOINTS: truth}, objects))["keypoint"], ours)
    nothing = board(pyramid(64, 64), regions([], []))
    decoded = ours.decode(ours(nothing), nothing)
    assert len(decoded) == 0 and decoded.xy.shape == (0, K, 2)


def test_decoding_is_that_of_torchvision() -> None:
    objects = regions(random_boxes(5).tolist(), [PERSON] * 5)
    logits = torch.randn(5, K, SIDE, SIDE)
    decoded = head().decode(logits, board(pyramid(64, 64), objects))
    expected, _ = heatmaps_to_keypoints(logits, objects.boxes)
    torch.testing.assert_close(decoded.xy, expected[..., :2])
    assert (decoded.visibility == 2).all()


def test_planted_peak_comes_out_at_its_pixel() -> None:
    """A box of one pixel a cell at (10, 16): cell (row 5, column 8) is pixel (18, 21), its centre (18.5, 21.5)."""
    ours, objects = head(), regions([[10, 16, 38, 44]], [PERSON])
    logits = torch.zeros(1, K, SIDE, SIDE)
    for point in range(K):
        logits[0, point, 5 + point, 8 + 2 * point] = 12.0
    decoded = ours.decode(logits, board(pyramid(64, 64), objects))
    expected = torch.tensor([[[18.5 + 2 * point, 21.5 + point] for point in range(K)]])
    torch.testing.assert_close(decoded.xy, expected)
    share = torch.tensor(12.0).exp() / (torch.tensor(12.0).exp() + SIDE * SIDE - 1)
    assert decoded.scores is not None
    torch.testing.assert_close(decoded.scores, share.expand(1, K))
    # An image three times as large.
    geometry = Geometry.resize((64, 64), (192, 192))
    ours.provides = (KEYPOINTS,)
    scene = Scene((192, 192), VOCABULARY, {OBJECTS: Objects(geometry.boxes(objects.boxes), torch.tensor([PERSON]))})
    torch.testing.assert_close(ours.finish(decoded, scene, geometry).xy, expected * 3)


def test_learned_cell_and_decoded_point_agree() -> None:
    """Where a map falls off smoothly around the cell that the loss asks for, decoding gives the point back."""
    corner, sides = torch.rand(8, 2) * 30, 14 + torch.rand(8, 2) * 40
    boxes = torch.cat((corner, corner + sides), dim=1)
    xy = corner[:, None] + torch.rand(8, K, 2) * sides[:, None]
    cells, inside = heatmap_cells(Keypoints(xy, torch.full((8, K), 2)), boxes, SIDE, hidden=True)
    at = torch.stack((cells % SIDE, cells // SIDE), dim=-1)[:, :, None, None]
    grid = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="xy"), dim=-1)
    logits = -(grid - at).square().sum(-1) / 8.0
    decoded = head().decode(logits, board(pyramid(64, 64), regions(boxes.tolist(), [PERSON] * 8)))
    # Half a cell, half a pixel, and what interpolation between cells moves the peak.
    assert inside.all() and ((decoded.xy - xy).abs() <= 0.5 + sides[:, None] / SIDE).all()


def test_a_vocabulary_without_skeleton_is_refused() -> None:
    with pytest.raises(InputError, match="needs a vocabulary in which a thing has a skeleton"):
        KeypointHead(Core(8, (4, 8), Vocabulary(("cup",))), KeypointConfig())
