"""Masks of COCO-style files as different programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.coco_masks import box_mask, flat_polygons, run_lengths, unpacked, with_area
from scenekit.io.records import Record


def record(**data: Any) -> Record:
    return Record(data, Path("a.json"), "annotation", 0)


@pytest.mark.parametrize(
    ("value", "flat", "rest"),
    [
        ([[1, 2, 3, 4]], 1, []),
        ([1, 2, 3, 4], 1, []),
        ([[], [1, 2], [0, 0, 4, 0, 4, 4]], 1, [[0, 0, 4, 0, 4, 4]]),
        ([0, 0, 4, 0, 4, 4], 0, [[0, 0, 4, 0, 4, 4]]),
        ([], 0, []),
        ([[1, 2, 3]], 0, [[1, 2, 3]]),
        ({"size": [2, 2], "counts": [4]}, 0, {"size": [2, 2], "counts": [4]}),
    ],
)
def test_polygons_without_area(value: Any, flat: int, rest: Any) -> None:
    assert flat_polygons(value) == flat
    assert with_area(value) == rest


def test_the_mask_of_a_box_is_within_the_image() -> None:
    """2 x 3 pixels are in the image; a box outside has none."""
    assert coco_mask.area(box_mask([-1, -2, 3, 5], (8, 10))) == 6
    assert coco_mask.toBbox(box_mask([-1, -2, 3, 5], (8, 10))).tolist() == [0, 0, 2, 3]
    assert coco_mask.area(box_mask([20, 0, 3, 5], (8, 10))) == 0


def test_a_mask_of_more_pixels_than_a_run_can_count() -> None:
    with pytest.raises(InputError, match="no mask has so many"):
        run_lengths(record(id=1, segmentation=[[0, 0, 4, 0, 4, 4]]), "segmentation", (2**17, 2**17))


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, 5, 1e7]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, True]],
        [[1, 2, 3, 4, 5, [6]]],
        "abc",
        {"size": [10, 8], "counts": [80]},
        {"size": [8], "counts": [80]},
        {"size": [8, 10], "counts": [79]},
        {"size": [8, 10], "counts": [90, -10]},
        {"size": [8, 10], "counts": "abc"},
        {"counts": "abc"},
    ],
)
def test_masks_that_cannot_be(segmentation: Any) -> None:
    with pytest.raises(InputError, match=r"annotation id 1: .*'segmentation'"):
        run_lengths(record(id=1, segmentation=segmentation), "segmentation", (8, 10))


def test_compressed_run_lengths_are_decoded_as_by_pycocotools() -> None:
    masks = np.random.default_rng(0).random((30, 20, 12)) > np.linspace(0.05, 0.95, 12)
    for mask in masks.transpose(2, 0, 1):
        counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.flatten(order="F"), [2]))))
        assert unpacked(counts) == np.diff(np.concatenate(([0], edges))).tolist()
    assert unpacked("") == unpacked("~") == unpacked("o" * 50) == unpacked("\u00e9") == []


def test_a_mask_of_a_giant_takes_no_memory() -> None:
    giant = {"size": [2**31 - 1, 2**31 - 1], "counts": "1"}
    with pytest.raises(InputError, match="the image of"):
        run_lengths(record(id=1, segmentation=giant), "segmentation", (8, 10))
