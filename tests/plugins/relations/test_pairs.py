"""Pairs and their geometry against loops over single pairs."""

from __future__ import annotations

import math

import pytest
import torch

from scenekit.structures import Boxes3D, Regions
from scenekit_plugins.relations.geometry import (
    BOX_NUMBERS,
    PAIR_NUMBERS,
    SOLID_PAIR_NUMBERS,
    box_numbers,
    pair_numbers,
    pair_rasters,
    solid_numbers,
    solid_pair_numbers,
    unions,
)
from scenekit_plugins.relations.pairs import all_pairs, best_of_group, place_in_group


def test_all_ordered_pairs_within_images() -> None:
    image = torch.tensor([0, 1, 0, 2, 1])
    wanted = [[0, 2], [1, 4], [2, 0], [4, 1]]
    assert all_pairs(image).tolist() == wanted
    assert all_pairs(torch.zeros(0, dtype=torch.int64)).shape == (0, 2)


def test_best_of_each_group_as_by_sorting_each_alone() -> None:
    group = torch.randint(4, (60,))
    score = torch.randint(8, (60,)).float()  # with ties
    wanted = []
    for number in range(4):
        rows = [row for row in range(60) if int(group[row]) == number]
        wanted += sorted(rows, key=lambda row: -float(score[row]))[:5]
    assert best_of_group(score, group, 5).tolist() == wanted


def test_places_within_groups() -> None:
    assert place_in_group(torch.tensor([2, 0, 2, 2, 0])).tolist() == [0, 0, 1, 2, 1]
    assert place_in_group(torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_both_orders_share_the_box_around_them() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [2.0, 2, 8, 6], [10.0, 0, 12, 2], [0.0, 0, 1, 1]])
    regions = Regions(boxes, torch.tensor([0, 0, 0, 1]))
    pairs = torch.tensor([[0, 1], [2, 0], [1, 0], [0, 2]])
    around, rows = unions(regions, pairs)
    assert len(around) == 2 and rows[0] == rows[2] and rows[1] == rows[3]
    assert around.boxes[rows[0]].tolist() == [0, 0, 8, 6] and around.boxes[rows[1]].tolist() == [0, 0, 12, 4]
    nothing, none = unions(regions.subset(torch.zeros(0, dtype=torch.int64)), torch.zeros((0, 2), dtype=torch.int64))
    assert len(nothing) == len(none) == 0


def test_rasters_hold_the_share_of_each_cell() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 8], [5.0, 0, 8, 4]])
    raster = pair_rasters(boxes, torch.tensor([[0, 1], [1, 0]]), 4)  # cells of 2 x 2 pixels of the box 0 0 8 8
    assert raster[0, 0].tolist() == [[1, 1, 0, 0]] * 4
    assert raster[0, 1].tolist() == [[0, 0, 0.5, 1]] * 2 + [[0, 0, 0, 0]] * 2
    assert torch.equal(raster[1], raster[0].flip(0))


def test_numbers_do_not_depend_on_the_size_of_the_image() -> None:
    boxes = torch.tensor([[1.0, 2, 5, 8], [4.0, 4, 9, 6], [0.0, 0, 2, 2]])
    pairs, image = torch.tensor([[0, 1], [2, 0]]), torch.zeros(3, dtype=torch.int64)
    small, large = Regions(boxes, image), Regions(3 * boxes, image)
    torch.testing.assert_close(pair_numbers(small, pairs, [(10, 20)]), pair_numbers(large, pairs, [(30, 60)]))
    torch.testing.assert_close(box_numbers(small, [(10, 20)]), box_numbers(large, [(30, 60)]))
    assert pair_numbers(small, pairs, [(10, 20)]).shape == (2, PAIR_NUMBERS)
    assert box_numbers(small, [(10, 20)]).shape == (3, BOX_NUMBERS)


def test_overlaps_among_the_numbers() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [2.0, 0, 4, 2]])
    numbers = pair_numbers(Regions(boxes, torch.zeros(2, dtype=torch.int64)), torch.tensor([[0, 1]]), [(4, 4)])[0]
    torch.testing.assert_close(numbers[12:15], torch.tensor([0.25, 1.0, 0.25]))
    torch.testing.assert_close(numbers[4:6], torch.tensor([0.25, -0.25]))  # to the right and up, in shares


def test_degenerate_boxes_give_finite_numbers() -> None:
    regions = Regions(torch.tensor([[3.0, 3, 3, 3], [0.0, 0, 10, 10]]), torch.zeros(2, dtype=torch.int64))
    assert bool(pair_numbers(regions, torch.tensor([[0, 1], [1, 0]]), [(10, 10)]).isfinite().all())


def test_without_3d_boxes_there_are_zeros() -> None:
    like = torch.zeros(1)
    assert not solid_numbers(None, 3, like).any()
    boxes = Boxes3D(torch.tensor([[1.0, 2, 4], [torch.nan] * 3]), torch.ones(2, 3), torch.eye(3).repeat(2, 1, 1))
    numbers = solid_numbers(boxes, 2, like)
    torch.testing.assert_close(numbers[0], torch.tensor([1.0, 2, 4, math.log(4), 0, 0, 0, 1]))
    assert not numbers[1].any()  # nor are they said to be there
    pairs = torch.tensor([[0, 1], [1, 0]])
    for given in (None, boxes):
        assert not solid_pair_numbers(given, pairs, like).any()


def test_numbers_of_pairs_in_space_by_hand() -> None:
    """Cubes of 1 m: the second stands 3 m to the right of the first and 4 m behind it."""
    centers = torch.tensor([[-1.0, 0, 5], [2.0, 0, 9]])
    boxes = Boxes3D(centers, torch.ones(2, 3), torch.eye(3).repeat(2, 1, 1))
    there, back = solid_pair_numbers(boxes, torch.tensor([[0, 1], [1, 0]]), torch.zeros(1, dtype=torch.float64))
    wanted = [*torch.tensor([3.0, 0, 4, 2, -1, 3, 5]).asinh().tolist(), 0.6, 0.8, math.log(3 / 4), 1]
    assert len(there) == SOLID_PAIR_NUMBERS and there.tolist() == pytest.approx(wanted)
    odd = torch.tensor([0, 1, 2, 7, 8])
    torch.testing.assert_close(back, there.index_copy(0, odd, -there[odd]))
