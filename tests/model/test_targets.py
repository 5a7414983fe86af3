"""Targets as a head sees them."""

import pytest
import torch

from scenekit.errors import InputError
from scenekit.keys import ATTRIBUTES, CAPTIONS, KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC
from scenekit.model.targets import StreamTruth, Targets
from scenekit.structures import Panoptic, Regions
from scenekit.structures.tensors import map_tensors
from tests.structures import worlds


def targets(count: int = 3) -> Targets:
    values = worlds.row_values(count)
    valid = torch.tensor([True, False, True])[:count]
    packed = {ATTRIBUTES: values[ATTRIBUTES], CAPTIONS: values[CAPTIONS], KEYPOINTS: values[KEYPOINTS]}
    packed[MASKS] = MASKS.field.collate([values[MASKS]], (10, 14))
    return Targets(values=packed, valid={key: valid for key in packed})


def matched(rows: list[int]) -> Regions:
    count = len(rows)
    image_index = torch.zeros(count, dtype=torch.int64)
    return Regions(torch.zeros(count, 4), image_index, matched=torch.tensor(rows, dtype=torch.int64))


def test_rows_are_aligned_with_the_regions() -> None:
    truth = targets()
    seen = truth.aligned({OBJECTS: matched([2, 0, 2])})
    assert torch.equal(seen[ATTRIBUTES], truth.values[ATTRIBUTES][[2, 0, 2]])
    assert seen[CAPTIONS].texts[1] == truth.values[CAPTIONS].texts[0]
    bitmaps, rows = seen.packed(MASKS)
    assert bitmaps.shape == (3, 10, 14) and rows is not None and rows.tolist() == [2, 0, 2]


def test_regions_without_a_match_are_blank() -> None:
    seen = targets().aligned({OBJECTS: matched([-1, 1])})
    assert seen[ATTRIBUTES][0].isnan().all() and not seen[ATTRIBUTES][1].isnan().any()
    assert seen[CAPTIONS].texts[0] == () and seen[KEYPOINTS].visibility[0].sum() == 0
    assert seen[MASKS].shape == (2, 10, 14) and seen[MASKS][0].sum() == 0


def test_no_regions_and_no_truth() -> None:
    assert targets().aligned({OBJECTS: matched([])})[ATTRIBUTES].shape == (0, 3)
    nothing = targets(0).aligned({OBJECTS: matched([-1])})
    assert nothing[ATTRIBUTES].shape == (1, 3) and ATTRIBUTES not in nothing
    assert nothing.learnable(ATTRIBUTES, matched([-1])).tolist() == [False]


def test_what_can_be_learned_from() -> None:
    truth = targets()
    assert ATTRIBUTES in truth and SEMANTIC not in truth
    assert truth.learnable(ATTRIBUTES, matched([0, 1, 2, -1])).tolist() == [True, False, True, False]
    assert truth.learnable(SEMANTIC, matched([0])).tolist() == [False]
    with pytest.raises(InputError, match="no ground truth for 'semantic' in this batch"):
        truth[SEMANTIC]


def test_masks_are_padded_to_the_batch() -> None:
    mask = worlds.row_values(1)[MASKS]
    packed = MASKS.field.collate([mask, mask[[]]], (10, 14))
    assert packed.dtype == torch.uint8 and torch.equal(packed[0, :8, :12].bool(), mask.dense[0])
    assert packed[:, 8:].sum() == 0 and packed[:, :, 12:].sum() == 0


def test_absent_images_say_nothing() -> None:
    size = (8, 12)
    packed = SEMANTIC.field.collate([torch.zeros(size, dtype=torch.int64), SEMANTIC.field.absent(size)], (10, 12))
    assert packed.shape == (2, 10, 12) and bool((packed[1] == -1).all()) and bool((packed[0, 8:] == -1).all())


def test_everything_moves_to_another_device() -> None:
    regions = Regions(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64))
    flags = torch.ones(1, dtype=torch.bool)
    truth = Targets(
        {OBJECTS: StreamTruth(regions, flags, flags, flags, flags[None])},
        {PANOPTIC: [Panoptic(torch.zeros(2, 2, dtype=torch.int64), ())], **targets(1).values},
        {PANOPTIC: flags, **targets(1).valid},
    )
    devices = set()

    def note(tensor: torch.Tensor) -> torch.Tensor:
        devices.add(tensor.device.type)
        return tensor

    map_tensors(note, {**vars(truth.to("meta")), "matched": {}})
    assert devices == {"meta"}
